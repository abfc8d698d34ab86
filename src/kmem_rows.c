/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows of a report. The frames of the tracing itself are cut, and sites that differ in
 * nothing else become one row: the number of such frames changes when another tool puts a
 * second probe on the event.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "kmem.h"
#include "kmem.skel.h"
#include "trace/collect.h"
#include "trace/lives.h"

struct rows {
	struct kmem *k;
	struct row *v;
	size_t n, cap;
	uint64_t now_ns;
};

static const char *const kind_names[KMEM_KINDS] = {
	[KMEM_SLAB] = "slab",
	[KMEM_PAGES] = "pages",
	[KMEM_VMALLOC] = "vmalloc",
	[KMEM_PERCPU] = "percpu",
};

/* ---- what the tables say besides numbers ---- */

int kmem_by_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

_Static_assert(offsetof(struct kmem_cache_row, address) == 0, "kmem_by_u64");
_Static_assert(offsetof(struct kmem_origin_row, site) == 0, "kmem_by_u64");

static int on_cache(const void *key, const void *value, void *arg)
{
	struct kmem *k = arg;
	int err = array_reserve(&k->caches, &k->cap_caches, k->n_caches + 1, sizeof(*k->caches));

	if (err)
		return err;
	k->caches[k->n_caches].address = *(const uint64_t *)key;
	k->caches[k->n_caches++].info = *(const struct kmem_cache_info *)value;
	return 0;
}

static int on_origin(const void *key, const void *value, void *arg)
{
	struct kmem *k = arg;
	int err =
		array_reserve(&k->origins, &k->cap_origins, k->n_origins + 1, sizeof(*k->origins));

	if (err)
		return err;
	k->origins[k->n_origins].site = *(const uint64_t *)key;
	k->origins[k->n_origins++].o = *(const struct kmem_origin *)value;
	return 0;
}

/* After the sites: those of the last of them are there then, as are their stacks. */
static int read_origins(struct kmem *k)
{
	struct collect_map caches = {bpf_map__fd(k->bpf->maps.kmem_caches), sizeof(uint64_t),
				     sizeof(struct kmem_cache_info)};
	struct collect_map origins = {bpf_map__fd(k->bpf->maps.kmem_origins), sizeof(uint64_t),
				      sizeof(struct kmem_origin)};
	int err = tracer_drain(k->tracer);

	k->n_caches = k->n_origins = 0;
	if (!err)
		err = collect_each(&caches, on_cache, k);
	if (!err)
		err = collect_each(&origins, on_origin, k);
	if (!err && k->n_caches)
		qsort(k->caches, k->n_caches, sizeof(*k->caches), kmem_by_u64);
	if (!err && k->n_origins)
		qsort(k->origins, k->n_origins, sizeof(*k->origins), kmem_by_u64);
	return err;
}

static const struct kmem_origin *origin_find(const struct kmem *k, uint64_t site)
{
	const struct kmem_origin_row *r = k->n_origins ? bsearch(&site, k->origins, k->n_origins,
								 sizeof(*k->origins), kmem_by_u64)
						       : NULL;

	return r ? &r->o : NULL;
}

static const char *cache_name(struct kmem *k, const struct kmem_origin *o)
{
	const struct kmem_cache_row *c = o->cache && k->n_caches
						 ? bsearch(&o->cache, k->caches, k->n_caches,
							   sizeof(*k->caches), kmem_by_u64)
						 : NULL;
	char name[KMEM_NAME + 1];

	if (c)
		snprintf(name, sizeof(name), "%.*s", KMEM_NAME, c->info.name);
	else if (o->cache)
		snprintf(name, sizeof(name), "?");
	else
		kmem_kmalloc_name(o->size, o->gfp, name, sizeof(name));
	return kmem_intern(k, name);
}

/* ---- frames ---- */

static int name_frames(struct kmem *k, const uint64_t *addresses, size_t n, struct frame **ret,
		       size_t *ret_n)
{
	struct sym_stack stack = {.addresses = addresses, .n = n, .leaf_is_return = true};

	return symbolizer_kernel(k->sym, &stack, ret, ret_n);
}

/* How many leaf frames to cut: up to the caller of the allocator, where that is known. */
static size_t leaf_cut(struct kmem *k, const struct stack *st, uint64_t call_site)
{
	_cleanup_free_ struct frame *frames = NULL;
	size_t n;

	for (size_t i = 0; call_site && i < st->n && i < 16; i++)
		if (st->pcs[i] == call_site)
			return i;
	if (name_frames(k, (const uint64_t *)st->pcs, MIN(st->n, (size_t)8), &frames, &n))
		return 0;
	return kmem_tracing_frames(frames, n);
}

