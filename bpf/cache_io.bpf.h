/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_io.bpf.h - a read or write from its begin to its end, where both are seen. */
#ifndef CACHE_IO_BPF_H
#define CACHE_IO_BPF_H

#include "cache_count.bpf.h"
#include "cache_thread.bpf.h"

/*
 * The call in flight: c_state CALL_OPEN; c_last: a reader's bytes before this function; c_id:
 * its kiocb, if asynchronous.
 */
static __always_inline void io_begin(struct cache_thread *t, struct address_space___pc *mapping,
				     __u64 pos, __u64 bytes)
{
	__u64 size = KREAD2(mapping, host, i_size), end = pos + bytes;

	if (t->c_state == CALL_OPEN)
		cache_count(CACHE_STAT_CALLS_BROKEN, 1);
	t->c_miss = 0;
	t->c_map = (__u64)mapping;
	t->c_pos = pos;
	t->c_id = 0;
	t->c_last = 0;
	t->c_write = 0;
	end = end < size ? end : size;
	t->c_start = pos >> cache_cfg.page_shift;
	t->c_end = end > pos ? ((end - 1) >> cache_cfg.page_shift) + 1 : t->c_start;
	t->c_state = CALL_OPEN;
}

/* The reader got `bytes` from where it began. Returns how many of the pages were misses. */
static __always_inline __u64 io_read_end(struct cache_thread *t, __s64 bytes)
{
	struct address_space___pc *mapping = (void *)t->c_map;
	struct inode___pc *host = KREAD(mapping, host);
	__u64 end, ra, miss = t->c_miss;
	struct cache_counters *n;
	struct pending_key file;

	if (bytes <= 0)
		return 0;
	end = ((t->c_pos + bytes - 1) >> cache_cfg.page_shift) + 1;
	pending_file(host, &file);
	ra = pending_take(&file, t->c_start, end);
	if (miss > end - t->c_start)
		miss = end - t->c_start;
	n = counters_of(host);
	CHARGE(n, read_ra, ra);
	CHARGE(n, read_misses, miss);
	CHARGE(n, read_hits, end - t->c_start - ra - miss);
	return miss;
}

/* ---- pages added ---- */

/* What a read adds in its range are its misses; all that a write adds is its own. */
static __always_inline void add_in_io(struct cache_thread *t, struct cache_counters *n,
				      struct folio_range *r)
{
	__u64 x;

	if (t->c_state != CALL_OPEN || t->c_map != r->map)
		return;
	t->c_added = 1;
	if (t->c_write) {
		CHARGE(n, write_added, r->hi - r->lo);
		range_skip(r, r->lo, r->hi);
		return;
	}
	x = overlap(r->lo, r->hi, t->c_start, t->c_end);
	if (!x)
		return;
	t->c_miss += x;
	range_skip(r, t->c_start, t->c_end);
}

/* ---- reads that are tried again ---- */

/*
 * An asynchronous read (io_uring) that may not wait adds pages and fails; it is tried again by
 * the same kiocb, often in another thread. Least recently used ones make room: of a read that
 * was given up nothing is waited for.
 */
struct retry {
	__u64 map, pos, miss;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* kiocb */
	__type(value, struct retry);
} cache_retries SEC(".maps");

/* kiocb: of the asynchronous read that has begun. */
static __always_inline void retry_take(struct cache_thread *t, __u64 kiocb)
{
	struct retry *r = bpf_map_lookup_elem(&cache_retries, &kiocb);

	t->c_id = kiocb;
	if (!r)
		return;
	if (r->map == t->c_map && r->pos == t->c_pos)
		t->c_miss = r->miss;
	bpf_map_delete_elem(&cache_retries, &kiocb);
}

/* Misses of the pages behind what it got. */
static __always_inline void retry_note(struct cache_thread *t, __s64 got, __u64 accounted)
{
	__u64 kiocb = t->c_id;
	struct retry r = {
		.map = t->c_map,
		.pos = t->c_pos + (got > 0 ? got : 0),
		.miss = t->c_miss - accounted,
	};

	if (kiocb && r.miss)
		bpf_map_update_elem(&cache_retries, &kiocb, &r, BPF_ANY);
}

#endif
