/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compat.bpf.h - what differs between kernels and architectures, each behind one accessor.
 *
 * Most of it is settled when a program is loaded, by CO-RE and constants. Two things are
 * refused even in code that never runs: a function as a helper's argument (before v5.13,
 * 69c087ba6225 "bpf: Add bpf_for_each_map_elem() helper") and a pointer as an argument of a
 * global function (before v5.12, e5069b9c23b3 "bpf: Support pointers in global func args").
 * Objects that have them are built twice; x_old.bpf.o, with COMPAT_OLD, is for kernels
 * before v5.13.
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

struct task_struct___regs {
	void *stack;
} __attribute__((preserve_access_index));

#define COMPAT_THREAD_SIZE 16384 /* x86-64, arm64 with pages of 4 or 16 KiB; no KASAN */

/*
 * The registers with which the running task entered the kernel, to be read by probe reads;
 * the caller must know that it came from user space. bpf_task_pt_regs() (v5.15, dd6e10fbd9fb
 * "bpf: Add bpf_task_pt_regs() helper"), or else where it looks: the end of the kernel stack.
 */
static __always_inline struct pt_regs *compat_task_regs(int has_task_btf)
{
	struct task_struct___regs *task;

	if (has_task_btf && bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	task = (void *)bpf_get_current_task();
	return (void *)(BPF_CORE_READ(task, stack) + COMPAT_THREAD_SIZE) -
	       bpf_core_type_size(struct pt_regs);
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

/* Where the function of an entry probe will return to; 0 if that can't be read. */
static __always_inline __u64 compat_return_address(struct pt_regs *ctx)
{
#if defined(__TARGET_ARCH_x86)
	__u64 ra = 0;

	bpf_probe_read_user(&ra, sizeof(ra), (void *)PT_REGS_SP(ctx));
	return ra;
#else
	return CTX_LOAD(((struct user_pt_regs *)ctx)->regs[30]);
#endif
}

/*
 * In a program of a session link: is this the entry of the call, or its return? Asked of
 * the helper, because bpf_session_is_return() takes an argument on some kernels and none on
 * others: it gives the address of the probe at both ends, where the registers are only at
 * the entry.
 */
static __always_inline int compat_session_is_entry(struct pt_regs *ctx)
{
	return bpf_get_func_ip(ctx) == CTX_LOAD(PT_REGS_IP(ctx));
}

/* The first struct page of the memory that one belongs to: itself, or of a compound page. */
static __always_inline __u64 compat_page_head(__u64 page)
{
	struct page___v7 *v7 = (void *)page;
	struct page *p = (void *)page;
	__u64 t;

	if (bpf_core_field_exists(v7->compound_info))
		t = BPF_CORE_READ(v7, compound_info);
	else
		t = BPF_CORE_READ(p, compound_head);
	if (!(t & 1))
		return page;
	return t >= 0xffffff0000000000ULL && bpf_core_field_exists(v7->compound_info) ? page & t
										      : t - 1;
}

#endif
