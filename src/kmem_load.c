/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kmem.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "kmem.skel.h"
#include "kmem_old.skel.h"
#include "lib/log.h"
#include "trace/collect.h"
#include "trace/features.h"
#include "trace/sampling.h"
#include "trace/skeleton.h"

#define SAMPLED_BLOCKS (256u << 10)
#define FULL_BLOCKS    (1u << 20)
#define PROCS	       32768 /* whose stacks are followed */

bool kmem_follows_all(const struct kmem_opts *o)
{
	return o->user_stack && cmd_wants_machine(&o->common);
}

bool kmem_is_old(void)
{
	return skeleton_is_old() || !feature_has(FEATURE_PERCPU_ELEM);
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
	c->no_cache = !feature_has(FEATURE_SLAB_EVENTS);
	c->cpus = (uint32_t)sysconf(_SC_NPROCESSORS_CONF);
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
	cfg->task_storage = !kmem_is_old(); /* typed pointers, where they are used */
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
	if (!err && !(k->bpf->rodata->kmem_cfg.twice && k->bpf->rodata->cfg.hold))
		err = bpf_map__set_autocreate(k->bpf->maps.turn_marks, false);
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
	err = tables_size(&k->tables, kmem_is_old(), (uint32_t)blocks, sites,
			  (struct cfg *)&k->bpf->rodata->cfg);
	if (!err)
		err = bpf_map__set_max_entries(
			k->bpf->maps.kmem_origins,
			kmem_is_old() ? sites : slots_count(sites) + slots_spill_room(sites));
	return err ? err : size_user_maps(k);
}

static int load(struct kmem *k)
{
	int err = size_maps(k);

	if (err)
		return err;
	kmem_choose(k);
	err = kmem_bpf__load(k->bpf);
	if (!err)
		err = tables_make_catch_all(&k->tables);
	if (!err)
		k->map_bytes = collect_map_bytes(k->bpf->obj);
	return err;
}

SKELETON_SAME(kmem, cfg);
SKELETON_SAME(kmem, kmem_cfg);
SKELETON_SAME(kmem, unwind_cfg);
SKELETON_SAME(kmem, sample_weights);
SKELETON_SAME(kmem, sample_logs);

static int open_bpf(struct kmem *k)
{
	size_t old_size;
	const void *old = kmem_old_bpf__elf_bytes(&old_size);

	k->bpf = calloc(1, sizeof(*k->bpf));
	if (!k->bpf || kmem_bpf__create_skeleton(k->bpf))
		return -ENOMEM;
	return skeleton_open(k->bpf->skeleton, kmem_is_old(), old, old_size);
}

int kmem_load(struct kmem *k)
{
	int err;

	if (k->o->user_stack && kmem_is_old()) {
		log_error("--user-stack: this kernel has no percpu-elem (memtally features)");
		return -EOPNOTSUPP;
	}
	err = open_bpf(k);
	if (!err)
		err = configure(k);
	if (err)
		return err;
	err = load(k);
	if (err)
		log_error("cannot load the BPF programs: %s%s", errno_name(err),
			  err == -ENOMEM ? " (a smaller --max-blocks needs less memory)" : "");
	return err;
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
