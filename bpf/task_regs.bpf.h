/* SPDX-License-Identifier: GPL-2.0-or-later */
/* task_regs.bpf.h - where a walk of the running task's user stack begins inside the kernel. */
#ifndef TASK_REGS_BPF_H
#define TASK_REGS_BPF_H

#include "common.bpf.h"

/* The user registers as the running task entered the kernel; it must have come from there. */
static __always_inline void task_regs(struct walk_regs *ret)
{
	struct pt_regs *regs = compat_task_regs(cfg.task_storage);

	ret->pc = PT_REGS_IP_CORE(regs);
	ret->sp = PT_REGS_SP_CORE(regs);
	ret->fp = PT_REGS_FP_CORE(regs);
#if defined(__TARGET_ARCH_x86)
	ret->aux = BPF_CORE_READ(regs, bx);
	ret->r10 = BPF_CORE_READ(regs, r10);
#else
	ret->aux = PT_REGS_RET_CORE(regs);
	ret->r10 = 0;
#endif
}

#endif