/* --account: only what no line of the account has. */
static bool is_elsewhere(struct kmem *k, const struct stack *st)
{
	_cleanup_free_ struct frame *frames = NULL;
	size_t n;

	return k->o->account && st &&
	       !name_frames(k, (const uint64_t *)st->pcs, st->n, &frames, &n) &&
	       kmem_is_accounted(frames, n);
}

/* --site: events of pages and vmalloc do not say who called, the stack does. */
static bool is_off_site(const struct kmem *k, const struct stack *st, uint8_t kind)
{
	if (!k->site_end || kind == KMEM_SLAB || kind == KMEM_PERCPU)
		return false;
	for (size_t i = 0; st && i < st->n; i++)
		if (st->pcs[i] >= k->site_start && st->pcs[i] < k->site_end)
			return false;
	return true;
}

/*
 * memtally's own allocations are not the machine's. What an interrupt allocates while
 * memtally happens to run is.
 */
static bool is_ours(struct kmem *k, const struct stack *st, const struct kmem_origin *o)
{
	_cleanup_free_ struct frame *frames = NULL;
	size_t n;

	if (!o->self || !st)
		return o->self;
	return name_frames(k, (const uint64_t *)st->pcs, st->n, &frames, &n) ||
	       !kmem_in_interrupt(frames, n);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9E3779B97F4A7C15ULL;
	return h ^ (h >> 32);
}

/* What the row stands for, as --by says: rows of equal id become one. */
static uint64_t row_identity(const struct kmem *k, const struct row *row,
			     const struct kmem_origin *o)
{
	uint64_t id = mix((uintptr_t)row->cache, (uint64_t)row->order);

	id = mix(id, row->user_stack);
	if (k->o->common.by == KMEM_BY_CACHE)
		return (uintptr_t)row->cache;
	if (k->o->common.by == KMEM_BY_SITE)
		return mix(id, row->n_addresses ? row->addresses[0] : o->call_site);
	for (size_t i = 0; i < row->n_addresses; i++)
		id = mix(id, row->addresses[i]);
	return id;
}

static void row_cut(struct kmem *k, struct row *row, const struct stack *st,
		    const struct kmem_origin *o)
{
	size_t cut = leaf_cut(k, st, o->call_site);
	_cleanup_free_ struct frame *frames = NULL;
	size_t n = MIN(st->n - cut, (size_t)12);

	if (k->o->common.by == KMEM_BY_SITE && !o->call_site &&
	    !name_frames(k, (const uint64_t *)st->pcs + cut, n, &frames, &n))
		cut += kmem_allocator_frames(frames, n);
	row->addresses = (uint64_t *)st->pcs + cut;
	row->n_addresses = k->o->common.by == KMEM_BY_SITE ? st->n > cut : st->n - cut;
}

/* The stack as a whole is as complete as its parts are. */
static void row_user(struct kmem *k, struct row *row, const struct kmem_origin *o)
{
	const struct stack *st = stacks_find(k->stacks, o->user);

	if (!st)
		return;
	row->user_stack = o->user;
	if (row->status == STACK_COMPLETE)
		row->status = (enum stack_status)st->status;
}

static void row_words(struct kmem *k, struct row *row, const struct kmem_origin *o, uint8_t kind)
{
	char gfp[256];

	row->comm = kmem_intern(k, o->comm);
	if (kind == KMEM_SLAB)
		row->cache = cache_name(k, o);
	if (kind != KMEM_PAGES)
		return;
	kmem_gfp_text(o->gfp, gfp, sizeof(gfp));
	row->gfp = kmem_intern(k, gfp);
	row->order = (int)o->order;
}

/* A row for a site; NULL with *ret_err 0 if it is not to be shown. */
static struct row *row_new(struct rows *r, uint64_t site, uint8_t kind, int *ret_err)
{
	const struct stack *st = stacks_find(r->k->stacks, site);
	const struct kmem_origin *found = origin_find(r->k, site);
	static const struct kmem_origin unknown;
	const struct kmem_origin *o = found ? found : &unknown;
	struct row *row;

