/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leak_load.c - tables sized, programs configured and loaded, probes attached.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "leak.h"
#include "leak_old.skel.h"
#include "raw_stack.h"
#include "lib/log.h"
#include "trace/collect.h"
#include "trace/features.h"
#include "trace/sampling.h"
#include "trace/skeleton.h"
#include "trace/unwind_objects.h"

#define DEFAULT_BLOCKS (2u << 20)
#define MIN_BLOCKS     (64u << 10)
#define DEFAULT_STACKS (64u << 10)
#define BLOCK_BYTES    104 /* of kernel memory for a block, at most */
#define PROCS_EVERY    32768
#define RAW_PART       4 /* of the table of stacks: for stacks that are finished late */

/* As many blocks as an eighth of the available memory holds, 2 Mi at most. */
static uint64_t default_blocks(void)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long kib = 0;
	char *line;

	if (read_file("/proc/meminfo", &text, NULL))
		return MIN_BLOCKS;
	line = strstr(text, "MemAvailable:");
	if (!line || sscanf(line, "MemAvailable: %llu", &kib) != 1)
		return MIN_BLOCKS;
	return MAX(MIN(kib * 1024 / 8 / BLOCK_BYTES, DEFAULT_BLOCKS), MIN_BLOCKS);
}

bool leak_wants_every(const struct leak_opts *o)
{
	return o->common.all || o->common.cgroup;
}

bool leak_filters(const struct leak_opts *o)
{
	return o->min_size || o->max_size || o->sample_bytes || o->max_overhead > 0;
}

static uint64_t max_stacks(const struct leak_opts *o)
{
	return o->max_stacks ? o->max_stacks : DEFAULT_STACKS;
}

static void configure(const struct leak_opts *o, struct leak_bpf *bpf)
{
	struct unwind_cfg *uc = (struct unwind_cfg *)&bpf->rodata->unwind_cfg;
	struct cfg *cfg = (struct cfg *)&bpf->rodata->cfg;

	cfg->min_size = o->min_size;
	cfg->max_size = o->max_size ? o->max_size : UINT64_MAX;
	cfg->sample_bytes = o->sample_bytes;
	cfg->sample_moves = cfg->count_blocks = o->max_overhead > 0;
	cmd_configure(&o->common, o->common.all, cfg);
	cfg->tick_clock = 1;
	cfg->by_thread = o->common.by == LEAK_BY_THREAD;
	cfg->trace_calls = o->trace;
	cfg->task_storage = feature_has(FEATURE_TASK_STORAGE);
	cmd_configure_unwind(&o->common, uc);
	if (uc->mode == UNWIND_DWARF)
		cfg->raws = (uint32_t)(max_stacks(o) / RAW_PART);
	sampling_fill(bpf->rodata->sample_weights, bpf->rodata->sample_logs);
}

/*
 * Returns can be skipped where an mmap by malloc, whose return was skipped, is told from one
 * by the program: by complete frames around it.
 */
static void configure_probes(struct leak *l)
{
	struct cfg *cfg = (struct cfg *)&l->bpf->rodata->cfg;

	cfg->probe_names = probes_have_names(l->probes);
	cfg->skip_returns = probes_skip_returns(l->probes) &&
			    l->bpf->rodata->unwind_cfg.mode == UNWIND_DWARF &&
			    l->o->common.max_frames >= UNSEEN_FRAMES;
}

/* In front of task storage (bpf/thread_slots.bpf.h). */
static bool threads_have_slots(void)
{
	return feature_has(FEATURE_TASK_STORAGE) && !skeleton_is_old();
}

static int size_maps(struct leak *l)
{
	const struct leak_opts *o = l->o;
	uint64_t blocks = o->max_blocks ? o->max_blocks : default_blocks();
	uint64_t stacks = max_stacks(o);
	bool task_storage = feature_has(FEATURE_TASK_STORAGE);
	int err;

	l->tables = (struct tables){l->bpf->maps.block_slots,
				    l->bpf->maps.blocks,
				    l->bpf->maps.site_slots,
				    l->bpf->maps.sites,
				    0,
				    0};
	err = tables_size(&l->tables, skeleton_is_old(), (uint32_t)blocks, (uint32_t)stacks + 1,
			  (struct cfg *)&l->bpf->rodata->cfg);
	if (!err && (leak_wants_every(o) || o->common.follow))
		err = bpf_map__set_max_entries(l->bpf->maps.procs, PROCS_EVERY);
	if (!err && (leak_wants_every(o) || o->common.follow))
		err = bpf_map__set_max_entries(l->bpf->maps.slices, PROCS_EVERY);
	if (!err)
		err = bpf_map__set_autocreate(l->bpf->maps.threads, task_storage);
	if (!err)
		err = bpf_map__set_autocreate(l->bpf->maps.thread_slots, threads_have_slots());
	if (!err)
		err = bpf_map__set_autocreate(l->bpf->maps.threads_hash, !task_storage);
	if (!err)
		err = bpf_map__set_autocreate(l->bpf->maps.thread_blank, !task_storage);
	if (!err)
		err = bpf_map__set_autocreate(l->bpf->maps.raws, l->bpf->rodata->cfg.raws);
	if (!err && l->bpf->rodata->cfg.raws)
		err = bpf_map__set_max_entries(l->bpf->maps.raws, RAW_RING_BYTES);
	return err ? err : unwinder_size_maps(tracer_unwinder(l->tracer), l->bpf->obj, 0);
}

