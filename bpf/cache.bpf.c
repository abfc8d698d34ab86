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
#include "cache_call.bpf.h"
#include "cache_count.bpf.h"

#define S_IFMT	0170000
#define S_IFREG 0100000

enum call_state { CALL_NONE, CALL_OPEN, CALL_DONE, CALL_UNKNOWN };
enum fault_kind { FAULT_MAP, FAULT_FAULT };

struct cache_thread {
	/* the call: [start, end) of it is accounted (DONE), or will be (OPEN) */
	__u64 c_map, c_id, c_pos, c_start, c_end, c_last, c_miss;
	/* pages added by a call whose range is not known, since its last accounting */
	__u64 p_map, p_id, p_lo, p_hi;
	/* the page fault */
	__u64 f_map, f_idx, f_start;
	__u32 c_state;
	__u8 f_kind, f_counted, f_missed, f_was_ra;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cache_thread);
} cache_threads SEC(".maps");

static __always_inline struct cache_thread *cache_thread(void)
{
	struct cache_thread *t;

	t = bpf_task_storage_get(&cache_threads, bpf_get_current_task_btf(), 0,
				 BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t)
		cache_count(CACHE_STAT_THREADS_FULL, 1);
	return t;
}

static __always_inline __u64 overlap(__u64 lo, __u64 hi, __u64 start, __u64 end)
{
	__u64 from = lo > start ? lo : start;
	__u64 to = hi < end ? hi : end;

	return to > from ? to - from : 0;
}

/* Base pages of a folio. */
static __always_inline __u64 folio_pages(struct folio *f)
{
	__u64 flags = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), f);
	if (!(flags & 1ULL << bpf_core_enum_value(enum pageflags, PG_head)))
		return 1;
	return 1ULL << (f->_flags_1 & 31);
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
					struct folio_range *r, struct address_space *mapping)
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

SEC("tp_btf/mm_filemap_add_to_page_cache")
int BPF_PROG(cache_add, struct folio *folio)
{
	struct address_space *mapping = folio->mapping;
	struct folio_range r = {.map = (__u64)mapping, .lo = folio->index};
	struct cache_thread *t = cache_thread();
	struct cache_counters *n;
	struct pending_key file;
	struct inode *host;

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

static __always_inline void read_known(struct cache_thread *t, struct address_space *mapping,
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
static __always_inline void read_account(struct cache_thread *t, struct address_space *mapping,
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
 * unaligned. A batch whose last page was still in flight had no event: what sendfile left
 * behind since is made up for here.
 */
static __always_inline __u64 read_from(const struct cache_thread *t, __u64 map,
				       const struct call_now *c, __u64 index, __u64 last)
{
	int same = t->c_state == CALL_UNKNOWN && t->c_map == map && t->c_id == c->id;

	if (c->kind == IO_SENDFILE)
		return same ? t->c_end : c->start < index ? c->start : index;
	if (!same || index <= t->c_start || index > t->c_end)
		return index;
	if (t->c_last == last)
		return last + 1;
	return c->kind == IO_SPLICE ? t->c_end : index;
}

static __always_inline void read_unknown(struct cache_thread *t, struct address_space *mapping,
					 const struct call_now *c, __u64 index, __u64 last)
{
	__u64 size = mapping->host->i_size, end = last + 1;
	__u64 lo = read_from(t, (__u64)mapping, c, index, last);

	if (!size)
		return;
	size = ((size - 1) >> cache_cfg.page_shift) + 1;
	if (end > size)
		end = size;
	if (end <= lo)
		return;
	read_account(t, mapping, c, lo, end);
	t->c_map = (__u64)mapping;
	t->c_id = c->id;
	t->c_pos = ~0ULL;
	t->c_start = lo < index ? lo : index;
	t->c_end = end;
	t->c_last = last;
	t->c_state = CALL_UNKNOWN;
}

SEC("tp_btf/mm_filemap_get_pages")
int BPF_PROG(cache_get_pages, struct address_space *mapping, unsigned long index,
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

/* ---- page faults on mapped files ---- */

static __always_inline void fault_begin(void)
{
	struct cache_thread *t;

	t = bpf_task_storage_get(&cache_threads, bpf_get_current_task_btf(), 0, 0);
	if (t)
		t->f_counted = 0;
}

SEC("tp_btf/page_fault_user")
int BPF_PROG(cache_fault_user)
{
	fault_begin();
	return 0;
}

SEC("tp_btf/page_fault_kernel")
int BPF_PROG(cache_fault_kernel)
{
	fault_begin();
	return 0;
}

SEC("tp_btf/mm_filemap_map_pages")
int BPF_PROG(cache_map_pages, struct address_space *mapping, unsigned long start, unsigned long end)
{
	struct cache_thread *t = cache_thread();
	struct cache_counters *n;
	struct pending_key file;
	__u64 taken;

	if (!t || end < start)
		return 0;
	pending_file(mapping->host, &file);
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
	n = counters_of(mapping->host);
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

SEC("tp_btf/mm_filemap_fault")
int BPF_PROG(cache_fault, struct address_space *mapping, unsigned long index)
{
	struct cache_thread *t = cache_thread();
	struct cache_counters *n;
	struct pending_key file;
	int same;

	if (!t)
		return 0;
	same = t->f_counted && t->f_map == (__u64)mapping;
	if (same && t->f_kind == FAULT_FAULT && t->f_idx == index)
		return 0;
	n = counters_of(mapping->host);
	if (!same || t->f_kind != FAULT_MAP) {
		CHARGE(n, map_hits, 1);
		t->f_was_ra = 0;
	}
	pending_file(mapping->host, &file);
	fault_correct(t, n, pending_take(&file, index, index + 1) > 0);
	t->f_counted = 1;
	t->f_map = (__u64)mapping;
	t->f_kind = FAULT_FAULT;
	t->f_idx = index;
	t->f_missed = 0;
	return 0;
}

/* ---- dirtied, removed ---- */

SEC("tp_btf/writeback_dirty_folio")
int BPF_PROG(cache_dirty, struct folio *folio, struct address_space *mapping)
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
int BPF_PROG(cache_delete, struct folio *folio)
{
	struct address_space *mapping = folio->mapping;
	struct pending_walk p = {.op = PENDING_REMOVE};
	struct cache_counters *n;
	struct inode *host;
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
	__u32 wanted, write;
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
int BPF_PROG(cache_direct_begin, struct kiocb *iocb, struct iov_iter *iter)
{
	struct inode *host = iocb->ki_filp->f_mapping->host;
	/* Not ki_flags: IOCB_WRITE is not set by write(2). */
	struct direct d = {.write = iter->data_source};
	__u64 id = (__u64)iocb;

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
int BPF_PROG(cache_direct_end, struct kiocb *iocb, int error, ssize_t ret)
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
