/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configures, sizes and loads the programs of `memtally faults`, as the options need them. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "faults.h"
#include "faults.skel.h"
#include "faults_old.skel.h"
#include "lib/log.h"
#include "trace/collect.h"
#include "trace/features.h"
#include "trace/skeleton.h"

#define PROCS_EVERY 32768
#define RSS_PAGES   (1u << 20) /* of the table of resident pages, before sampling */

static uint32_t log2_of(uint64_t power)
{
	uint32_t n = 0;

	while (power >>= 1)
		n++;
	return n;
}

static void configure(struct faults *f)
{
	struct fault_cfg *fc = (struct fault_cfg *)&f->bpf->rodata->fault_cfg;
	struct cfg *cfg = (struct cfg *)&f->bpf->rodata->cfg;
	const struct faults_opts *o = f->o;

	cmd_configure(&o->common, f->every, cfg);
	cfg->task_storage = feature_has(FEATURE_TASK_STORAGE);
	fc->classify = o->detail == FAULTS_DETAIL_FULL && !o->bad && o->sample == 1;
	fc->timed = o->detail != FAULTS_DETAIL_COUNT && o->sample == 1;
	fc->turns = feature_has(FEATURE_EVENTS_SKIPPED);
	fc->both_ends = fc->timed && o->major == o->minor;
	fc->by_stack = !!(f->by & FAULTS_BY_STACK) && !o->bad;
	fc->by_thread = !!(f->by & FAULTS_BY_THREAD);
	fc->range_shift = f->by & FAULTS_BY_RANGE ? log2_of(o->range_bytes) : 0;
	fc->rss = o->rss;
	fc->rss_every = (uint32_t)o->sample;
	fc->seed = clock_real_ns() * 0x9E3779B97F4A7C15ULL;
	fc->page_shift = log2_of((uint64_t)sysconf(_SC_PAGESIZE));
	if (faults_counters_usable(f))
		fc->counters = (o->major || !o->minor ? FAULT_COUNTERS_MAJOR : 0) |
			       (o->minor || !o->major ? FAULT_COUNTERS_MINOR : 0);
	cmd_configure_unwind(&o->common, (struct unwind_cfg *)&f->bpf->rodata->unwind_cfg);
}

/* What the options do not need is not made; the verifier removes the code that uses it. */
static int drop_maps(struct faults *f)
{
	struct bpf_map *always[] = {
		f->bpf->maps.threads,
		f->bpf->maps.threads_hash,
		f->bpf->maps.thread_blank,
		feature_has(FEATURE_TASK_STORAGE) ? f->bpf->maps.fault_threads_hash
						  : f->bpf->maps.fault_threads,
	};
	struct bpf_map *counts[] = {
		f->bpf->maps.fault_cells,
		f->bpf->maps.fault_index,
		f->bpf->maps.fault_free,
	};
	struct bpf_map *resident[] = {f->bpf->maps.blocks, f->bpf->maps.sites};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(always) && !err; i++)
		err = bpf_map__set_autocreate(always[i], false);
	for (size_t i = 0; i < ARRAY_SIZE(counts) && !err && f->o->rss; i++)
		err = bpf_map__set_autocreate(counts[i], false);
	for (size_t i = 0; i < ARRAY_SIZE(resident) && !err && !f->o->rss; i++)
		err = bpf_map__set_autocreate(resident[i], false);
	if (!err && f->o->sample == 1)
		err = bpf_map__set_autocreate(f->bpf->maps.fault_calls, false);
	return err;
}

static uint32_t n_rows(const struct faults *f)
{
	return (uint32_t)f->o->max_rows + 1; /* and the one for all others */
}

static int size_maps(struct faults *f)
{
	bool many = f->every || f->o->common.cgroup || f->o->common.follow;
	struct {
		struct bpf_map *map;
		uint32_t n;
	} sizes[] = {
		{f->bpf->maps.fault_cells, n_rows(f)},
		{f->bpf->maps.fault_index, n_rows(f)},
		{f->bpf->maps.fault_free, n_rows(f)},
		{f->bpf->maps.sites, n_rows(f)},
		{f->bpf->maps.blocks, RSS_PAGES / (uint32_t)MIN(f->o->sample, 16u)},
		{f->bpf->maps.procs, many ? PROCS_EVERY : 4096},
		{f->bpf->maps.slices, many ? PROCS_EVERY : 4096},
		{f->bpf->maps.fault_procs, many ? PROCS_EVERY : 4096},
	};
	int err = drop_maps(f);

	for (size_t i = 0; i < ARRAY_SIZE(sizes) && !err; i++)
		err = bpf_map__set_max_entries(sizes[i].map, sizes[i].n);
	return err ? err : unwinder_size_maps(tracer_unwinder(f->tracer), f->bpf->obj, 0);
}

/* With the place where what finds no row is counted. */
static int fill_tables(struct faults *f)
{
	struct faults_cells_maps maps = {
		.cells_fd = bpf_map__fd(f->bpf->maps.fault_cells),
		.index_fd = bpf_map__fd(f->bpf->maps.fault_index),
		.free_fd = bpf_map__fd(f->bpf->maps.fault_free),
		.given = &f->bpf->bss->fault_cells_given,
	};
	struct site site = {.sent = 1};
	uint64_t id = CATCH_ALL_SITE;

	if (f->o->rss)
		return bpf_map_update_elem(f->sites_fd, &id, &site, BPF_ANY);
	return faults_cells_new(&maps, n_rows(f), &f->cells);
}

static void note_maps(struct faults *f)
{
	f->obj = f->bpf->obj;
	f->procs_fd = bpf_map__fd(f->bpf->maps.fault_procs);
	f->sites_fd = bpf_map__fd(f->bpf->maps.sites);
	f->stats_fd = bpf_map__fd(f->bpf->maps.stats);
	f->fault_stats_fd = bpf_map__fd(f->bpf->maps.fault_stats);
	f->map_bytes = collect_map_bytes(f->obj);
}

SKELETON_SAME(faults, cfg);
_Static_assert(offsetof(struct faults_bpf__bss, fault_cells_given) ==
		       offsetof(struct faults_old_bpf__bss, fault_cells_given),
	       "bss");
SKELETON_SAME(faults, fault_cfg);
SKELETON_SAME(faults, unwind_cfg);

static int open_bpf(struct faults *f)
{
	size_t old_size;
	const void *old = faults_old_bpf__elf_bytes(&old_size);

	f->bpf = calloc(1, sizeof(*f->bpf));
	if (!f->bpf || faults_bpf__create_skeleton(f->bpf))
		return -ENOMEM;
	return skeleton_open(f->bpf->skeleton, skeleton_is_old(), old, old_size);
}

int faults_load(struct faults *f)
{
	int err;

	err = open_bpf(f);
	if (err) {
		log_error("cannot open the BPF programs: %s", errno_name(err));
		return err;
	}
	configure(f);
	faults_select(f);
	err = size_maps(f);
	if (!err)
		err = faults_bpf__load(f->bpf);
	if (!err) {
		note_maps(f);
		err = fill_tables(f);
	}
	if (err)
		log_error("cannot load the BPF programs: %s", errno_name(err));
	return err;
}
