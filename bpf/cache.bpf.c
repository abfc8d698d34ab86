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
#include "cache_fault.bpf.h"
#include "cache_read.bpf.h"

#define S_IFMT	0170000
#define S_IFREG 0100000

SEC("tp_btf/mm_filemap_add_to_page_cache")
int BPF_PROG(cache_add, struct folio___pc *folio)
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

/* ---- reads ---- */

SEC("tp_btf/mm_filemap_get_pages")
int BPF_PROG(cache_get_pages, struct address_space___pc *mapping, unsigned long index,
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

/* ---- dirtied, removed ---- */

SEC("tp_btf/writeback_dirty_folio")
int BPF_PROG(cache_dirty, struct folio___pc *folio, struct address_space___pc *mapping)
{
	struct pending_walk p = {.op = PENDING_TAKE};

	if (!mapping)
		return 0;
	pending_file(mapping->host, &p.key);
	p.lo = folio->index;
	p.hi = p.lo + folio_pages(folio);
	pending_take(&p.key, p.lo, p.hi);
	CHARGE(counters_of(mapping->host), dirtied, p.hi - p.lo);
	return 0;
}

SEC("tp_btf/mm_filemap_delete_from_page_cache")
int BPF_PROG(cache_delete, struct folio___pc *folio)
{
	struct address_space___pc *mapping = folio->mapping;
	struct pending_walk p = {.op = PENDING_REMOVE};
	struct cache_counters *n;
	struct inode___pc *host;
	__u64 unused;

	if (!mapping)
		return 0;
	host = mapping->host;
	pending_file(host, &p.key);
	p.lo = folio->index;
	p.hi = p.lo + folio_pages(folio);
	unused = pending_do(&p);
	n = counters_of(host);
	CHARGE(n, removed, p.hi - p.lo);
	/* Metadata of a file system is used without get_pages: not known to be for nothing. */
	if ((host->i_mode & S_IFMT) == S_IFREG)
		CHARGE(n, unused, unused);
	return 0;
}

/* ---- direct I/O ---- */

struct direct {
	struct cache_key key;
	__u32 wanted;
	__u8 write, at_end; /* at_end: reads nothing, so has no end event */
	__u16 pad;
};

/*
 * By kiocb: the end may come in another task's context. A request that ends without
 * an end (at EOF) leaves its entry to the next one with the same kiocb.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct direct);
} directs SEC(".maps");

SEC("?tp_btf/iomap_dio_rw_begin")
int BPF_PROG(cache_direct_begin, struct kiocb___pc *iocb, struct iov_iter___pc *iter)
{
	struct inode___pc *host = iocb->ki_filp->f_mapping->host;
	/* Not ki_flags: IOCB_WRITE is not set by write(2). */
	struct direct d = {.write = iter->data_source};
	__u64 id = (__u64)iocb;
	struct direct *old;

	d.at_end = !d.write && iocb->ki_pos >= host->i_size;
	old = bpf_map_lookup_elem(&directs, &id);
	if (old && old->wanted && !old->at_end)
		cache_count(CACHE_STAT_DIRECT_UNENDED, 1);
	d.wanted = cache_wanted();
	if (cache_cfg.by != CACHE_BY_TOTAL)
		row_key(host, &d.key);
	if (d.wanted)
		row_find(host, &d.key);
	if (bpf_map_update_elem(&directs, &id, &d, BPF_ANY))
		cache_count(CACHE_STAT_DIRECT_FULL, 1);
	return 0;
}

SEC("?tp_btf/iomap_dio_complete")
int BPF_PROG(cache_direct_end, struct kiocb___pc *iocb, int error, ssize_t ret)
{
	__u64 id = (__u64)iocb;
	struct direct *d = bpf_map_lookup_elem(&directs, &id);
	struct cache_counters *n;

	if (!d)
		return 0;
	n = d->wanted && ret > 0 ? row_find(NULL, &d->key) : NULL;
	if (d->write) {
		CHARGE(n, direct_writes, 1);
		CHARGE(n, direct_write_bytes, ret);
	} else {
		CHARGE(n, direct_reads, 1);
		CHARGE(n, direct_read_bytes, ret);
	}
	bpf_map_delete_elem(&directs, &id);
	return 0;
}

/* ---- processes ---- */

#define CLONE_THREAD 0x00010000

SEC("?tp/task/task_newtask")
int cache_newtask(struct trace_event_raw_task_newtask *ctx)
{
	__u32 parent = bpf_get_current_pid_tgid() >> 32;
	__u32 child = BPF_CORE_READ(ctx, pid);

	if (!(BPF_CORE_READ(ctx, clone_flags) & CLONE_THREAD) &&
	    bpf_map_lookup_elem(&procs, &parent))
		proc_add(child, proc_new_key(child));
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(cache_exec)
{
	struct cache_key key = {.id = task_ids() >> 32};

	if (cache_cfg.by == CACHE_BY_PROCESS && bpf_map_lookup_elem(&cache_rows, &key))
		name_task(key.id);
	return 0;
}
