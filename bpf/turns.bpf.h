/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * turns.bpf.h - events that must not be missed: each has two programs, of which the second
 * does what the first was kept from. This header carries a map.
 *
 * Programs of classic tracepoints are skipped while anyone who was preempted on the CPU is in
 * the middle of a bpf() call on a map, whoever's (bpf_disable_instrumentation() leaves
 * preemption on): on kernels that preempt, up to a tenth where a process does little else.
 * Those of raw tracepoints are only skipped where the same program was preempted, which can
 * be from v7.0 on ("tracing: Guard __DECLARE_TRACE() use of __DO_TRACE_CALL() with
 * SRCU-fast"). For an event to be missed by two of them, one task has to be preempted in
 * each.
 */
#ifndef TURNS_BPF_H
#define TURNS_BPF_H

#include "common.bpf.h"

enum turn { FIRST, SECOND };

/* Numbers of events for turn_taken(); cache_turns.bpf.h has its own. */
enum turn_event {
	TURN_NEWTASK, /* by the thread that comes */
	TURN_EXEC,    /* by the running thread, as the next */
	TURN_EXIT,
	TURN_PAGE_ALLOC, /* by struct page */
	TURN_PAGE_FREE,
};

/* The two programs of a raw tracepoint. call: a function of context and turn, returning 0. */
#define TURN_PROGRAMS(name, event, call)                       \
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

#define TURN_MARKS 4096 /* a power of two */

/* What the first program saw and the second has not met yet, by a hash of it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TURN_MARKS);
	__type(key, __u32);
	__type(value, __u64);
} turn_marks SEC(".maps");

/*
 * Whether this turn of an event of a task or a page has anything to do; event: any number for
 * it. Should two meet at one mark between their programs, both may be seen twice.
 */
static __always_inline int turn_taken(__u64 what, __u32 event, enum turn turn)
{
	__u64 mark = hash_mix(what, event + 1);
	__u32 place = mark & (TURN_MARKS - 1);
	__u64 *m = bpf_map_lookup_elem(&turn_marks, &place);

	if (!m)
		return 0;
	if (turn == FIRST) {
		*m = mark;
		return 1;
	}
	if (*m == mark) {
		*m = 0;
		return 0;
	}
	count(STAT_EVENTS_SAVED);
	return 1;
}

#endif
