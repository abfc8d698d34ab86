/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_syscall.bpf.h - system calls that read and write, and their arguments. */
#ifndef CACHE_SYSCALL_BPF_H
#define CACHE_SYSCALL_BPF_H

#include "cache_types.bpf.h"
#include "cache_pending.bpf.h"

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
#define IS_COMPAT(task) (KREAD(task, thread_info.status) & TS_COMPAT)
#define O_DIRECT	0x4000

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
#define O_DIRECT	0x10000

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

static __always_inline void iov_each(struct iov_sum *s, __u32 n)
{
#ifdef CACHE_CALLS
	for (__u32 i = 0; i < IOV_MAX; i++)
		if (i >= n || iov_one(i, s))
			break;
#else
	bpf_loop(n, iov_one, s, 0);
#endif
}

/* Bytes the call asks for; 0: not known. */
static __always_inline __u64 call_bytes(const struct call_args *args, struct io_call io)
{
	struct iov_sum s = {.user = args->a[1]};
	__u32 n = args->a[2];

	if (io.vector) {
		iov_each(&s, n < IOV_MAX ? n : IOV_MAX);
		return s.sum < MAX_RW_COUNT ? s.sum : MAX_RW_COUNT;
	}
	return args->a[2] < MAX_RW_COUNT ? args->a[2] : MAX_RW_COUNT;
}

#endif
