/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache_call.bpf.h - which pages the running system call wants. Its arguments still stand
 * in the registers the thread came in with; they name the file and, for reads and writes,
 * the range. Calls that say less (sendfile, io_uring, page faults, kernel threads) have
 * only what the tracepoint tells.
 */
#ifndef CACHE_CALL_BPF_H
#define CACHE_CALL_BPF_H

#include "cache_syscall.bpf.h"

#define PF_IO_WORKER 0x00000010
#define PF_KTHREAD   0x00200000

/* The running call; known: it reads or writes `mapping`, pages [start, end). */
struct call_now {
	__u64 id; /* differs between two calls of a thread, whatever their arguments */
	__u64 pos;
	__u64 start, end;
	__u8 kind;
	__u8 known;
};

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym;

/*
 * The table of files is an array of pointers, which typed pointers cannot walk. Its entry
 * is looked at as the only pointer to a file in a struct kiocb: a load, no helper call.
 */
static __always_inline struct file___pc *fd_file(struct task_struct___pc *task, __u32 fd)
{
	struct files_struct___pc *files = task->files;
	struct fdtable___pc *fdt = files ? files->fdt : NULL;
	struct kiocb___pc *entry;

	if (!fdt || fd >= fdt->max_fds)
		return NULL;
	entry = (void *)fdt->fd + fd * sizeof(void *) -
		bpf_core_field_offset(struct kiocb___pc, ki_filp);
	entry = bpf_rdonly_cast(entry, bpf_core_type_id_kernel(struct kiocb___pc));
	return entry->ki_filp;
}

/*
 * The file must be the one the event is about: a call may also cause events of another
 * one (metadata, an executable's page, a file mapped into the buffer).
 */
static __always_inline void call_range(struct task_struct___pc *task, const struct call_args *args,
				       struct io_call io, struct address_space___pc *mapping,
				       struct call_now *c)
{
	struct file___pc *f = fd_file(task, args->a[0]);
	__u64 bytes, end, size;

	if (!f)
		return;
	if ((__u64)f->f_mapping != (__u64)mapping)
		return;
	c->pos = io.at_pos && args->a[3] != ~0ULL ? args->a[3] : f->f_pos;
	bytes = call_bytes(args, io);
	end = c->pos + bytes;
	size = mapping->host->i_size;
	if (io.kind == IO_READ && end > size)
		end = size;
	if (end <= c->pos)
		return;
	c->start = c->pos >> cache_cfg.page_shift;
	c->end = ((end - 1) >> cache_cfg.page_shift) + 1;
	c->known = 1;
}

/*
 * sendfile, splice and copy_file_range read on from their start, which stays in place until they
 * return. It tells apart the calls of splice(2), which no counter of the task does.
 */
static __always_inline void splice_start(struct task_struct___pc *task,
					 const struct call_args *args,
					 struct address_space___pc *mapping, struct call_now *c)
{
	struct file___pc *f = fd_file(task, args->a[c->kind == IO_SENDFILE]);
	__u64 user = args->a[c->kind == IO_SENDFILE ? 2 : 1];

	if (!f)
		return;
	if ((__u64)f->f_mapping != (__u64)mapping)
		return;
	if (!user)
		c->pos = f->f_pos;
	else if (bpf_probe_read_user(&c->pos, sizeof(c->pos), (void *)user))
		return;
	c->start = c->pos >> cache_cfg.page_shift;
	c->id = hash_mix(c->id, c->pos);
}

/* splice, copy_file_range and sendfile into this file: a write, of pages it does not tell. */
static __always_inline void call_output(struct task_struct___pc *task, const struct call_args *args,
					struct address_space___pc *mapping, struct call_now *c)
{
	struct file___pc *in = fd_file(task, args->a[c->kind == IO_SENDFILE]);
	struct file___pc *out = fd_file(task, args->a[c->kind == IO_SENDFILE ? 0 : 2]);

	if (!in || !out)
		return;
	if ((__u64)out->f_mapping != (__u64)mapping || (__u64)in->f_mapping == (__u64)mapping)
		return;
	c->kind = IO_WRITE;
	c->known = 1;
	c->start = 0;
	c->end = ~0ULL;
}

static __always_inline void call_now(struct address_space___pc *mapping, struct call_now *c)
{
	struct task_struct___pc *task = (void *)bpf_get_current_task_btf();
	struct call_args args;
	struct io_call io;

	c->kind = IO_NONE;
	c->known = 0;
	c->start = ~0ULL;
	c->id = task->ioac.syscr + task->ioac.syscw;
	if ((task->flags & (PF_KTHREAD | PF_IO_WORKER)) || IS_COMPAT(task))
		return;
	call_args((struct pt_regs *)bpf_task_pt_regs((void *)task), &args);
	io = io_call_of(args.nr);
	c->id = c->id << 10 | (args.nr & 1023);
	c->kind = io.kind;
	if (io.kind == IO_READ || io.kind == IO_WRITE)
		call_range(task, &args, io, mapping, c);
	if (io.kind == IO_SENDFILE || io.kind == IO_SPLICE) {
		splice_start(task, &args, mapping, c);
		call_output(task, &args, mapping, c);
	}
}

#endif
