/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kmem.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "kmem.skel.h"
#include "lib/log.h"
#include "trace/collect.h"
#include "trace/features.h"
#include "trace/sampling.h"

#define SAMPLED_BLOCKS (256u << 10)
#define FULL_BLOCKS    (1u << 20)
#define PROCS	       32768 /* whose stacks are followed */

#define TASK_BIT    (1u << 0) /* no memory: processes, for --user-stack */
#define SLAB_BIT    (1u << KMEM_SLAB)
#define PAGES_BIT   (1u << KMEM_PAGES)
#define VMALLOC_BIT (1u << KMEM_VMALLOC)
#define PERCPU_BIT  (1u << KMEM_PERCPU)

struct kmem_probe {
	const char *program, *event;
	unsigned int kind;
	bool allocates, required;
};

/* Attached in this order: frees first. */
static const struct kmem_probe probes[] = {
	{"kmem_exec", "sched_process_exec", TASK_BIT, false, true},
	{"kmem_kfree", "kfree", SLAB_BIT, false, true},
	{"kmem_cache_free", "kmem_cache_free", SLAB_BIT, false, true},
	{"kmem_page_free", "mm_page_free", PAGES_BIT, false, true},
	{"kmem_vmap_free", "free_vmap_area_noflush", VMALLOC_BIT, false, false}, /* v6.12 */
	{"kmem_percpu_free", "percpu_free_percpu", PERCPU_BIT, false, true},
	{"kmem_kmalloc", "kmalloc", SLAB_BIT, true, true},
	{"kmem_cache_alloc", "kmem_cache_alloc", SLAB_BIT, true, true},
	{"kmem_page_alloc", "mm_page_alloc", PAGES_BIT, true, true},
	{"kmem_vmap_alloc", "alloc_vmap_area", VMALLOC_BIT, true, false},
	{"kmem_percpu_alloc", "percpu_alloc_percpu", PERCPU_BIT, true, true},
};

/* Frees without a tracepoint: by the first way that the kernel has. */
static const struct {
	const char *fentry, *kprobe, *function;
} bulk_probes[] = {
	{"kmem_bulk_fentry", "kmem_bulk_kprobe", "kmem_cache_free_bulk"},
	{"kmem_kvfree_fentry", "kmem_kvfree_kprobe", "kvfree_call_rcu"},
};

_Static_assert(2 * ARRAY_SIZE(probes) - 1 + ARRAY_SIZE(bulk_probes) == KMEM_MAX_PROGRAMS, "links");

unsigned int kmem_kinds(const struct kmem_opts *o)
{
	static const unsigned int kinds[] = {
		[WHAT_DEFAULT] = SLAB_BIT | PAGES_BIT,
		[WHAT_SLAB] = SLAB_BIT,
		[WHAT_PAGES] = PAGES_BIT,
		[WHAT_VMALLOC] = VMALLOC_BIT,
		[WHAT_PERCPU] = PERCPU_BIT,
		[WHAT_ALL] = SLAB_BIT | PAGES_BIT | VMALLOC_BIT | PERCPU_BIT,
	};

	if (o->account)
		return PAGES_BIT;
	if (o->cache || o->suspect)
		return SLAB_BIT;
	return kinds[o->what];
}

bool kmem_follows_all(const struct kmem_opts *o)
{
	return o->user_stack && cmd_wants_machine(&o->common);
}

static bool is_chosen(const struct kmem *k, const struct kmem_probe *p)
{
	return p->kind & (kmem_kinds(k->o) | (k->o->user_stack ? TASK_BIT : 0));
}

/*
 * Whatever name of a merged cache was given, the kernel has one: that of slabinfo. A cache
 * that is not there yet is taken by its own name.
 */
static int filter_add(struct kmem *k, struct kmem_cfg *c, const char *name)
{
	_cleanup_(strlist_deinit) struct strlist aliases = {0};
	struct kmem_cache_filter *f = &c->caches[c->n_caches];

	if (!slab_counters_find(&k->slab_start, name) &&
	    !slab_aliases("/sys/kernel/slab", name, &aliases))
		for (size_t i = 0; i < aliases.n; i++)
			if (slab_counters_find(&k->slab_start, aliases.v[i]))
				name = aliases.v[i];
	if (strlen(name) >= sizeof(f->name)) {
		log_error("--cache: '%s' is longer than the name of a cache can be", name);
		return -EINVAL;
	}
	if (!slab_counters_find(&k->slab_start, name))
		log_warn("no slab cache is named '%s' yet; waiting for one", name);
	snprintf(f->name, sizeof(f->name), "%s", name);
	kmem_kmalloc_parse(name, f);
	c->n_caches++;
	return 0;
}

static int configure_caches(struct kmem *k, struct kmem_cfg *c)
{
	int err = k->o->cache ? filter_add(k, c, k->o->cache) : 0;

	for (size_t i = 0; i < k->n_suspects && !err; i++)
		err = filter_add(k, c, k->suspects[i]);
	return err;
}

