/* SPDX-License-Identifier: GPL-2.0-or-later */
/* task_regs.bpf.h - where a walk of the running task's user stack begins inside the kernel. */
#ifndef TASK_REGS_BPF_H
#define TASK_REGS_BPF_H

#include "common.bpf.h"

/*
 * The user registers as the running task entered the kernel; it must have come from there.
 * 1 if it did by a system call, 0: by an exception or an interrupt.
 */
#if defined(__TARGET_ARCH_x86)
static __always_inline int task_regs(struct walk_regs *ret)
{
	__u64 w[21] = {}; /* struct pt_regs as struct bpf_perf_event_data has it for all kernels */

	bpf_probe_read_kernel(w, sizeof(w), compat_task_regs(cfg.task_storage));
	ret->fp = w[4];
	ret->aux = w[5];
	ret->r10 = w[7];
	ret->pc = w[16];
	ret->sp = w[19];
	return w[15] != ~0ULL;
}
#else
struct pt_regs___call {
	int syscallno;
} __attribute__((preserve_access_index));

static __always_inline int task_regs(struct walk_regs *ret)
{
	struct pt_regs *regs = compat_task_regs(cfg.task_storage);

	ret->pc = PT_REGS_IP_CORE(regs);
	ret->sp = PT_REGS_SP_CORE(regs);
	ret->fp = PT_REGS_FP_CORE(regs);
	ret->aux = PT_REGS_RET_CORE(regs);
	ret->r10 = 0;
	return BPF_CORE_READ((struct pt_regs___call *)regs, syscallno) != -1;
}
#endif

#endif
