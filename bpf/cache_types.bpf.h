/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache_types.bpf.h - the kernel's types around the page cache, only the fields read.
 *
 * KREAD(pointer, field): by tracepoints they are read straight through typed pointers (tp_btf
 * arguments), which the verifier turns into loads that cannot fault: no helper calls on the
 * way of a warm read. The programs of cache_calls.bpf.c (CACHE_CALLS) are of all kinds and
 * for kernels from v5.10 on, so they go by helper.
 */
#ifndef CACHE_TYPES_BPF_H
#define CACHE_TYPES_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>

#ifdef CACHE_CALLS
#define KREAD(p, field) BPF_CORE_READ(p, field)
#define KREAD2(p, a, b) BPF_CORE_READ(p, a, b)
#else
#define KREAD(p, field) ((p)->field)
#define KREAD2(p, a, b) ((p)->a->b)
#endif

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#endif

struct hlist_node___pc {
	struct hlist_node___pc *next;
};

struct hlist_head___pc {
	struct hlist_node___pc *first;
};

struct qstr___pc {
	const unsigned char *name;
};

struct dentry___pc {
	struct dentry___pc *d_parent;
	struct qstr___pc d_name;
	struct hlist_node___pc d_u;
};

/* The union d_u has no name any more (v7.2; v6.18 has it). */
struct dentry___alias {
	struct hlist_node___pc d_alias;
};

struct super_block___pc {
	u32 s_dev;
	unsigned long s_magic;
};

struct inode___pc {
	u16 i_mode;
	u32 i_rdev;
	struct super_block___pc *i_sb;
	unsigned long i_ino;
	s64 i_size;
	struct hlist_head___pc i_dentry;
};

struct address_space___pc {
	struct inode___pc *host;
	unsigned long nrpages;
};

/* The first word is the flags; its type changed in v6.18 (53fbef56e07d), so it has no name. */
struct folio___pc {
	struct address_space___pc *mapping;
	unsigned long index;
	unsigned long _flags_1; /* the low byte is the order, if PG_head is set */
};

struct folio___v61 {
	unsigned char _folio_order; /* in _flags_1 since v6.6 */
};

/* Before folios (v5.16), one for each page. */
struct page___pc {
	struct address_space___pc *mapping;
	unsigned long index;
};

enum pageflags___pc { PG_head___pc = 0x7fffffff };

typedef long ssize_t;

struct file___pc {
	struct address_space___pc *f_mapping;
	s64 f_pos;
	unsigned int f_flags;
};

struct fdtable___pc {
	unsigned int max_fds;
	struct file___pc **fd;
};

struct files_struct___pc {
	struct fdtable___pc *fdt;
};

struct task_io_accounting___pc {
	u64 syscr, syscw;
};

struct thread_info___pc {
	u32 status;
};

struct task_struct___pc {
	struct thread_info___pc thread_info;
	unsigned int flags;
	int pid;
	struct files_struct___pc *files;
	struct task_io_accounting___pc ioac;
};

struct kiocb___pc {
	struct file___pc *ki_filp;
	s64 ki_pos;
	void *ki_complete; /* NULL: the caller waits */
	int ki_flags;
};

struct iov_iter___pc {
	bool data_source; /* memory is the source: a write */
	unsigned long count;
};

struct iov_iter___v510 {
	unsigned int type; /* the lowest bit: a write; data_source since v5.14 */
};

struct vm_area_struct___pc {
	struct file___pc *vm_file;
};

struct vm_fault___pc {
	struct vm_area_struct___pc *vma;
	unsigned long pgoff;
};

struct iomap_dio___pc {
	struct kiocb___pc *iocb;
	s64 i_size, size;
	int error;
};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

struct user_iovec {
	u64 base, len;
};

#endif
