/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache.bpf.c - the page cache, by tracepoints that tell what readers find in it (v6.12,
 * b6273b55d885 "filemap: add trace events for get_pages, map_pages, and fault").
 *
 *	add		pages the running call wanted are misses; the others are pending
 *	get_pages	its first one accounts a read whole: pages that were pending are
 *			read-ahead, pages added before by this call misses, the rest hits
 *	map_pages,	one access per page fault on a mapped file
 *	fault
 *	dirty, delete	end a page's pending state
 *	dio begin/end	direct I/O, charged to who began it
 *
 * Pending state follows all processes; only the counters are those of wanted ones.
 */
#define UNWIND_NO_FIND_VMA
#include "cache_direct.bpf.h"
#include "cache_events.bpf.h"
#include "cache_fault.bpf.h"
#include "cache_read.bpf.h"

static __always_inline int on_add(struct folio___pc *folio)
{
	struct address_space___pc *mapping = folio->mapping;
	struct folio_range r = {.map = (__u64)mapping, .lo = folio->index};
	struct cache_thread *t = cache_thread();
	struct cache_counters *n;
	struct pending_key file;
	struct inode___pc *host;

	if (!mapping || !t)
		return 0;
	host = mapping->host;
	r.hi = r.lo + folio_pages(folio);
	r.skip_lo = r.skip_hi = r.hi;
	n = counters_of(host);
	CHARGE(n, added, r.hi - r.lo);
	if (!add_in_fault(t, n, &r))
		add_in_call(t, n, &r, mapping);
	pending_file(host, &file);
	pending_add(&file, &r);
	return 0;
}

CACHE_PROGRAMS(add, CACHE_ADD, mm_filemap_add_to_page_cache, folio_index((void *)ctx[0]),
	       on_add((void *)ctx[0]))

/* ---- reads ---- */

static __always_inline int on_get_pages(struct address_space___pc *mapping, unsigned long index,
					unsigned long last)
{
	struct cache_thread *t = cache_thread();
	struct call_now c;

	if (!t)
		return 0;
	call_now(mapping, &c);
	if (c.known && c.kind == IO_READ)
		read_known(t, mapping, &c);
	else
		read_unknown(t, mapping, &c, index, last);
	return 0;
}

CACHE_PROGRAMS(get_pages, CACHE_GET_PAGES, mm_filemap_get_pages, ctx[1],
	       on_get_pages((void *)ctx[0], ctx[1], ctx[2]))

/* ---- page faults ---- */

CACHE_PROGRAMS(map_pages, CACHE_MAP_PAGES, mm_filemap_map_pages, ctx[1],
	       fault_map((void *)ctx[0], ctx[1], ctx[2]))
CACHE_PROGRAMS(fault, CACHE_FAULT, mm_filemap_fault, ctx[1], fault_at((void *)ctx[0], ctx[1]))
