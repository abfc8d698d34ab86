/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compat.bpf.h - what differs between kernels and architectures, each behind one accessor.
 */
#ifndef COMPAT_BPF_H
#define COMPAT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/*
 * Keeps the compiler from merging loads of different registers into one load through a
 * computed context pointer, which the verifier refuses.
 */
#define CTX_LOAD(expr)                           \
	({                                       \
		__u64 value_ = (expr);           \
		asm volatile("" : "+r"(value_)); \
		value_;                          \
	})

/*
 * The n-th function argument that travels in a register, from 1; 0 gives 0. 7: what a probe
 * behind the entry finds in the register of results (x86-64, struct site).
 */
static __always_inline __u64 compat_arg(struct pt_regs *ctx, __u8 n)
{
	switch (n) {
	case 1:
		return CTX_LOAD(PT_REGS_PARM1(ctx));
	case 2:
		return CTX_LOAD(PT_REGS_PARM2(ctx));
	case 3:
		return CTX_LOAD(PT_REGS_PARM3(ctx));
	case 4:
		return CTX_LOAD(PT_REGS_PARM4(ctx));
	case 5:
		return CTX_LOAD(PT_REGS_PARM5(ctx));
#if defined(__TARGET_ARCH_x86)
	case 6:
		return CTX_LOAD(ctx->r9);
	case 7:
		return CTX_LOAD(PT_REGS_RC(ctx));
#elif defined(__TARGET_ARCH_arm64)
	case 6:
		return CTX_LOAD(((struct user_pt_regs *)ctx)->regs[5]);
#endif
	default:
		return 0;
	}
}

/*
 * Where the stack pointer of a function's entry stands when its uretprobe fires: `ret`
 * has popped the return address on x86-64; arm64 keeps that in a register.
 */
static __always_inline __u64 compat_entry_sp(struct pt_regs *ctx, int at_uretprobe)
{
#if defined(__TARGET_ARCH_x86)
	return CTX_LOAD(PT_REGS_SP(ctx)) - (at_uretprobe ? 8 : 0);
#else
	return CTX_LOAD(PT_REGS_SP(ctx));
#endif
}

#endif
