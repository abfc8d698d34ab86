/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fault_tasks.bpf.h - what faults does about tasks that come, exec and end. */
#ifndef FAULT_TASKS_BPF_H
#define FAULT_TASKS_BPF_H

#include "fault_counters.bpf.h"
#include "procs.bpf.h"
#include "turns.bpf.h"

static __always_inline int on_newtask(struct bpf_raw_tracepoint_args *ctx, enum turn turn)
{
	struct task_struct___faults *child = (void *)ctx->args[0];
	__u32 tid = BPF_CORE_READ(child, pid);

	if (!task_turn(tid, TURN_NEWTASK, turn))
		return 0;
	procs_newtask(tid, ctx->args[1]);
	fault_images_change();
	return 0;
}

static __always_inline int on_exec(void *ctx, enum turn turn)
{
	if (!task_turn(bpf_get_current_pid_tgid(), TURN_EXEC, turn))
		return 0;
	procs_exec();
	/* For the new image: the old one may have had its last report. */
	if (fault_cfg.counters)
		fault_counters_take(bpf_get_current_task_btf(), 0);
	fault_images_change();
	return 0;
}

/* The kernel's own counters of a thread that ends, for the check at the end of the run. */
static __always_inline int on_exit(void *ctx, enum turn turn)
{
	struct task_struct___faults *task = (void *)bpf_get_current_task();
	struct fault_thread *t;
	struct fault_proc *p;
	__u64 proc_key;

	if (!task_turn(bpf_get_current_pid_tgid(), TURN_EXIT, turn))
		return 0;
	fault_images_change();
	proc_key = task_wanted();
	if (!proc_key)
		return 0;
	if (fault_cfg.counters)
		fault_counters_take(bpf_get_current_task_btf(), 1);
	p = fault_proc_get(proc_key);
	if (!p)
		return 0;
	t = fault_cfg.both_ends ? fault_thread_find() : NULL;
	if (t)
		fault_between(t, proc_key);
	__sync_fetch_and_add(&p->exit_minor, BPF_CORE_READ(task, min_flt));
	__sync_fetch_and_add(&p->exit_major, BPF_CORE_READ(task, maj_flt));
	return 0;
}

TURN_PROGRAMS_OF_FOUR(fault_newtask, task_newtask, on_newtask)
TURN_PROGRAMS_OF_FOUR(fault_exec, sched_process_exec, on_exec)
TURN_PROGRAMS_OF_FOUR(fault_exit, sched_process_exit, on_exit)

#endif
