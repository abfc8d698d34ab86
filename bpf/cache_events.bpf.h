/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_events.bpf.h - what happens to pages and processes, whatever tells the reads. */
#ifndef CACHE_EVENTS_BPF_H
#define CACHE_EVENTS_BPF_H

#include "cache_fault.bpf.h"
#include "cache_thread.bpf.h"
#include "cache_turns.bpf.h"

#define S_IFMT	0170000
#define S_IFREG 0100000

/* ---- dirtied, removed ---- */

static __always_inline int page_dirtied(struct folio___pc *folio,
					struct address_space___pc *mapping)
{
	struct pending_key file;
	struct inode___pc *host;
	__u64 lo, hi;

	if (!mapping)
		return 0;
	host = KREAD(mapping, host);
	pending_file(host, &file);
	lo = folio_index(folio);
	hi = lo + folio_pages(folio);
	pending_take(&file, lo, hi);
	CHARGE(counters_of(host), dirtied, hi - lo);
	return 0;
}

CACHE_PROGRAMS(dirty, CACHE_DIRTY, writeback_dirty_folio, folio_index((void *)ctx[0]),
	       page_dirtied((void *)ctx[0], (void *)ctx[1]))
/* Before v5.18. */
CACHE_PROGRAMS(dirty_page, CACHE_DIRTY, writeback_dirty_page, folio_index((void *)ctx[0]),
	       page_dirtied((void *)ctx[0], (void *)ctx[1]))

static __always_inline int on_delete(struct folio___pc *folio)
{
	struct address_space___pc *mapping = folio_mapping(folio);
	struct pending_walk p = {.op = PENDING_REMOVE};
	struct cache_counters *n;
	struct inode___pc *host;
	__u64 unused;

	if (!mapping)
		return 0;
	host = KREAD(mapping, host);
	pending_file(host, &p.key);
	p.lo = folio_index(folio);
	p.hi = p.lo + folio_pages(folio);
	unused = pending_do(&p);
	n = counters_of(host);
	CHARGE(n, removed, p.hi - p.lo);
	/* Metadata of a file system is used without get_pages: not known to be for nothing. */
	if ((KREAD(host, i_mode) & S_IFMT) == S_IFREG)
		CHARGE(n, unused, unused);
	return 0;
}

CACHE_PROGRAMS(delete, CACHE_DELETE, mm_filemap_delete_from_page_cache, folio_index((void *)ctx[0]),
	       on_delete((void *)ctx[0]))

/* ---- processes ---- */

#define CLONE_THREAD 0x00010000

static __always_inline int on_newtask(struct task_struct___pc *task, __u64 clone_flags)
{
	__u32 parent = bpf_get_current_pid_tgid() >> 32;
	__u32 child = KREAD(task, pid);

	if (!(clone_flags & CLONE_THREAD) && bpf_map_lookup_elem(&procs, &parent))
		proc_add(child, proc_new_key(child));
	return 0;
}

CACHE_PROGRAMS(newtask, CACHE_NEWTASK, task_newtask, 0, on_newtask((void *)ctx[0], ctx[1]))

static __always_inline int on_exec(void)
{
	struct cache_key key = {.id = task_ids() >> 32};

	if (cache_cfg.by == CACHE_BY_PROCESS && bpf_map_lookup_elem(&cache_rows, &key))
		name_task(key.id);
	return 0;
}

CACHE_PROGRAMS(exec, CACHE_EXEC, sched_process_exec, 0, on_exec())

#endif
