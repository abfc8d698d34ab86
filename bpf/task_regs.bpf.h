/* SPDX-License-Identifier: GPL-2.0-or-later */
/* task_regs.bpf.h - where a walk of the running task's user stack begins inside the kernel. */
#ifndef TASK_REGS_BPF_H
#define TASK_REGS_BPF_H

#include "common.bpf.h"

#define TASK_REGS_WORDS 16

/*
 * The user registers as the running task entered the kernel; it must have come from there.
 * 1 if it did by a system call, 0: by an exception or an interrupt. w: room for
 * TASK_REGS_WORDS, which not everyone has on the stack.
 */
#if defined(__TARGET_ARCH_x86)
static __always_inline int task_regs_by(__u64 *w, struct walk_regs *ret)
{
	/* From rbp to rsp, of struct pt_regs as struct bpf_perf_event_data has it for all. */
	const __u64 *regs = (const void *)compat_task_regs(cfg.task_storage);

	if (bpf_probe_read_kernel(w, TASK_REGS_WORDS * 8, regs + 4))
		__builtin_memset(w, 0, TASK_REGS_WORDS * 8);
	ret->fp = w[0];
	ret->aux = w[1];
	ret->r10 = w[3];
	ret->pc = w[12];
	ret->sp = w[15];
	return w[11] != ~0ULL;
}
#else
struct pt_regs___call {
	int syscallno;
} __attribute__((preserve_access_index));

static __always_inline int task_regs_by(__u64 *w, struct walk_regs *ret)
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

static __always_inline int task_regs(struct walk_regs *ret)
{
	__u64 w[TASK_REGS_WORDS];

	return task_regs_by(w, ret);
}

#endif
