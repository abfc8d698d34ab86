/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hold.bpf.h - programs that are not preempted in the middle of what they do. Where they can be
 * (v7.0, turns.bpf.h) no other task's event gets through to a program whose task waits for its
 * CPU, for a whole slice of time.
 *
 * When preemption is switched on again, what was due meanwhile happens at once: in the middle of
 * the program. Not with interrupts off (preempt_schedule(), kernel/sched/core.c); then it happens
 * at the next place outside of the program. What is left are some instructions before and after.
 *
 * In programs for kernels that take no notice of functions they lack in code that never runs
 * (v5.16, a5d827275241 "bpf: Be conservative while processing invalid kfunc calls").
 */
#ifndef HOLD_BPF_H
#define HOLD_BPF_H

#include "common.bpf.h"

#if !defined(COMPAT_OLD) && !defined(CACHE_CALLS)
#define HOLD

extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;
extern void bpf_local_irq_save(unsigned long *flags) __ksym __weak;
extern void bpf_local_irq_restore(unsigned long *flags) __ksym __weak;
#endif

static __always_inline void hold(void)
{
#ifdef HOLD
	if (cfg.hold)
		bpf_preempt_disable();
#endif
}

/* On every way that leaves the program. */
static __always_inline void hold_end(void)
{
#ifdef HOLD
	unsigned long flags;

	if (!cfg.hold)
		return;
	bpf_local_irq_save(&flags);
	bpf_preempt_enable();
	bpf_local_irq_restore(&flags);
#endif
}

#endif
