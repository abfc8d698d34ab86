/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_read.bpf.h - what adds and get_pages events mean to the call that causes them. */
#ifndef CACHE_READ_BPF_H
#define CACHE_READ_BPF_H

#include "cache_call.bpf.h"
#include "cache_count.bpf.h"
#include "cache_thread.bpf.h"

/* ---- adds ---- */

static __always_inline void call_open(struct cache_thread *t, __u64 map, const struct call_now *c)
{
	if (t->c_state != CALL_NONE && t->c_state != CALL_UNKNOWN && t->c_map == map &&
	    t->c_id == c->id && t->c_pos == c->pos)
		return;
	t->c_map = map;
	t->c_id = c->id;
	t->c_pos = c->pos;
	t->c_start = c->start;
	t->c_end = c->end;
	t->c_miss = 0;
	t->c_state = CALL_OPEN;
}

static __always_inline void add_in_read(struct cache_thread *t, struct cache_counters *n,
					struct folio_range *r, const struct call_now *c)
{
	__u64 x;

	call_open(t, r->map, c);
	x = overlap(r->lo, r->hi, t->c_start, t->c_end);
	if (!x)
		return;
	if (t->c_state == CALL_DONE) {
		CHARGE(n, read_misses, x);
		CHARGE(n, read_hits, -x);
	} else {
		t->c_miss += x;
	}
	range_skip(r, t->c_start, t->c_end);
}

/*
 * The pages are pending until get_pages tells the range. Those in the part that is
 * accounted already are misses at once; those outside are remembered as one range from the
 * first to the last: pages of an earlier read-ahead between two of them count as misses.
 */
static __always_inline void add_in_unknown(struct cache_thread *t, struct cache_counters *n,
					   struct folio_range *r, const struct call_now *c)
{
	if (t->c_state == CALL_UNKNOWN && t->c_map == r->map && t->c_id == c->id) {
		__u64 x = overlap(r->lo, r->hi, t->c_start, t->c_end);

		if (x) {
			CHARGE(n, read_misses, x);
			CHARGE(n, read_hits, -x);
			range_skip(r, t->c_start, t->c_end);
			return;
		}
	}
	if (t->p_map != r->map || t->p_id != c->id || t->p_lo >= t->p_hi) {
		t->p_map = r->map;
		t->p_id = c->id;
		t->p_lo = r->lo;
		t->p_hi = r->hi;
		return;
	}
	t->p_lo = r->lo < t->p_lo ? r->lo : t->p_lo;
	t->p_hi = r->hi > t->p_hi ? r->hi : t->p_hi;
}

static __always_inline void add_in_call(struct cache_thread *t, struct cache_counters *n,
					struct folio_range *r, struct address_space___pc *mapping)
{
	struct call_now c;

	call_now(mapping, &c);
	if (c.known && c.kind == IO_READ) {
		add_in_read(t, n, r, &c);
	} else if (c.known) {
		__u64 x = overlap(r->lo, r->hi, c.start, c.end);

		CHARGE(n, write_added, x);
		if (x)
			range_skip(r, c.start, c.end);
	} else {
		add_in_unknown(t, n, r, &c);
	}
}

/* ---- reads ---- */

static __always_inline void read_known(struct cache_thread *t, struct address_space___pc *mapping,
				       const struct call_now *c)
{
	struct cache_counters *n;
	struct pending_key file;
	__u64 ra;

	call_open(t, (__u64)mapping, c);
	if (t->c_state == CALL_DONE)
		return;
	t->c_state = CALL_DONE;
	pending_file(mapping->host, &file);
	ra = pending_take(&file, t->c_start, t->c_end);
	n = counters_of(mapping->host);
	CHARGE(n, read_ra, ra);
	CHARGE(n, read_misses, t->c_miss);
	CHARGE(n, read_hits, t->c_end - t->c_start - ra - t->c_miss);
}

/* Pages [lo, hi), of which the remembered adds of this very call are misses. */
static __always_inline void read_account(struct cache_thread *t, struct address_space___pc *mapping,
					 const struct call_now *c, __u64 lo, __u64 hi)
{
	struct cache_counters *n = counters_of(mapping->host);
	struct pending_key file;
	__u64 taken, miss = 0;

	pending_file(mapping->host, &file);
	taken = pending_take(&file, lo, hi);
	if (t->p_map == (__u64)mapping && t->p_id == c->id)
		miss = overlap(t->p_lo, t->p_hi, lo, hi);
	if (miss > taken)
		miss = taken;
	t->p_map = 0;
	CHARGE(n, read_misses, miss);
	CHARGE(n, read_ra, taken - miss);
	CHARGE(n, read_hits, hi - lo - taken);
}

/*
 * Where a request whose event says [index, last] goes on; past `last` if its pages are
 * accounted already. Batches of one request all end at the same page. sendfile and splice
 * read pipe by pipe, each piece beginning where the last one ended: in its last page, if
 * unaligned. A batch whose last page was still in flight had no event: what they left
 * behind since is made up for here.
 */
static __always_inline __u64 read_from(const struct cache_thread *t, __u64 map,
				       const struct call_now *c, __u64 index, __u64 last)
{
	int same = t->c_state == CALL_UNKNOWN && t->c_map == map && t->c_id == c->id;

	if (c->kind == IO_SPLICE) /* once more from the same place: not told apart otherwise */
		same = same && index > t->c_start;
	if (c->kind == IO_SENDFILE || c->kind == IO_SPLICE)
		return same ? t->c_end : c->start < index ? c->start : index;
	if (same && index > t->c_start && index <= t->c_end && t->c_last == last)
		return last + 1;
	return index;
}

static __always_inline void read_unknown(struct cache_thread *t, struct address_space___pc *mapping,
					 const struct call_now *c, __u64 index, __u64 last)
{
	__u64 size = mapping->host->i_size, end = last + 1;
	__u64 lo = read_from(t, (__u64)mapping, c, index, last);

	if (!size)
		return;
	size = ((size - 1) >> cache_cfg.page_shift) + 1;
	if (end > size)
		end = size;
	if (end <= lo) {
		t->p_map = 0; /* read ahead for what comes after this request: no misses of that */
		return;
	}
	read_account(t, mapping, c, lo, end);
	t->c_map = (__u64)mapping;
	t->c_id = c->id;
	t->c_pos = ~0ULL;
	t->c_start = lo < index ? lo : index;
	t->c_end = end;
	t->c_last = last;
	t->c_state = CALL_UNKNOWN;
}

#endif
