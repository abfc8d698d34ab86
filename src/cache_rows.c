/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counters of the BPF side, summed over CPUs, as differences between two reports. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "cmd_cache.h"
#include "trace/collect.h"

#define N_FIELDS (sizeof(struct cache_counters) / sizeof(uint64_t))

/* Field by field: all of them are 64-bit counters. */
static void counters_add(struct cache_counters *sum, const struct cache_counters *n)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)n;

	for (size_t i = 0; i < N_FIELDS; i++)
		to[i] += from[i];
}

static void counters_subtract(struct cache_counters *from, const struct cache_counters *n)
{
	uint64_t *to = (uint64_t *)from;
	const uint64_t *less = (const uint64_t *)n;

	for (size_t i = 0; i < N_FIELDS; i++)
		to[i] -= less[i];
}

struct reader {
	struct cache *c;
	int cpus;
};

/* Linear search would be quadratic with many rows: the table is kept sorted by key. */
static int key_compare(const struct cache_key *a, const struct cache_key *b)
{
	if (a->others != b->others)
		return a->others < b->others ? -1 : 1;
	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return a->dev == b->dev ? 0 : a->dev < b->dev ? -1 : 1;
}

static int entry_compare(const void *a, const void *b)
{
	return key_compare(&((const struct cache_entry *)a)->key,
			   &((const struct cache_entry *)b)->key);
}

static struct cache_entry *entry_find(struct cache_table *t, size_t n_sorted,
				      const struct cache_key *key)
{
	struct cache_entry want = {.key = *key};

	return n_sorted ? bsearch(&want, t->v, n_sorted, sizeof(want), entry_compare) : NULL;
}

static void entry_update(struct cache_entry *e, const struct cache_row *rows, int cpus)
{
	struct cache_counters sum = {0};

	for (int i = 0; i < cpus; i++)
		counters_add(&sum, &rows[i].n);
	e->n = sum;
	counters_subtract(&e->n, &e->total);
	e->total = sum;
}

/* New rows go behind the sorted ones: collect_each() shows no key twice. */
static int on_row(const void *key, const void *value, void *arg)
{
	struct cache *c = ((struct reader *)arg)->c;
	struct cache_table *t = &c->table;
	struct cache_entry *e = entry_find(t, t->reads, key);
	int err;

	if (!e) {
		err = array_reserve(&t->v, &t->cap, t->n + 1, sizeof(t->v[0]));
		if (err)
			return err;
		e = &t->v[t->n++];
		*e = (struct cache_entry){.key = *(const struct cache_key *)key};
	}
	entry_update(e, value, ((struct reader *)arg)->cpus);
	return 0;
}

static int read_total(struct reader *r)
{
	_cleanup_free_ struct cache_row *rows = calloc((size_t)r->cpus, sizeof(*rows));
	struct cache_key key = {0};
	uint32_t zero = 0;

	if (!rows)
		return -ENOMEM;
	if (bpf_map_lookup_elem(cache_map_fd(r->c, "cache_total"), &zero, rows))
		return -errno;
	return on_row(&key, rows, r);
}

int cache_rows_prepare(const struct cache *c)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ struct cache_row *rows = calloc((size_t)MAX(cpus, 1), sizeof(*rows));
	struct cache_key others = {.others = 1};

	if (!rows || cpus < 0)
		return rows ? cpus : -ENOMEM;
	return bpf_map_update_elem(cache_map_fd(c, "cache_rows"), &others, rows, BPF_ANY) ? -errno
											  : 0;
}

int cache_rows_read(struct cache *c)
{
	struct reader r = {c, libbpf_num_possible_cpus()};
	struct collect_map map = {
		.fd = cache_map_fd(c, "cache_rows"),
		.key_size = sizeof(struct cache_key),
		.value_size = sizeof(struct cache_row) * (size_t)MAX(r.cpus, 1),
	};
	int err;

	if (r.cpus < 0)
		return r.cpus;
	c->table.reads = c->table.n;
	for (size_t i = 0; i < c->table.n; i++)
		c->table.v[i].n = (struct cache_counters){0};
	err = c->by == CACHE_BY_TOTAL ? read_total(&r) : collect_each(&map, on_row, &r);
	if (!err && c->table.n)
		qsort(c->table.v, c->table.n, sizeof(c->table.v[0]), entry_compare);
	return err;
}

struct cache_counters cache_rows_sum(const struct cache *c)
{
	struct cache_counters sum = {0};

	for (size_t i = 0; i < c->table.n; i++)
		counters_add(&sum, &c->table.v[i].n);
	return sum;
}

struct cache_name cache_rows_name(const struct cache *c, uint64_t pid)
{
	struct cache_name name = {0};

	bpf_map_lookup_elem(cache_map_fd(c, "cache_names"), &pid, &name);
	name.comm[sizeof(name.comm) - 1] = '\0';
	return name;
}

