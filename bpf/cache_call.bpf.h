/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache_call.bpf.h - which pages the running system call wants. Its arguments still stand
 * in the registers the thread came in with; they name the file and, for reads and writes,
 * the range. Calls that say less (sendfile, io_uring, page faults, kernel threads) have
 * only what the tracepoint tells.
 */
#ifndef CACHE_CALL_BPF_H
#define CACHE_CALL_BPF_H

#include "cache_types.bpf.h"
#include "cache_pending.bpf.h"

#define PF_IO_WORKER 0x00000010
#define PF_KTHREAD   0x00200000
#define TS_COMPAT    2
#define MAX_RW_COUNT 0x7ffff000ULL
#define IOV_MAX	     1024

enum io_kind { IO_NONE, IO_READ, IO_WRITE, IO_SPLICE, IO_SENDFILE };

/* What a system call number stands for. */
struct io_call {
	__u8 kind;
	__u8 vector;
	__u8 at_pos; /* the position is the fourth argument */
};

struct call_args {
	__u64 nr, a[4];
};

#if defined(__TARGET_ARCH_x86)
#define IS_COMPAT(task) ((task)->thread_info.status & TS_COMPAT)

static __always_inline void call_args(struct pt_regs *regs, struct call_args *ret)
{
	ret->nr = regs->orig_ax;
	ret->a[0] = regs->di;
	ret->a[1] = regs->si;
	ret->a[2] = regs->dx;
	ret->a[3] = regs->r10;
}

static __always_inline struct io_call io_call_of(__u64 nr)
{
	switch (nr) {
	case 0: /* read */
		return (struct io_call){IO_READ, 0, 0};
	case 17: /* pread64 */
		return (struct io_call){IO_READ, 0, 1};
	case 19: /* readv */
		return (struct io_call){IO_READ, 1, 0};
	case 295: /* preadv */
	case 327: /* preadv2 */
		return (struct io_call){IO_READ, 1, 1};
	case 1: /* write */
		return (struct io_call){IO_WRITE, 0, 0};
	case 18: /* pwrite64 */
		return (struct io_call){IO_WRITE, 0, 1};
	case 20: /* writev */
		return (struct io_call){IO_WRITE, 1, 0};
	case 296: /* pwritev */
	case 328: /* pwritev2 */
		return (struct io_call){IO_WRITE, 1, 1};
	case 40: /* sendfile */
		return (struct io_call){IO_SENDFILE, 0, 0};
	case 275: /* splice */
	case 326: /* copy_file_range */
		return (struct io_call){IO_SPLICE, 0, 0};
	default:
		return (struct io_call){IO_NONE, 0, 0};
	}
}
#elif defined(__TARGET_ARCH_arm64)
#define IS_COMPAT(task) 0

static __always_inline void call_args(struct pt_regs *regs, struct call_args *ret)
{
	ret->nr = regs->user_regs.regs[8];
	ret->a[0] = regs->user_regs.regs[0];
	ret->a[1] = regs->user_regs.regs[1];
	ret->a[2] = regs->user_regs.regs[2];
	ret->a[3] = regs->user_regs.regs[3];
}

static __always_inline struct io_call io_call_of(__u64 nr)
{
	switch (nr) {
	case 63: /* read */
		return (struct io_call){IO_READ, 0, 0};
	case 67: /* pread64 */
		return (struct io_call){IO_READ, 0, 1};
	case 65: /* readv */
		return (struct io_call){IO_READ, 1, 0};
	case 69:  /* preadv */
	case 286: /* preadv2 */
		return (struct io_call){IO_READ, 1, 1};
	case 64: /* write */
		return (struct io_call){IO_WRITE, 0, 0};
	case 68: /* pwrite64 */
		return (struct io_call){IO_WRITE, 0, 1};
	case 66: /* writev */
		return (struct io_call){IO_WRITE, 1, 0};
	case 70:  /* pwritev */
	case 287: /* pwritev2 */
		return (struct io_call){IO_WRITE, 1, 1};
	case 71: /* sendfile */
		return (struct io_call){IO_SENDFILE, 0, 0};
	case 76:  /* splice */
	case 285: /* copy_file_range */
		return (struct io_call){IO_SPLICE, 0, 0};
	default:
		return (struct io_call){IO_NONE, 0, 0};
	}
}
#endif

/* The running call; known: it reads or writes `mapping`, pages [start, end). */
struct call_now {
	__u64 id; /* differs between two calls of a thread, whatever their arguments */
	__u64 pos;
	__u64 start, end;
	__u8 kind;
	__u8 known;
};

struct iov_sum {
	__u64 user, sum;
};

static long iov_one(__u32 i, struct iov_sum *s)
{
	struct user_iovec v;

	if (bpf_probe_read_user(&v, sizeof(v), (void *)(s->user + i * sizeof(v)))) {
		s->sum = 0;
		return 1;
	}
	s->sum += v.len;
	return 0;
}

/* Bytes the call asks for; 0: not known. */
static __always_inline __u64 call_bytes(const struct call_args *args, struct io_call io)
{
	struct iov_sum s = {.user = args->a[1]};
	__u32 n = args->a[2];

	if (io.vector) {
		bpf_loop(n < IOV_MAX ? n : IOV_MAX, iov_one, &s, 0);
		return s.sum < MAX_RW_COUNT ? s.sum : MAX_RW_COUNT;
	}
	return args->a[2] < MAX_RW_COUNT ? args->a[2] : MAX_RW_COUNT;
}

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

/* sendfile reads on from its start, which stays in place until it returns. */
static __always_inline void sendfile_start(struct task_struct___pc *task,
					   const struct call_args *args,
					   struct address_space___pc *mapping, struct call_now *c)
{
	struct file___pc *f = fd_file(task, args->a[1]);

	if (!f)
		return;
	if ((__u64)f->f_mapping != (__u64)mapping)
		return;
	if (!args->a[2])
		c->pos = f->f_pos;
	else if (bpf_probe_read_user(&c->pos, sizeof(c->pos), (void *)args->a[2]))
		return;
	c->start = c->pos >> cache_cfg.page_shift;
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
	else if (io.kind == IO_SENDFILE)
		sendfile_start(task, &args, mapping, c);
}

#endif