	*ret_err = 0;
	if (is_ours(r->k, st, o) || is_elsewhere(r->k, st) || is_off_site(r->k, st, kind))
		return NULL;
	*ret_err = array_reserve(&r->v, &r->cap, r->n + 1, sizeof(*r->v));
	if (*ret_err)
		return NULL;
	row = &r->v[r->n++];
	*row = (struct row){
		.pid = (int)o->tgid,
		.kind = kind_names[kind] ? kind_names[kind] : "slab",
		.status = st ? (enum stack_status)st->status : STACK_NONE,
		.leaf_is_return = true,
		.age_p50_ns = AGE_UNKNOWN,
		.estimated = r->k->sample > 1,
		.cgroup_id = o->cgroup,
	};
	row_words(r->k, row, o, kind);
	if (st)
		row_cut(r->k, row, st, o);
	if (o->user)
		row_user(r->k, row, o);
	row->stack_id = row_identity(r->k, row, o);
	if (r->k->o->common.by == KMEM_BY_CACHE)
		row->n_addresses = 0;
	return row;
}

/* ---- totals per site ---- */

static int row_of_site(struct rows *r, uint64_t id, const struct site *s)
{
	int64_t count = collect_count(s);
	struct row *row;
	int err;

	if (count <= 0)
		return 0;
	row = row_new(r, id, s->kind % KMEM_KINDS, &err);
	if (!row)
		return err;
	row->bytes = (uint64_t)MAX(s->bytes, 0) * r->k->sample;
	row->count = (uint64_t)count * r->k->sample;
	row->allocs = s->allocs * r->k->sample;
	row->frees = s->frees * r->k->sample;
	row->age_mean_ns = collect_mean_age(s, r->now_ns);
	return 0;
}

static int read_sites(struct rows *r)
{
	struct site_list sites = {0};
	int err = tables_each_site(&r->k->tables, collect_site, &sites);

	if (!err)
		err = read_origins(r->k);
	for (size_t i = 0; i < sites.n && !err; i++)
		err = row_of_site(r, sites.v[i].id, &sites.v[i].site);
	free(sites.v);
	return err;
}

/* ---- blocks, for -a and -o ---- */

/* One row of n blocks of the same site, oldest first. */
static int on_lives(void *arg, const struct live *v, size_t n)
{
	struct rows *r = arg;
	int err;
	struct row *row = row_new(r, v[0].site, (uint8_t)(v[0].key.proc_key % KMEM_KINDS), &err);

	if (!row)
		return err;
	for (size_t i = 0; i < n; i++)
		row->bytes += v[i].b.size * r->k->sample;
	row->count = n * r->k->sample;
	lives_ages(v, n, r->now_ns, row);
	return r->k->o->show_allocs ? lives_list(v, n, r->now_ns, row) : 0;
}

static int read_blocks(struct rows *r)
{
	struct lives_query q = {&r->k->tables, r->now_ns - r->k->o->older_ns, r->k->stacks};
	struct lives lives;
	int err = lives_read(&q, &lives);

	if (!err)
		err = read_origins(r->k);
	if (!err)
		err = lives_each_site(&lives, on_lives, r);
	lives_deinit(&lives);
	return err;
}

int kmem_rows_read(struct kmem *k, struct row **ret, size_t *ret_n)
{
	struct rows r = {.k = k, .now_ns = clock_mono_ns()};
	int err = k->o->show_allocs || k->o->older_ns ? read_blocks(&r) : read_sites(&r);

	if (err) {
		rows_free(r.v, r.n);
		return err;
	}
	*ret = r.v;
	*ret_n = r.n;
	return 0;
}

/* Names the frames of the row's user stack and puts them behind those that it has. */
static int add_user_frames(struct kmem *k, struct row *row)
{
	const struct stack *st = stacks_find(k->stacks, row->user_stack);
	struct process *p =
		st ? processes_find_key(tracer_processes(k->tracer), st->proc_key) : NULL;
	static const struct maps none;
	_cleanup_free_ struct frame *frames = NULL;
	struct frame *all;
	size_t n;
	int err;

	if (!st)
		return 0;
	err = symbolizer_stack(k->sym,
			       &(struct sym_stack){
				       .pid = (pid_t)(uint32_t)st->proc_key,
				       .maps = p ? &p->maps : &none,
				       .addresses = st->pcs,
				       .n = st->n,
				       .leaf_is_return = true,
			       },
			       &frames, &n);
	if (err || !n)
		return err;
	all = reallocarray(row->frames, row->n_frames + n, sizeof(*all));
	if (!all)
		return -ENOMEM;
	memcpy(all + row->n_frames, frames, n * sizeof(*all));
	row->frames = all;
	row->n_frames += n;
	return 0;
}

int kmem_row_resolve(struct kmem *k, struct row *row)
{
	int err = 0;

	if (row->cgroup_id)
		row->cgroup = kmem_cgroup_path(k, row->cgroup_id);
	if (row->n_addresses)
		err = name_frames(k, row->addresses, row->n_addresses, &row->frames,
				  &row->n_frames);
	return err || !row->user_stack ? err : add_user_frames(k, row);
}