static uint64_t sort_value(const struct cache_counters *n, int sort)
{
	switch (sort) {
	case CACHE_SORT_HITS:
		return cache_hits(n);
	case CACHE_SORT_MISSES:
		return cache_misses(n);
	case CACHE_SORT_RA:
		return cache_ra(n);
	case CACHE_SORT_DIRTIES:
		return n->dirtied;
	case CACHE_SORT_DIRECT:
		return n->direct_read_bytes + n->direct_write_bytes;
	default:
		return cache_hits(n) + cache_misses(n) + cache_ra(n);
	}
}

static int rank_compare(const void *a, const void *b, void *arg)
{
	const struct cache_entry *x = *(const struct cache_entry *const *)a;
	const struct cache_entry *y = *(const struct cache_entry *const *)b;
	int64_t vx = (int64_t)sort_value(&x->n, *(const int *)arg);
	int64_t vy = (int64_t)sort_value(&y->n, *(const int *)arg);

	if (vx != vy)
		return vx > vy ? -1 : 1;
	return key_compare(&x->key, &y->key);
}

static bool has_any(const struct cache_counters *n)
{
	const uint64_t *v = (const uint64_t *)n;

	for (size_t i = 0; i < N_FIELDS; i++)
		if (v[i])
			return true;
	return false;
}

int cache_rows_rank(const struct cache *c, const struct cache_entry ***ret, size_t *ret_n)
{
	const struct cache_entry **v = calloc(c->table.n + 1, sizeof(*v));
	int sort = c->o->common.sort;
	size_t n = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < c->table.n; i++)
		if (has_any(&c->table.v[i].n))
			v[n++] = &c->table.v[i];
	qsort_r(v, n, sizeof(*v), rank_compare, &sort);
	*ret = v;
	*ret_n = n;
	return 0;
}

/* ---- losses ---- */

static const struct stat_loss cache_losses[] = {
	{CACHE_STAT_PENDING_FULL,
	 {"pending_full", 0, "prefetched ranges not noted: their first use counts as a hit",
	  "free memory"}},
	{CACHE_STAT_ROWS_FULL,
	 {"rows_full", 0, "events in the row [others]: the table is full",
	  "restrict the targets, or another --by"}},
	{CACHE_STAT_THREADS_FULL,
	 {"threads_full", 0, "events not counted: no kernel memory for a thread's state",
	  "free memory"}},
	{CACHE_STAT_DIRECT_FULL,
	 {"direct_full", 0, "direct I/O requests not noted: the table is full",
	  "restrict the targets"}},
	{CACHE_STAT_DIRECT_UNENDED,
	 {"direct_unended", 0,
	  "direct I/O requests whose end had no event: their bytes are missing",
	  "repeat, on a machine less busy"}},
	{CACHE_STAT_CALLS_BROKEN,
	 {"calls_broken", 0, "reads or writes whose return the kernel's probe missed",
	  "a kernel with fentry, or --method syscalls"}},
	{CACHE_STAT_PATHS_LOST,
	 {"paths_lost", 0, "files without a name: the ring was full", "give memtally more CPU"}},
};

static const struct stat_loss common_losses[] = {
	{STAT_PROCS_FULL,
	 {"processes_full", 0, "processes not followed: the table of processes is full",
	  "restrict the targets"}},
};

/* Where an end is skipped, its request was counted when it was queued. */
static bool may_miss(const struct bpf_program *p)
{
	return strcmp(bpf_program__name(p), "cache_direct_end") == 0;
}

int cache_losses_read(struct cache *c, struct losses *ret)
{
	uint64_t own[CACHE_STAT_COUNT] = {0}, stats[STAT_COUNT] = {0};
	struct losses n = {
		.err = collect_stats(cache_map_fd(c, "cache_stats"), own, CACHE_STAT_COUNT)};

	if (!n.err)
		n.err = collect_stats(cache_map_fd(c, "stats"), stats, STAT_COUNT);
	losses_add_stats(&n, cache_losses, ARRAY_SIZE(cache_losses), own);
	c->missed = collect_misses(c->obj, may_miss, cache_map_fd(c, "stats"), c->missed);
	losses_add(&n,
		   (struct loss){"probes_missed", c->missed,
				 "events that the kernel skipped (recursion_misses)",
				 "another tracer on the same events, or too many readers per CPU "
				 "for a kernel that preempts programs"});
	losses_add_stats(&n, common_losses, ARRAY_SIZE(common_losses), stats);
	c->incomplete |= losses_any(&n);
	*ret = n;
	return n.err;
}

void cache_activity(struct cache *c, struct view_cost *ret)
{
	ret->events = 0;
	for (size_t i = 0; i < c->table.n; i++)
		ret->events += c->table.v[i].total.events;
	ret->run_ns = (double)collect_run_ns(c->obj);
}
