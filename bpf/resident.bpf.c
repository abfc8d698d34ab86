/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resident.bpf.c - every regular file with cached pages that a task has open or mapped, by
 * iterators: no file is opened for it, none is missed for want of a path. Task-file is
 * from v5.8 (eaaacd23910f), task-vma and paths in iterators from v5.12 (3a7b35b899de,
 * 3d06f34aa89e).
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "resident_abi.h"

#define OVERLAYFS_SUPER_MAGIC 0x794c7630

#define S_IFMT	0170000
#define S_IFREG 0100000

char LICENSE[] SEC("license") = "GPL";

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#endif

struct super_block___rs {
	u32 s_dev;
	unsigned long s_magic;
};

struct inode___rs {
	u16 i_mode;
	unsigned long i_ino;
	s64 i_size;
	struct super_block___rs *i_sb;
};

struct address_space___rs {
	struct inode___rs *host;
	unsigned long nrpages;
};

struct file___rs {
	struct inode___rs *f_inode;
	struct address_space___rs *f_mapping;
	struct path f_path;
};

struct vm_area_struct___rs {
	unsigned long vm_start, vm_end;
	struct file___rs *vm_file;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file___rs *file;
};

struct bpf_iter__task_vma {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct vm_area_struct___rs *vma;
};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

struct line {
	struct resident_record r;
	char path[2 * RESIDENT_PATH]; /* the second half only bounds the length */
};

/* One reader, one element. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct line);
} scratch SEC(".maps");

/* NULL: not a regular file, or nothing of it is cached. Below overlayfs pages may be 0. */
static __always_inline struct line *line_of(struct task_struct *task, struct file___rs *file)
{
	struct address_space___rs *mapping = file->f_mapping;
	struct inode___rs *inode = file->f_inode;
	u32 zero = 0;
	struct line *l;

	if (!mapping || !inode || (inode->i_mode & S_IFMT) != S_IFREG)
		return NULL;
	/* User space asks for the real file's pages. */
	if (!mapping->nrpages && inode->i_sb->s_magic != OVERLAYFS_SUPER_MAGIC)
		return NULL;
	l = bpf_map_lookup_elem(&scratch, &zero);
	if (!l || !mapping->host)
		return NULL;
	l->r = (struct resident_record){
		.pages = mapping->nrpages,
		.size = mapping->host->i_size,
		.ino = mapping->host->i_ino,
		.own_ino = inode->i_ino,
		.dev = mapping->host->i_sb->s_dev,
		.pid = task->pid,
	};
	return l;
}

static __always_inline void line_write(struct line *l, struct file___rs *file, struct seq_file *seq)
{
	long n = bpf_d_path((void *)&file->f_path, l->path, RESIDENT_PATH);

	l->r.len = n > 0 ? n : 0;
	bpf_seq_write(seq, l, sizeof(l->r) + (l->r.len & (2 * RESIDENT_PATH - 1)));
}

SEC("iter/task_file")
int resident_open(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file___rs *file = ctx->file;
	struct line *l;

	if (!task || !file)
		return 0;
	l = line_of(task, file);
	if (!l)
		return 0;
	l->r.fd = ctx->fd;
	line_write(l, file, ctx->meta->seq);
	return 0;
}

SEC("iter/task_vma")
int resident_mapped(struct bpf_iter__task_vma *ctx)
{
	struct vm_area_struct___rs *vma = ctx->vma;
	struct task_struct *task = ctx->task;
	struct file___rs *file;
	struct line *l;

	if (!task || !vma)
		return 0;
	file = vma->vm_file;
	l = file ? line_of(task, file) : NULL;
	if (!l)
		return 0;
	l->r.start = vma->vm_start;
	l->r.end = vma->vm_end;
	line_write(l, file, ctx->meta->seq);
	return 0;
}