SKELETON_SAME(leak, cfg);
SKELETON_SAME(leak, unwind_cfg);
SKELETON_SAME(leak, sample_weights);
SKELETON_SAME(leak, sample_logs);

static int open_bpf(struct leak *l)
{
	size_t old_size;
	const void *old = leak_old_bpf__elf_bytes(&old_size);

	l->bpf = calloc(1, sizeof(*l->bpf));
	if (!l->bpf || leak_bpf__create_skeleton(l->bpf))
		return -ENOMEM;
	return skeleton_open(l->bpf->skeleton, skeleton_is_old(), old, old_size);
}

/* An event of tasks and its first program. */
struct task_hook {
	const char *event;
	struct bpf_program *first;
	bool wanted;
};

enum { TASK_HOOKS = 3, TASK_TURNS = 2 };

static void task_hooks_fill(const struct leak *l, struct task_hook h[TASK_HOOKS])
{
	struct leak_bpf *b = l->bpf;
	struct task_hook all[TASK_HOOKS] = {
		{"sched_process_exec", b->progs.leak_exec, true},
		{"task_newtask", b->progs.leak_newtask, l->o->common.follow},
		{"sched_process_exit", b->progs.leak_exit, threads_have_slots()},
	};

	memcpy(h, all, sizeof(all));
}

static void select_tasks(const struct leak *l)
{
	struct task_hook h[TASK_HOOKS];

	task_hooks_fill(l, h);
	for (size_t i = 0; i < TASK_HOOKS; i++)
		turns_load(l->bpf->obj, h[i].first, TASK_TURNS, h[i].wanted);
}

int leak_load(struct leak *l)
{
	struct probes_programs programs;
	int err;

	err = open_bpf(l);
	if (err) {
		log_error("cannot open the BPF programs: %s", errno_name(err));
		return err;
	}
	configure(l->o, l->bpf);
	programs = (struct probes_programs){l->bpf->progs.leak_enter, l->bpf->progs.leak_return,
					    l->bpf->progs.leak_ret_site, l->bpf->progs.leak_call,
					    l->bpf->maps.probe_names};
	select_tasks(l);
	err = size_maps(l);
	if (!err)
		err = probes_prepare(l->probes, &programs);
	configure_probes(l);
	if (!err)
		err = leak_bpf__load(l->bpf);
	if (!err)
		err = tables_make_catch_all(&l->tables);
	if (err) {
		log_error("cannot load the BPF programs: %s%s", errno_name(err),
			  err == -ENOMEM ? " (a smaller --max-blocks needs less memory)" : "");
		return err;
	}
	l->map_bytes = collect_map_bytes(l->bpf->obj);
	return 0;
}

/* ---- attach ---- */

static int attach_tasks(struct leak *l)
{
	struct task_hook h[TASK_HOOKS];
	int err = 0;

	task_hooks_fill(l, h);
	for (size_t i = 0; i < TASK_HOOKS && !err; i++) {
		if (!h[i].wanted)
			continue;
		err = turns_attach(&l->task_links, l->bpf->obj, h[i].first, TASK_TURNS, h[i].event);
		if (err)
			log_error("cannot attach to '%s': %s", h[i].event, errno_name(err));
	}
	return err;
}

int leak_attach(struct leak *l)
{
	struct tracer_maps maps = {
		.procs = bpf_map__fd(l->bpf->maps.procs),
		.slices = bpf_map__fd(l->bpf->maps.slices),
		.events = bpf_map__fd(l->bpf->maps.events),
		.cgroups = bpf_map__fd(l->bpf->maps.cgroups),
		.raws = l->bpf->rodata->cfg.raws ? bpf_map__fd(l->bpf->maps.raws) : 0,
		.max_frames = (uint32_t)l->o->common.max_frames,
	};
	_cleanup_free_ char *msg = NULL;
	int err = attach_tasks(l);

	if (err)
		return err;
	err = tracer_bind(l->tracer, &maps, l->bpf->obj);
	if (err) {
		log_error("cannot hand the targets to the kernel: %s", errno_name(err));
		return err;
	}
	err = probes_attach(l->probes, &msg);
	if (err) {
		log_error("%s", msg ? msg : errno_name(err));
		return err;
	}
	l->attached = true;
	return 0;
}
