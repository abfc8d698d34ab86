/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leak_call.bpf.h - a call at its entry: its arguments, and whether its return need be seen.
 */
#ifndef LEAK_CALL_BPF_H
#define LEAK_CALL_BPF_H

#include "common.bpf.h"
#include "alloc_spec.h"

#define UNSEEN_MAX 65536 /* bytes; most of what is larger is mapped (glibc: 128 KiB on) */

static __always_inline __u64 call_size(struct pt_regs *ctx, const struct alloc_spec *spec)
{
	__u64 size = compat_arg(ctx, spec->size_arg);
	__u64 n, product;

	if (!spec->count_arg)
		return size;
	n = compat_arg(ctx, spec->count_arg);
	product = size * n;

	/* An overflow makes the call fail; any huge value will do. The barrier keeps clang
	 * from making one 128-bit multiplication of it, which BPF has not. */
	asm volatile("" : "+r"(product));
	return n && product / n != size ? ~0ULL >> 1 : product;
}

static __always_inline void call_note_args(struct pt_regs *ctx, struct call *c,
					   const struct alloc_spec *spec)
{
	if (spec->op == ALLOC_OP_MMAP) {
		c->size = CTX_LOAD(PT_REGS_PARM2(ctx));
		c->ptr = compat_arg(ctx, 4); /* flags */
		c->out = compat_arg(ctx, 5); /* fd */
	} else if (spec->op == ALLOC_OP_MREMAP) {
		c->size = CTX_LOAD(PT_REGS_PARM3(ctx));
	} else {
		c->size = call_size(ctx, spec);
		c->ptr = compat_arg(ctx, spec->ptr_arg);
		c->out = compat_arg(ctx, spec->out_arg);
	}
}

/*
 * Nobody needs to see how a call ends that is not recorded, if it calls no function whose
 * blocks would then be taken for others. But malloc may map memory for itself: whether it
 * is still at work then, on_mapped() finds out from the stack.
 */
static __always_inline int call_unseen(struct pt_regs *ctx, struct call *c,
				       const struct alloc_spec *spec)
{
	if (!c->skip || !(spec->flags & ALLOC_FLAG_LEAF) || c->size > UNSEEN_MAX || c->has_old)
		return 0;
	c->unseen_sp = c->sp;
	c->unseen_ra = compat_return_address(ctx);
	c->sp = 0;
	return 1;
}

/* Is the running mmap one by the call that was left unseen? Its stack was just taken. */
static __always_inline int call_unseen_maps(const struct thread *t)
{
	const struct call *c = &t->call;
	__u32 i;

	if (c->sp >= c->unseen_sp)
		return 0;
	for (i = 0; i < UNSEEN_FRAMES; i++) {
		if (i >= t->stack.n)
			break;
		if (t->stack.pcs[i] == c->unseen_ra)
			return 1;
	}
	return 0;
}

#endif
