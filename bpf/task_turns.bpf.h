/* SPDX-License-Identifier: GPL-2.0-or-later */
/* task_turns.bpf.h - tasks that come, exec and end: two programs each, see turns.bpf.h. */
#ifndef TASK_TURNS_BPF_H
#define TASK_TURNS_BPF_H

#include "turns.bpf.h"

/* By the thread that comes; by the one that execs or ends. */
enum task_event { TURN_NEWTASK, TURN_EXEC, TURN_EXIT };

/* call: a function of the context and the turn, returning 0. */
#define TASK_PROGRAMS(name, event, call)                       \
	SEC("?raw_tp/" #event)                                 \
	int name(struct bpf_raw_tracepoint_args *ctx)          \
	{                                                      \
		return call(ctx, FIRST);                       \
	}                                                      \
	SEC("?raw_tp/" #event)                                 \
	int name##_second(struct bpf_raw_tracepoint_args *ctx) \
	{                                                      \
		return call(ctx, SECOND);                      \
	}

#endif
