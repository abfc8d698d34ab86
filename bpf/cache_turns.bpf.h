/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_turns.bpf.h - the programs of an event of the page cache: two where one may be skipped. */
#ifndef CACHE_TURNS_BPF_H
#define CACHE_TURNS_BPF_H

#include "cache_types.bpf.h"
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

static __always_inline int cache_turn(enum cache_event event, enum turn turn)
{
	return !cache_cfg.turns || turn_taken(bpf_get_current_pid_tgid(), event, turn);
}

/* call: what is to be done, with the tracepoint's arguments in ctx[]. */
#define CACHE_PROGRAMS(name, id, tracepoint, call)        \
	SEC("?tp_btf/" #tracepoint)                       \
	int cache_##name(__u64 *ctx)                      \
	{                                                 \
		(void)ctx;                                \
		return cache_turn(id, FIRST) ? call : 0;  \
	}                                                 \
	SEC("?tp_btf/" #tracepoint)                       \
	int cache_##name##_second(__u64 *ctx)             \
	{                                                 \
		(void)ctx;                                \
		return cache_turn(id, SECOND) ? call : 0; \
	}

#endif
