/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_thread.bpf.h - what a thread is at: a call that reads, a page fault; pages it adds. */
#ifndef CACHE_THREAD_BPF_H
#define CACHE_THREAD_BPF_H

#include "cache_count.bpf.h"
#include "cache_pending.bpf.h"

enum call_state { CALL_NONE, CALL_OPEN, CALL_DONE, CALL_UNKNOWN };
enum fault_kind { FAULT_MAP, FAULT_FAULT };

struct cache_thread {
	/* the call: [start, end) of it is accounted (DONE), or will be (OPEN) */
	__u64 c_map, c_id, c_pos, c_start, c_end, c_last, c_miss;
	/* pages added by a call whose range is not known, since its last accounting */
	__u64 p_map, p_id, p_lo, p_hi;
	/* the page fault */
	__u64 f_map, f_idx, f_start;
	__u64 direct, direct_bytes; /* the last direct I/O begun: its kiocb, what it asks for */
	__u32 c_state;
	__u8 c_write, c_direct, c_added; /* of system calls and functions */
	__u8 f_kind, f_counted, f_missed, f_was_ra;
};

#ifdef CACHE_CALLS
/* Task storage came later (v5.12): by thread, until it exits. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct cache_thread);
} cache_threads SEC(".maps");

static __always_inline struct cache_thread *cache_thread_find(void)
{
	__u64 id = bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&cache_threads, &id);
}

static __always_inline struct cache_thread *cache_thread(void)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct cache_thread *t = bpf_map_lookup_elem(&cache_threads, &id), blank = {};

	if (t)
		return t;
	bpf_map_update_elem(&cache_threads, &id, &blank, BPF_NOEXIST);
	t = bpf_map_lookup_elem(&cache_threads, &id);
	if (!t)
		cache_count(CACHE_STAT_THREADS_FULL, 1);
	return t;
}
#else
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cache_thread);
} cache_threads SEC(".maps");

static __always_inline struct cache_thread *cache_thread_find(void)
{
	return bpf_task_storage_get(&cache_threads, bpf_get_current_task_btf(), 0, 0);
}

/* The running thread's state, made at first use; NULL, counted, if there is no room. */
static __always_inline struct cache_thread *cache_thread(void)
{
	struct cache_thread *t;

	t = bpf_task_storage_get(&cache_threads, bpf_get_current_task_btf(), 0,
				 BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t)
		cache_count(CACHE_STAT_THREADS_FULL, 1);
	return t;
}
#endif

static __always_inline __u64 overlap(__u64 lo, __u64 hi, __u64 start, __u64 end)
{
	__u64 from = lo > start ? lo : start;
	__u64 to = hi < end ? hi : end;

	return to > from ? to - from : 0;
}

static __always_inline struct address_space___pc *folio_mapping(struct folio___pc *f)
{
	if (!bpf_core_type_exists(struct folio___pc))
		return BPF_CORE_READ((struct page___pc *)f, mapping);
	return KREAD(f, mapping);
}

static __always_inline __u64 folio_index(struct folio___pc *f)
{
	if (!bpf_core_type_exists(struct folio___pc))
		return BPF_CORE_READ((struct page___pc *)f, index);
	return KREAD(f, index);
}

/* Pages of a large folio; on the way here its order had three places. */
static __always_inline __u64 folio_large_pages(struct folio___pc *f)
{
	struct folio___v61 *old = (void *)f;

	if (!bpf_core_type_exists(struct folio___pc))
		return 1;
	if (bpf_core_field_exists(old->_folio_order))
		return 1ULL << (BPF_CORE_READ(old, _folio_order) & 31);
	return 1ULL << (KREAD(f, _flags_1) & 31);
}

/* Base pages of a folio, or of a page where there are no folios. */
static __always_inline __u64 folio_pages(struct folio___pc *f)
{
	__u64 flags = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), f);
	if (!(flags & 1ULL << bpf_core_enum_value(enum pageflags___pc, PG_head___pc)))
		return 1;
	return folio_large_pages(f);
}

/* ---- adds ---- */

struct folio_range {
	__u64 map, lo, hi;
	__u64 skip_lo, skip_hi; /* pages that are in use by the call that adds them */
};

static __always_inline void pending_add(const struct pending_key *file, const struct folio_range *r)
{
	struct pending_walk p = {.key = *file, .op = PENDING_SET, .lo = r->lo, .hi = r->skip_lo};

	pending_do(&p);
	p.lo = r->skip_hi;
	p.hi = r->hi;
	pending_do(&p);
}

static __always_inline void range_skip(struct folio_range *r, __u64 start, __u64 end)
{
	r->skip_lo = r->lo > start ? r->lo : start;
	r->skip_hi = r->hi < end ? r->hi : end;
}

/* True if this is the page the current fault waits for: its access is a miss. */
static __always_inline int add_in_fault(struct cache_thread *t, struct cache_counters *n,
					struct folio_range *r)
{
	if (!t->f_counted || t->f_kind != FAULT_FAULT || t->f_map != r->map || t->f_missed ||
	    t->f_idx < r->lo || t->f_idx >= r->hi)
		return 0;
	t->f_missed = 1;
	CHARGE(n, map_misses, 1);
	if (t->f_was_ra)
		CHARGE(n, map_ra, -1);
	else
		CHARGE(n, map_hits, -1);
	range_skip(r, t->f_idx, t->f_idx + 1);
	return 1;
}

#endif
