/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows of a report. Totals come from the site table alone: its size is the number of
 * stacks, however many blocks live. Only -a and -o walk the blocks.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "leak.h"
#include "trace/collect.h"
#include "trace/lives.h"

struct rows {
	struct leak *l;
	struct row *v;
	size_t n, cap;
	uint64_t now_ns;
	uint64_t unit; /* of bytes and counts: SAMPLE_UNIT where they may be sampled */
	bool sampled;
};

static const char *const kind_names[] = {
	[ALLOC_KIND_MALLOC] = "malloc",
	[ALLOC_KIND_MMAP] = "mmap",
	[ALLOC_KIND_CUSTOM] = "custom",
};

/* A row for a site; NULL with *ret_err 0 if it is not to be shown. */
static struct row *row_new(struct rows *r, uint64_t site, uint64_t proc_key, int *ret_err)
{
	const struct stack *st = stacks_find(r->l->stacks, site);
	struct process *p = processes_find_key(tracer_processes(r->l->tracer), proc_key);
	struct row *row;

	*ret_err = 0;
	if (p && leak_forgets(r->l, p))
		return NULL;
	*ret_err = array_reserve(&r->v, &r->cap, r->n + 1, sizeof(*r->v));
	if (*ret_err)
		return NULL;
	row = &r->v[r->n++];
	*row = (struct row){
		.pid = (int)(uint32_t)proc_key,
		.comm = p ? p->comm : "",
		.kind = st ? kind_names[st->kind & 3] : "malloc",
		.stack_id = st ? st->site : site, /* one row for all sites of a stack */
		.status = st ? (enum stack_status)st->status : STACK_NONE,
		.addresses = st ? (uint64_t *)st->pcs : NULL,
		.n_addresses = st ? st->n : 0,
		.tid = st && r->l->o->common.by == LEAK_BY_THREAD ? (int)st->tid : 0,
		.leaf_is_return = true,
		.age_p50_ns = AGE_UNKNOWN,
	};
	return row;
}

/* ---- totals per site ---- */

static int row_of_site(struct rows *r, uint64_t id, const struct site *s)
{
	int64_t count = collect_count(s);
	struct row *row;
	int err;

	if (s->kind == ALLOC_KIND_MMAP || count <= 0)
		return 0;
	row = row_new(r, id, s->proc_key, &err);
	if (!row)
		return err;
	row->bytes = (uint64_t)MAX(s->bytes, 0) / r->unit;
	row->count = ((uint64_t)count + r->unit / 2) / r->unit;
	row->estimated = r->sampled;
	row->allocs = s->allocs;
	row->frees = s->frees;
	row->age_mean_ns = collect_mean_age(s, r->now_ns);
	return 0;
}

static int read_sites(struct rows *r)
{
	struct site_list sites = {0};
	int err = tables_each_site(&r->l->tables, collect_site, &sites);

	if (!err)
		err = tracer_drain(r->l->tracer);
	for (size_t i = 0; i < sites.n && !err; i++)
		err = row_of_site(r, sites.v[i].id, &sites.v[i].site);
	free(sites.v);
	return err;
}

/* ---- blocks, for -a and -o ---- */

/* How many blocks like it a block stands for, in units. */
static uint64_t block_weight(const struct rows *r, const struct live *b)
{
	uint64_t interval = sample_interval_of(r->l->o->sample_bytes, b->b.step);

	return r->unit == 1
		       ? 1
		       : sample_weight_of(b->b.size, interval, r->l->bpf->rodata->sample_weights);
}

/* One row of n blocks of the same site, oldest first. */
static int on_lives(void *arg, const struct live *v, size_t n)
{
	uint64_t bytes = 0, count = 0, w;
	struct rows *r = arg;
	struct row *row;
	int err;

	row = row_new(r, v[0].site, v[0].key.proc_key, &err);
	if (!row)
		return err;
	for (size_t i = 0; i < n; i++) {
		w = block_weight(r, &v[i]);
		bytes += v[i].b.size * w;
		count += w;
	}
	row->bytes = bytes / r->unit;
	row->count = (count + r->unit / 2) / r->unit;
	row->estimated = r->sampled;
	lives_ages(v, n, r->now_ns, row);
	return r->l->o->show_allocs ? lives_list(v, n, r->now_ns, row) : 0;
}

static int read_blocks(struct rows *r)
{
	struct lives_query q = {&r->l->tables, r->now_ns - r->l->o->older_ns, r->l->stacks};
	struct lives lives;
	int err = lives_read(&q, &lives);

	if (!err)
		err = tracer_drain(r->l->tracer);
	if (!err)
		err = lives_each_site(&lives, on_lives, r);
	lives_deinit(&lives);
	return err;
}

/* ---- mapped ranges ---- */

/*
 * Memory that an allocator maps for itself is not the program's leak. What it maps inside
 * malloc the BPF side hides already; here remain threads and constructors of allocator
 * libraries, and free(), whose end nobody probes (glibc makes a thread's arena there).
 */
