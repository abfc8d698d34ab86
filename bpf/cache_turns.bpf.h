/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_turns.bpf.h - the programs of an event of the page cache: four where one may be skipped. */
#ifndef CACHE_TURNS_BPF_H
#define CACHE_TURNS_BPF_H

#include "cache_types.bpf.h"
#include "hold.bpf.h"
#include "turns.bpf.h"

enum cache_event {
	CACHE_ADD,
	CACHE_DELETE,
	CACHE_DIRTY,
	CACHE_GET_PAGES,
	CACHE_MAP_PAGES,
	CACHE_FAULT,
	CACHE_FAULT_BEGIN,
	CACHE_DIRECT_BEGIN,
	CACHE_DIRECT_QUEUED,
	CACHE_DIRECT_REFUSED,
	CACHE_SYSCALL,
	CACHE_SYSCALL_EXIT,
	CACHE_NEWTASK,
	CACHE_EXEC,
	CACHE_EXIT,
};

/*
 * With turns: all programs of every event are in their places, events count from now on. Without
 * that those of an event with some of its programs are lost and yet of no run. Forks are taken
 * note of before.
 */
__u32 cache_on;

/*
 * A mark of its own for each thread, which has one event at a time; those next to each other,
 * which run on different CPUs, in different lines of the cache.
 */
static __always_inline __u64 thread_place(__u32 tid)
{
	return tid << 3 | (tid >> 13 & 7);
}

/* what: the page, or anything else that differs between events of one call or fault. */
static __always_inline int cache_turn(enum cache_event event, __u64 what, enum turn turn)
{
	__u64 *m;

	if (!cache_on && event != CACHE_NEWTASK)
		return 0;
	m = turn_mark(thread_place(bpf_get_current_pid_tgid()));
	return m && turn_at(m, hash_mix(hash_mix(what, event), turn_occasion()), turn, FOURTH);
}

#define CACHE_PROGRAM(name, tracepoint, taken, call) \
	SEC("?tp_btf/" #tracepoint)                  \
	int cache_##name(__u64 *ctx)                 \
	{                                            \
		(void)ctx;                           \
		if (cache_cfg.turns && !(taken))     \
			return 0;                    \
		hold();                              \
		call;                                \
		hold_end();                          \
		return 0;                            \
	}

/* call: what is to be done, what: see cache_turn(); both with the tracepoint's ctx[]. */
#define CACHE_PROGRAMS(name, id, tracepoint, what, call)                             \
	CACHE_PROGRAM(name, tracepoint, cache_turn(id, what, FIRST), call)           \
	CACHE_PROGRAM(name##_second, tracepoint, cache_turn(id, what, SECOND), call) \
	CACHE_PROGRAM(name##_third, tracepoint, cache_turn(id, what, THIRD), call)   \
	CACHE_PROGRAM(name##_fourth, tracepoint, cache_turn(id, what, FOURTH), call)

#endif
