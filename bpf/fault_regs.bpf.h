/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fault_regs.bpf.h - address and user registers of a fault. */
#ifndef FAULT_REGS_BPF_H
#define FAULT_REGS_BPF_H

#include "fault_state.bpf.h"
#include "task_regs.bpf.h"

/* struct bpf_perf_event_data: the registers, then sample_period and addr. */
#if defined(__TARGET_ARCH_x86)
#define FAULT_REGS_SIZE 168
/* cs is a u16 in the type of newer kernels (FRED), but the context is read by whole words. */
#define FAULT_REGS_CS	136
#else
#define FAULT_REGS_SIZE 272
#endif

static __always_inline __u64 fault_address(void *ctx)
{
	return *(volatile __u64 *)(ctx + FAULT_REGS_SIZE + 8);
}

/*
 * The user registers at the fault. In a system call (read() into an untouched buffer) those
 * of the entry into the kernel.
 */
static __always_inline void fault_regs(struct pt_regs *ctx, struct walk_regs *ret)
{
#if defined(__TARGET_ARCH_x86)
	if (!(*(volatile __u64 *)((void *)ctx + FAULT_REGS_CS) & 3)) {
		task_regs(ret);
		return;
	}
	ret->aux = CTX_LOAD(ctx->bx);
	ret->r10 = CTX_LOAD(ctx->r10);
#else
	if (CTX_LOAD(((struct user_pt_regs *)ctx)->pstate) & 0xf) {
		task_regs(ret);
		return;
	}
	ret->aux = CTX_LOAD(PT_REGS_RET(ctx));
	ret->r10 = 0;
#endif
	ret->pc = CTX_LOAD(PT_REGS_IP(ctx));
	ret->sp = CTX_LOAD(PT_REGS_SP(ctx));
	ret->fp = CTX_LOAD(PT_REGS_FP(ctx));
}

#endif
