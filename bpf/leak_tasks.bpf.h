/* SPDX-License-Identifier: GPL-2.0-or-later */
/* leak_tasks.bpf.h - what leak does about tasks that come, exec and end. */
#ifndef LEAK_TASKS_BPF_H
#define LEAK_TASKS_BPF_H

#include "procs.bpf.h"
#include "turns.bpf.h"

struct task_struct___leak {
	int pid;
} __attribute__((preserve_access_index));

static __always_inline int on_newtask(struct bpf_raw_tracepoint_args *ctx, enum turn turn)
{
	struct task_struct___leak *child = (void *)ctx->args[0];
	__u32 tid = BPF_CORE_READ(child, pid);

	if (task_turn(tid, TURN_NEWTASK, turn))
		procs_newtask(tid, ctx->args[1]);
	return 0;
}

static __always_inline int on_exec(void *ctx, enum turn turn)
{
	struct thread *t;

	(void)ctx;
	if (!task_turn(bpf_get_current_pid_tgid(), TURN_EXEC, turn))
		return 0;
	t = thread_find();
	if (t)
		t->call.proc_key = 0;
	return procs_exec();
}

static __always_inline int on_exit(void *ctx, enum turn turn)
{
	(void)ctx;
	if (task_turn(bpf_get_current_pid_tgid(), TURN_EXIT, turn))
		thread_slot_leave();
	return 0;
}

TURN_PROGRAMS_OF_FOUR(leak_newtask, task_newtask, on_newtask)
TURN_PROGRAMS_OF_FOUR(leak_exec, sched_process_exec, on_exec)
TURN_PROGRAMS_OF_FOUR(leak_exit, sched_process_exit, on_exit)

#endif
