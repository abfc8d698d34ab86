/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_fault.bpf.h - page faults on mapped files: one access each. */
#ifndef CACHE_FAULT_BPF_H
#define CACHE_FAULT_BPF_H

#include "cache_thread.bpf.h"
#include "cache_turns.bpf.h"

static __always_inline int fault_begin(void)
{
	struct cache_thread *t = cache_thread_find();

	if (t)
		t->f_counted = 0;
	return 0;
}

CACHE_PROGRAMS(fault_user, CACHE_FAULT_BEGIN, page_fault_user, ctx[0], fault_begin())
CACHE_PROGRAMS(fault_kernel, CACHE_FAULT_BEGIN, page_fault_kernel, ctx[0], fault_begin())

/* The same on machines without these tracepoints (arm64): software event page-faults. */
SEC("?perf_event")
int cache_fault_start(void *ctx)
{
	(void)ctx;
	return fault_begin();
}

/* Pages start to end, the last one, were looked at to be mapped at once. */
static __always_inline int fault_map(struct address_space___pc *mapping, __u64 start, __u64 end)
{
	struct inode___pc *host = KREAD(mapping, host);
	struct cache_thread *t = cache_thread();
	struct cache_counters *n;
	struct pending_key file;
	__u64 taken;

	if (!t || end < start)
		return 0;
	pending_file(host, &file);
	taken = pending_take(&file, start, end + 1);
	if (t->f_counted && t->f_map == (__u64)mapping &&
	    (t->f_kind == FAULT_MAP ? t->f_start == start : start <= t->f_idx && t->f_idx <= end))
		return 0;
	t->f_counted = 1;
	t->f_kind = FAULT_MAP;
	t->f_map = (__u64)mapping;
	t->f_start = start;
	t->f_missed = 0;
	t->f_was_ra = taken > 0;
	n = counters_of(host);
	if (taken)
		CHARGE(n, map_ra, 1);
	else
		CHARGE(n, map_hits, 1);
	return 0;
}

/* The access was taken for a hit or a read-ahead by the other one's evidence. */
static __always_inline void fault_correct(struct cache_thread *t, struct cache_counters *n, __u8 ra)
{
	if (ra == t->f_was_ra)
		return;
	CHARGE(n, map_ra, ra ? 1 : -1);
	CHARGE(n, map_hits, ra ? -1 : 1);
	t->f_was_ra = ra;
}

/* The page at index has to be found, or read. */
static __always_inline int fault_at(struct address_space___pc *mapping, __u64 index)
{
	struct inode___pc *host = KREAD(mapping, host);
	struct cache_thread *t = cache_thread();
	struct cache_counters *n;
	struct pending_key file;
	int same;

	if (!t)
		return 0;
	same = t->f_counted && t->f_map == (__u64)mapping;
	if (same && t->f_kind == FAULT_FAULT && t->f_idx == index)
		return 0;
	n = counters_of(host);
	if (!same || t->f_kind != FAULT_MAP) {
		CHARGE(n, map_hits, 1);
		t->f_was_ra = 0;
	}
	pending_file(host, &file);
	fault_correct(t, n, pending_take(&file, index, index + 1) > 0);
	t->f_counted = 1;
	t->f_map = (__u64)mapping;
	t->f_kind = FAULT_FAULT;
	t->f_idx = index;
	t->f_missed = 0;
	return 0;
}

#endif