static bool mapped_by_allocator(struct leak *l, struct process *p, const struct stack *st)
{
	for (size_t i = 0; st && i < st->n; i++) {
		const struct mapping *m = maps_find(&p->maps, st->pcs[i] - 1);
		struct object *o;
		uint64_t bias;

		if (!m || objects_get(tracer_objects(l->tracer), p->pid, m, &o))
			continue;
		if (i == 0 && probes_is_allocator(l->probes, o))
			return true;
		if (!object_bias(o, m, &bias) &&
		    probes_is_allocating(l->probes, o, st->pcs[i] - 1 - bias))
			return true;
	}
	return false;
}

static int by_site_then_first(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->site != y->site)
		return x->site < y->site ? -1 : 1;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static int keep_ranges(struct row *row, const struct range *v, size_t n, uint64_t now_ns)
{
	row->blocks = calloc(n, sizeof(*row->blocks));
	if (!row->blocks)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		row->blocks[i] =
			(struct block){v[i].start, v[i].end - v[i].start, now_ns - v[i].born_ns};
	row->n_blocks = n;
	return 0;
}

/* Sums up n ranges of one site; the rests of one mmap count as one. */
static void sum_ranges(struct row *row, const struct range *v, size_t n, uint64_t now_ns)
{
	uint64_t age_sum_us = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t age_ns = now_ns - v[i].born_ns;

		row->bytes += v[i].end - v[i].start;
		if (i && v[i].first == v[i - 1].first && v[i].born_ns == v[i - 1].born_ns)
			continue;
		row->count++;
		age_sum_us += age_ns / 1000;
		row->age_max_ns = MAX(row->age_max_ns, age_ns);
	}
	row->allocs = row->count;
	row->age_mean_ns = age_sum_us / row->count * 1000;
	row->has_ages = true;
}

/* One row of n ranges of the same site. */
static int row_of_ranges(struct rows *r, struct process *p, const struct range *v, size_t n)
{
	const struct stack *st = stacks_find(r->l->stacks, v[0].site);
	struct row *row;
	int err;

	if (mapped_by_allocator(r->l, p, st)) {
		for (size_t i = 0; i < n; i++)
			r->l->internal_bytes += v[i].end - v[i].start;
		return 0;
	}
	row = row_new(r, v[0].site, p->key, &err);
	if (!row)
		return err;
	row->kind = kind_names[ALLOC_KIND_MMAP];
	sum_ranges(row, v, n, r->now_ns);
	return r->l->o->show_allocs ? keep_ranges(row, v, n, r->now_ns) : 0;
}

static int read_ranges_of(struct rows *r, struct process *p)
{
	uint64_t born_before = r->now_ns - r->l->o->older_ns;
	_cleanup_free_ struct range *v = NULL;
	size_t n = 0, first = 0;
	int err = 0;

	v = calloc(ranges_count(p->ranges) + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < ranges_count(p->ranges); i++) {
		const struct range *range = ranges_at(p->ranges, i);

		if (range->site == RANGE_UNCOUNTED || range->born_ns > born_before)
			continue;
		v[n] = *range;
		v[n++].site = stacks_site(r->l->stacks, range->site);
	}
	qsort(v, n, sizeof(*v), by_site_then_first);
	for (size_t i = 1; i <= n && !err; i++) {
		if (i < n && v[i].site == v[first].site)
			continue;
		err = row_of_ranges(r, p, &v[first], i - first);
		first = i;
	}
	return err;
}

static int read_ranges(struct rows *r)
{
	struct processes *all = tracer_processes(r->l->tracer);
	int err = 0;

	r->l->internal_bytes = 0;
	for (size_t i = 0; i < processes_count(all) && !err; i++) {
		struct process *p = processes_at(all, i);

		if (p->ranges && !leak_forgets(r->l, p))
			err = read_ranges_of(r, p);
	}
	return err;
}

bool leak_walks_blocks(const struct leak *l)
{
	return l->o->show_allocs || l->o->older_ns;
}

int leak_rows_read(struct leak *l, struct row **ret, size_t *ret_n)
{
	struct rows r = {
		.l = l,
		.now_ns = clock_mono_ns(),
		.unit = l->o->sample_bytes || l->o->max_overhead > 0 ? SAMPLE_UNIT : 1,
		.sampled = l->o->sample_bytes || l->throttle.raised,
	};
	int err;

	err = leak_walks_blocks(l) ? read_blocks(&r) : read_sites(&r);
	if (!err)
		err = read_ranges(&r);
	if (err) {
		rows_free(r.v, r.n);
		return err;
	}
	*ret = r.v;
	*ret_n = r.n;
	return 0;
}

int leak_row_resolve(struct leak *l, struct row *row)
{
	struct processes *all = tracer_processes(l->tracer);
	const struct stack *st = stacks_find(l->stacks, row->stack_id);
	struct process *p = st ? processes_find_key(all, st->proc_key) : NULL;

	if (!p || !row->n_addresses)
		return 0;
	return symbolizer_stack(l->sym,
				&(struct sym_stack){
					.pid = p->pid,
					.maps = &p->maps,
					.addresses = row->addresses,
					.n = row->n_addresses,
					.leaf_is_return = row->leaf_is_return,
				},
				&row->frames, &row->n_frames);
}
