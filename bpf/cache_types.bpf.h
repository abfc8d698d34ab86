/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache_types.bpf.h - the kernel's types around the page cache, only the fields read. They
 * are read straight through typed pointers (tp_btf arguments), which the verifier turns
 * into loads that cannot fault: no helper calls on the way of a warm read.
 */
#ifndef CACHE_TYPES_BPF_H
#define CACHE_TYPES_BPF_H

#include "vmlinux.h"

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#endif

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct hlist_node d_u;
};

struct super_block {
	u32 s_dev;
};

struct inode {
	u16 i_mode;
	u32 i_rdev;
	struct super_block *i_sb;
	unsigned long i_ino;
	s64 i_size;
	struct hlist_head i_dentry;
};

struct address_space {
	struct inode *host;
};

/* The first word is the flags; its type changed in v6.18 (53fbef56e07d), so it has no name. */
struct folio {
	struct address_space *mapping;
	unsigned long index;
	unsigned long _flags_1; /* the low byte is the order, if PG_head is set */
};

enum pageflags { PG_head = 0x7fffffff };

typedef long ssize_t;

struct file {
	struct address_space *f_mapping;
	s64 f_pos;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct task_io_accounting {
	u64 syscr, syscw;
};

struct thread_info___x86 {
	u32 status;
};

struct task_struct___cache {
	struct thread_info___x86 thread_info;
	unsigned int flags;
	struct files_struct *files;
	struct task_io_accounting ioac;
};

struct kiocb {
	struct file *ki_filp;
};

struct iov_iter {
	bool data_source; /* memory is the source: a write */
};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

struct user_iovec {
	u64 base, len;
};

#endif
