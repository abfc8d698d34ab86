/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * turns.bpf.h - events that must not be missed: each has two to six programs, of which the
 * later ones do what those before were kept from. This header carries a map.
 *
 * Programs of classic tracepoints are skipped while anyone who was preempted on the CPU is in
 * the middle of a bpf() call on a map, whoever's (bpf_disable_instrumentation() leaves
 * preemption on): on kernels that preempt, up to a tenth where a process does little else.
 * Those of raw tracepoints are only skipped where the same program was preempted, which can
 * be from v7.0 on ("tracing: Guard __DECLARE_TRACE() use of __DO_TRACE_CALL() with
 * SRCU-fast"). For an event to be missed by all of them, one task has to be preempted in
 * each, on the same CPU.
 */
#ifndef TURNS_BPF_H
#define TURNS_BPF_H

#include "common.bpf.h"

enum turn { FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH };

/* Numbers of events for turn_taken_till(); cache_turns.bpf.h has its own. */
enum turn_event {
	TURN_NEWTASK, /* by the thread that comes */
	TURN_EXEC,    /* by the running thread, as the next */
	TURN_EXIT,
	TURN_PAGE_ALLOC, /* by struct page */
	TURN_PAGE_FREE,
};

struct task_io_accounting___turns {
	__u64 syscr, syscw;
} __attribute__((preserve_access_index));

struct task_struct___turns {
	int pid;
	unsigned long min_flt, maj_flt;
	struct task_io_accounting___turns ioac;
} __attribute__((preserve_access_index));

#ifdef CACHE_CALLS /* programs of all kinds: no typed pointers */
#define TURN_READ(task, field) BPF_CORE_READ(task, field)
#else
#define TURN_READ(task, field) ((task)->field)
#endif

/* Programs of a raw tracepoint. call: a function of context and turn, returning 0. */
#define TURN_PROGRAM(name, event, call, turn)         \
	SEC("?raw_tp/" #event)                        \
	int name(struct bpf_raw_tracepoint_args *ctx) \
	{                                             \
		return call(ctx, turn);               \
	}

#define TURN_PROGRAMS(name, event, call)       \
	TURN_PROGRAM(name, event, call, FIRST) \
	TURN_PROGRAM(name##_second, event, call, SECOND)

#define TURN_PROGRAMS_OF_FOUR(name, event, call)       \
	TURN_PROGRAMS(name, event, call)               \
	TURN_PROGRAM(name##_third, event, call, THIRD) \
	TURN_PROGRAM(name##_fourth, event, call, FOURTH)

#define TURN_PROGRAMS_OF_SIX(name, event, call)        \
	TURN_PROGRAMS_OF_FOUR(name, event, call)       \
	TURN_PROGRAM(name##_fifth, event, call, FIFTH) \
	TURN_PROGRAM(name##_sixth, event, call, SIXTH)

#define TURN_MARKS 65536 /* a power of two */

/* What the programs of an event saw last, by a hash of it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TURN_MARKS);
	__type(key, __u32);
	__type(value, __u64);
} turn_marks SEC(".maps");

static __always_inline __u64 *turn_mark(__u64 place)
{
	__u32 i = place & (TURN_MARKS - 1);

	return bpf_map_lookup_elem(&turn_marks, &i);
}

/*
 * Differs between two events of the same thing, a page that was freed meanwhile or a second exec:
 * the running thread, and how many reads, writes and faults it has ended so far.
 */
static __always_inline __u64 turn_occasion(void)
{
#ifdef COMPAT_OLD /* no typed pointer to the task; nothing is skipped there */
	return 0;
#else
	struct task_struct___turns *task = (void *)bpf_get_current_task_btf();
	__u64 n = TURN_READ(task, min_flt) + TURN_READ(task, maj_flt);

	if (bpf_core_field_exists(task->ioac.syscr))
		n += TURN_READ(task, ioac.syscr) + TURN_READ(task, ioac.syscw);
	return hash_mix(n, TURN_READ(task, pid));
#endif
}

/*
 * Whether this turn of an event has anything to do; mark: what tells it from others. The last
 * turn takes the mark away. Where that one is skipped it stays, and stands for the next event
 * with the same mark, should its first program be skipped.
 */
static __always_inline int turn_at(__u64 *m, __u64 mark, enum turn turn, enum turn last)
{
	int done = turn != FIRST && *m == mark;

	if (turn == last)
		*m = 0;
	else if (!done)
		*m = mark;
	if (!done && turn != FIRST)
		count(STAT_EVENTS_SAVED);
	return !done;
}

/*
 * The same of an event that a task or a page has now and then; event: any number for it. Should
 * two meet at one mark between their programs, both may be seen twice.
 */
static __always_inline int turn_taken_till(__u64 what, __u32 event, enum turn turn, enum turn last)
{
	__u64 mark = hash_mix(hash_mix(what, event + 1), turn_occasion());
	__u64 *m = turn_mark(mark);

	return m && turn_at(m, mark, turn, last);
}

/*
 * Of an event of tasks: of four threads that end at once two may keep the others out of two
 * programs. Where nothing is skipped the last two are not loaded, and marks stay: they hide no
 * event from a first program.
 */
static __always_inline int task_turn(__u64 what, __u32 event, enum turn turn)
{
	return turn_taken_till(what, event, turn, FOURTH);
}

/* Of an event with two programs. */
static __always_inline int turn_taken(__u64 what, __u32 event, enum turn turn)
{
	return turn_taken_till(what, event, turn, SECOND);
}

#endif