static int configure_kmem(struct kmem *k, struct kmem_cfg *c)
{
	const struct kmem_opts *o = k->o;
	uint64_t start, end;
	int err;

	c->page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	c->sample_limit = UINT64_MAX / k->sample;
	if (getrandom(&c->sample_factor, sizeof(c->sample_factor), 0) !=
	    (ssize_t)sizeof(c->sample_factor))
		return -errno;
	c->sample_factor |= 1;
	c->twice = k->sample == 1;
	c->targets = o->common.pids.n || o->common.cgroup;
	c->by_process = o->common.by == KMEM_BY_PROCESS;
	c->user_stack = o->user_stack;
	if (o->site) {
		err = kmem_site_parse(o->site, &start, &end);
		if (err) {
			log_error("--site: no kernel function '%s': %s", o->site, errno_name(err));
			return err;
		}
		k->site_start = c->site_start = start;
		k->site_end = c->site_end = end;
	}
	return configure_caches(k, c);
}

static int configure(struct kmem *k)
{
	struct cfg *cfg = (struct cfg *)&k->bpf->rodata->cfg;

	cfg->min_size = k->o->min_size;
	cfg->max_size = k->o->max_size ? k->o->max_size : UINT64_MAX;
	cmd_configure(&k->o->common, kmem_follows_all(k->o), cfg);
	cmd_configure_unwind(&k->o->common, (struct unwind_cfg *)&k->bpf->rodata->unwind_cfg);
	cfg->task_storage = 1; /* typed pointers: no kernel without them has what we need */
	cfg->count_blocks = cfg->tick_clock = 1;
	sampling_fill(k->bpf->rodata->sample_weights, k->bpf->rodata->sample_logs);
	return configure_kmem(k, (struct kmem_cfg *)&k->bpf->rodata->kmem_cfg);
}

/*
 * The maps of user stacks: kernels before v6.8 verify functions that nobody calls (2afae08c9dcb
 * "bpf: Validate global subprogs lazily"), so that the tables are always there, if empty.
 */
static int size_user_maps(struct kmem *k)
{
	uint32_t procs = k->o->user_stack ? PROCS : 1;
	struct bpf_map *unused[] = {k->bpf->maps.threads, k->bpf->maps.threads_hash,
				    k->bpf->maps.thread_blank};
	int err = bpf_map__set_max_entries(k->bpf->maps.slices, procs);

	if (!err && k->o->user_stack)
		err = bpf_map__set_max_entries(k->bpf->maps.procs, procs);
	if (!err && k->o->user_stack)
		err = unwinder_size_maps(tracer_unwinder(k->tracer), k->bpf->obj, 0);
	for (size_t i = 0; i < ARRAY_SIZE(unused) && !err; i++)
		err = bpf_map__set_autocreate(unused[i], false);
	return err;
}

static int size_maps(struct kmem *k)
{
	uint64_t blocks = k->o->max_blocks ? k->o->max_blocks
			  : k->sample == 1 ? FULL_BLOCKS
					   : SAMPLED_BLOCKS;
	uint32_t sites = (uint32_t)k->o->max_stacks + 1;
	int err;

	k->tables = (struct tables){k->bpf->maps.block_slots,
				    k->bpf->maps.blocks,
				    k->bpf->maps.site_slots,
				    k->bpf->maps.sites,
				    0,
				    0};
	err = tables_size(&k->tables, (uint32_t)blocks, sites, (struct cfg *)&k->bpf->rodata->cfg);
	if (!err)
		err = bpf_map__set_max_entries(k->bpf->maps.kmem_origins,
					       slots_count(sites) + slots_spill_room(sites));
	return err ? err : size_user_maps(k);
}

static struct bpf_program *program(const struct kmem *k, const struct kmem_probe *p, bool second)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%s", p->program, second ? "_second" : "");
	return bpf_object__find_program_by_name(k->bpf->obj, name);
}

/* Each event of memory has two programs where every block counts. */
static bool has_second(const struct kmem *k, const struct kmem_probe *p)
{
	return k->sample == 1 && p->kind != TASK_BIT;
}

static const char *bulk_program(size_t i)
{
	return feature_has(FEATURE_FENTRY)   ? bulk_probes[i].fentry
	       : feature_has(FEATURE_KPROBE) ? bulk_probes[i].kprobe
					     : NULL;
}

static void choose_programs(struct kmem *k)
{
	unsigned int kinds = kmem_kinds(k->o);

	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		if (!is_chosen(k, &probes[i]))
			continue;
		bpf_program__set_autoload(program(k, &probes[i], false), true);
		if (has_second(k, &probes[i]))
			bpf_program__set_autoload(program(k, &probes[i], true), true);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bulk_probes) && kinds & SLAB_BIT; i++)
		if (bulk_program(i))
			bpf_program__set_autoload(
				bpf_object__find_program_by_name(k->bpf->obj, bulk_program(i)),
				true);
	if (!kmem_can_check(k))
		return;
	bpf_program__set_autoload(k->bpf->progs.kmem_locate, true);
	bpf_program__set_autoload(k->bpf->progs.kmem_confirm, true);
	bpf_program__set_autoload(k->bpf->progs.kmem_judge_batch, true);
}

static int load(struct kmem *k)
{
	int err = size_maps(k);

	if (err)
		return err;
	choose_programs(k);
	err = kmem_bpf__load(k->bpf);
	if (!err)
		err = tables_make_catch_all(&k->tables);
	if (!err)
		k->map_bytes = collect_map_bytes(k->bpf->obj);
	return err;
}

static int check_kernel(const struct kmem *k)
{
	if (!feature_has(FEATURE_LOOP))
		log_error("this kernel has no bpf_loop() (v5.17 or newer): only --watch, and "
			  "--account without a time");
	else if (kmem_kinds(k->o) & ~PAGES_BIT && !feature_has(FEATURE_SLAB_EVENTS))
		log_error("this kernel's events of slab objects do not name the cache (v6.1 or "
			  "newer do): only pages, --watch and --account");
	else
		return 0;
	return -EOPNOTSUPP;
}

int kmem_load(struct kmem *k)
{
	int err;

	err = check_kernel(k);
	if (err)
		return err;
	k->bpf = kmem_bpf__open();
	if (!k->bpf)
		return -errno;
	err = configure(k);
	if (err)
		return err;
	err = load(k);
	if (err)
		log_error("cannot load the BPF programs: %s%s", errno_name(err),
			  err == -ENOMEM ? " (a smaller --max-blocks needs less memory)" : "");
	return err;
}

static int attach_event(struct kmem *k, const struct kmem_probe *p, bool second)
{
	struct bpf_link *link = bpf_program__attach_raw_tracepoint(program(k, p, second), p->event);
	int err = libbpf_get_error(link);

	if (!err) {
		k->links[k->n_links++] = link;
		return 0;
	}
	if (p->required || k->o->what == WHAT_VMALLOC) {
		log_error("cannot attach to the tracepoint '%s': %s", p->event, errno_name(err));
		return err;
	}
	log_warn("no tracepoint '%s' in this kernel, ignoring", p->event);
	return 0;
}

/* Without them the check finds more blocks free, so that failing is no error. */
static void attach_bulk(struct kmem *k)
{
	for (size_t i = 0; i < ARRAY_SIZE(bulk_probes); i++) {
		struct bpf_link *link;

		if (!bulk_program(i))
			continue;
		link = bpf_program__attach(
			bpf_object__find_program_by_name(k->bpf->obj, bulk_program(i)));
		if (libbpf_get_error(link))
			log_debug("cannot attach to %s()", bulk_probes[i].function);
		else
			k->links[k->n_links++] = link;
	}
}

int kmem_attach(struct kmem *k)
{
	int err = 0;

	if (kmem_kinds(k->o) & SLAB_BIT)
		attach_bulk(k);
	for (size_t i = 0; i < ARRAY_SIZE(probes) && !err; i++) {
		if (!is_chosen(k, &probes[i]))
			continue;
		err = attach_event(k, &probes[i], false);
		if (!err && has_second(k, &probes[i]))
			err = attach_event(k, &probes[i], true);
	}
	return err;
}

void kmem_detach(struct kmem *k)
{
	/* Allocations first: nothing may come that is not seen to go. */
	while (k->n_links)
		bpf_link__destroy(k->links[--k->n_links]);
}

/* A free is checked later if the check works and knows its kind. */
static bool is_checked(const struct kmem *k, unsigned int kind)
{
	return k->checks && kind & (SLAB_BIT | PAGES_BIT);
}

void kmem_missed_read(const struct kmem *k, struct kmem_missed *ret)
{
	uint64_t stats[STAT_COUNT] = {0}, n;

	*ret = (struct kmem_missed){0};
	collect_stats(bpf_map__fd(k->bpf->maps.stats), stats, STAT_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		n = collect_program(program(k, &probes[i], false)).misses;
		if (probes[i].allocates)
			ret->allocs += n;
		else if (probes[i].kind != TASK_BIT && !is_checked(k, probes[i].kind))
			ret->frees +=
				has_second(k, &probes[i])
					? MIN(n,
					      collect_program(program(k, &probes[i], true)).misses)
					: n;
	}
	ret->allocs -= MIN(ret->allocs, stats[STAT_ALLOCS_SAVED]);
}

struct tracer_maps kmem_tracer_maps(const struct kmem *k)
{
	return (struct tracer_maps){
		.procs = bpf_map__fd(k->bpf->maps.procs),
		.slices = bpf_map__fd(k->bpf->maps.slices),
		.events = bpf_map__fd(k->bpf->maps.events),
		.cgroups = bpf_map__fd(k->bpf->maps.cgroups),
	};
}

struct bpf_object *kmem_user_object(const struct kmem *k)
{
	return k->o->user_stack ? k->bpf->obj : NULL;
}

void kmem_unload(struct kmem *k)
{
	kmem_detach(k);
	kmem_bpf__destroy(k->bpf);
	k->bpf = NULL;
}
