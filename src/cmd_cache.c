/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_cache.c - `memtally cachestat` and `memtally cachetop`.
 *
 *	targets -> programs loaded with the wanted key of a row -> tracepoints
 *	-> (kernel keeps the counters) -> ticks: differences, order, print
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "cmd.h"
#include "cmd_cache.h"
#include "cache.skel.h"
#include "lib/log.h"
#include "trace/attach.h"
#include "trace/collect.h"
#include "trace/features.h"

#define SECOND_NS 1000000000ULL

static const char *const found_lines[] = {
	"reads, mapped files, dirtied and evicted pages (filemap tracepoints)",
	"direct I/O (iomap tracepoints)",
};

/* What this method does not see, said at the start of every run. */
static const char *const skipped_lines[] = {
	"tmpfs, DAX and FUSE without page cache events",
	"pages of a mapping after its first fault (16 or more are mapped at once)",
	"single accesses of MAP_POPULATE (approximate)",
	"direct I/O on block devices and file systems without iomap",
};

static bool wants_machine(const struct common_opts *c)
{
	return !c->pids.n && !c->cgroup && !c->program;
}

/* ---- load ---- */

/* Our own pids, when we are not in the initial pid namespace (its inode is fixed). */
static void configure_pidns(struct cfg *cfg)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) || st.st_ino == 0xEFFFFFFCU)
		return;
	cfg->pidns_dev = st.st_dev;
	cfg->pidns_ino = st.st_ino;
}

static void configure(const struct cache *c)
{
	const struct common_opts *o = &c->o->common;
	struct cfg *cfg = (struct cfg *)&c->bpf->rodata->cfg;
	struct cache_cfg *own = (struct cache_cfg *)&c->bpf->rodata->cache_cfg;

	cfg->scope = o->cgroup ? SCOPE_CGROUP : SCOPE_PIDS;
	cfg->self_tgid = (uint32_t)getpid();
	cfg->follow = o->follow;
	configure_pidns(cfg);
	own->by = c->by;
	own->system = wants_machine(o);
	own->page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
}

/* The shared header brings tables for stacks, which are not taken here. */
static int leave_out_maps(struct bpf_object *obj)
{
	static const char *const used[] = {
		"stats",	 "events",	"procs",      "cgroups",      "cache_stats",
		"pending",	 "cache_total", "cache_rows", "path_scratch", "row_scratch",
		"cache_threads", "cache_names", "directs"};
	struct bpf_map *m;

	bpf_object__for_each_map(m, obj)
	{
		bool wanted = strchr(bpf_map__name(m), '.'); /* .rodata, .bss */

		for (size_t i = 0; i < ARRAY_SIZE(used) && !wanted; i++)
			wanted = strcmp(bpf_map__name(m), used[i]) == 0;
		if (!wanted && bpf_map__set_autocreate(m, false))
			return -EINVAL;
	}
	return 0;
}

static bool kernel_has_event(const char *category, const char *name)
{
	return tracepoint_id(category, name) > 0;
}

static int load(struct cache *c)
{
	struct bpf_map *m;
	bool direct;
	int err;

	if (!kernel_has_event("filemap", "mm_filemap_get_pages")) {
		log_error("this kernel has no filemap:mm_filemap_get_pages tracepoint (v6.12): "
			  "no other method is built in yet");
		return -EOPNOTSUPP;
	}
	c->bpf = cache_bpf__open();
	if (!c->bpf)
		return -errno;
	configure(c);
	direct = kernel_has_event("iomap", "iomap_dio_rw_begin");
	bpf_program__set_autoload(c->bpf->progs.cache_direct_begin, direct);
	bpf_program__set_autoload(c->bpf->progs.cache_direct_end, direct);
	bpf_program__set_autoload(c->bpf->progs.cache_newtask, c->o->common.follow);
	err = leave_out_maps(c->bpf->obj);
	if (!err)
		err = cache_bpf__load(c->bpf);
	if (err) {
		log_error("cannot load the BPF programs: %s", errno_name(err));
		return err;
	}
	bpf_object__for_each_map(m, c->bpf->obj) if (bpf_map__fd(m) >= 0) c->map_bytes +=
		collect_map_bytes(bpf_map__fd(m));
	return 0;
}

static int attach(struct cache *c)
{
	struct tracer_maps maps = {
		.procs = bpf_map__fd(c->bpf->maps.procs),
		.slices = -1,
		.events = bpf_map__fd(c->bpf->maps.events),
		.cgroups = bpf_map__fd(c->bpf->maps.cgroups),
	};
	struct bpf_program *p;
	int err = tracer_bind(c->tracer, &maps, NULL);

	if (err) {
		log_error("cannot hand the targets to the kernel: %s", errno_name(err));
		return err;
	}
	if (c->o->common.follow)
		err = attach_tracepoint(c->bpf->progs.cache_newtask, "task", "task_newtask",
					&c->bpf->links.cache_newtask);
	bpf_object__for_each_program(p, c->bpf->obj) if (bpf_program__type(p) ==
							 BPF_PROG_TYPE_TRACEPOINT)
		bpf_program__set_autoattach(p, false);
	if (!err)
		err = cache_bpf__attach(c->bpf);
	if (err)
		log_error("cannot attach to the tracepoints: %s", errno_name(err));
	return err;
}

/* ---- callbacks of the run ---- */

static int on_object(void *arg, struct process *p, struct object *o)
{
	(void)arg;
	(void)p;
	(void)o;
	return 0;
}

static int on_process(void *arg, struct process *p)
{
	(void)arg;
	(void)p;
	return 0;
}

static int on_event(void *arg, const struct event *ev, size_t len)
{
	struct cache *c = arg;

	if (ev->type != EVENT_CACHE_PATH)
		return 0;
	return cache_paths_take(c->paths, (const struct cache_path_event *)ev, len);
}

static int print_losses(struct cache *c)
{
	_cleanup_free_ struct loss *losses = NULL;
	size_t n = 0;
	int err = cache_losses_read(c, &losses, &n);

	if (err)
		return err;
	return view_losses(c->view, &(struct view_report){
					    .time_ns = c->now_ns,
					    .tick = c->ticks,
					    .losses = losses,
					    .n_losses = n,
				    });
}

static int on_tick(void *arg, bool last)
{
	struct cache *c = arg;
	int err = tracer_drain(c->tracer);

	(void)last;
	c->now_ns = clock_real_ns();
	if (!err)
		err = cache_rows_read(c);
	if (!err)
		err = cache_print(c, stdout);
	if (!err)
		err = print_losses(c);
	c->ticks++;
	return err;
}

static int print_start(struct cache *c)
{
	struct processes *all = tracer_processes(c->tracer);
	size_t n = processes_count(all);
	_cleanup_free_ struct view_target *targets = calloc(n + 1, sizeof(*targets));
	struct utsname u;

	if (!targets)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct process *p = processes_at(all, i);

		targets[i] = (struct view_target){p->pid, p->comm, p->exe};
	}
	return view_start(c->view, &(struct view_start){
					   .time_ns = clock_real_ns(),
					   .version = MEMTALLY_VERSION,
					   .kernel = uname(&u) ? "" : u.release,
					   .method = "tracepoints",
					   .spec = c->spec,
					   .cfg = c->o,
					   .targets = targets,
					   .n_targets = n,
					   .found = found_lines,
					   .n_found = ARRAY_SIZE(found_lines),
					   .skipped = skipped_lines,
					   .n_skipped = ARRAY_SIZE(skipped_lines),
					   .map_bytes = c->map_bytes,
				   });
}

static int print_end(struct cache *c)
{
	uint64_t run_ns, duration = c->end_ns - tracer_start_ns(c->tracer);
	struct view_end end = {
		.time_ns = clock_real_ns(),
		.ticks = c->ticks,
		.cost.duration_ns = duration,
	};

	cache_activity(c, &end.cost.events, &run_ns);
	end.cost.timed = c->stats_fd >= 0;
	end.cost.run_ns = (double)run_ns;
	end.has_program = tracer_finish_program(c->tracer, &end.wait_status);
	return view_end(c->view, &end);
}

/* ---- the run ---- */

static int open_rooms(struct cache *c, char **ret_msg)
{
	const struct common_opts *o = &c->o->common;
	struct tracer_config config = {
		.pids = o->pids.v,
		.n_pids = o->pids.n,
		.follow = o->follow,
		.machine = wants_machine(o),
		.cgroup = o->cgroup,
		.program = o->program,
		.interval_ns = o->interval_ns ? o->interval_ns : SECOND_NS,
		.count = o->count,
		.duration_ns = o->duration_ns,
	};
	struct tracer_ops ops = {
		.object = on_object, .event = on_event, .tick = on_tick, .process = on_process};
	int err = tracer_new(&config, &ops, c, &c->tracer, ret_msg);

	if (err)
		return err;
	c->paths = cache_paths_new();
	c->cgroups = cache_cgroups_new();
	if (!c->paths || !c->cgroups)
		return -ENOMEM;
	if (c->spec == &cachetop_spec && cmd_live_wanted(o)) {
		err = cmd_live_new(o, c->command, cache_sort_title(o->sort), &c->live);
		if (err)
			return err;
	}
	return view_new(
		&(struct view_config){
			.command = c->command,
			.out = stdout,
			.notes = stderr,
			.live = c->live,
			.json = o->json,
			.events = "events",
		},
		&c->view);
}

/* What was lost must be on the terminal when the table is gone. */
static int close_live(struct cache *c, int err)
{
	if (!live_is_open(c->live))
		return err;
	live_close(c->live);
	return err ? err : print_losses(c);
}

static int run_traced(struct cache *c)
{
	int err = load(c);

	if (!err)
		err = attach(c);
	if (err)
		return err;
	c->stats_fd = c->o->common.verbose ? bpf_enable_stats(BPF_STATS_RUN_TIME) : -1;
	err = print_start(c);
	c->live_run = (struct cmd_live){c->tracer, c->live};
	if (!err && c->live)
		err = cmd_live_open(&c->live_run);
	if (!err)
		err = tracer_run(c->tracer);
	c->end_ns = clock_mono_ns();
	cache_bpf__detach(c->bpf);
	err = close_live(c, err);
	return err ? err : print_end(c);
}

static int run(const struct cache_opts *o, const struct opts_spec *spec)
{
	struct cache c = {.o = o, .spec = spec, .command = spec->command, .stats_fd = -1};
	_cleanup_free_ char *msg = NULL;
	int err;

	c.by = (enum cache_by)o->common.by;
	err = open_rooms(&c, &msg);
	if (!err)
		err = run_traced(&c);
	if (err && msg)
		log_error("%s", msg);
	cache_bpf__destroy(c.bpf);
	live_free(c.live);
	view_free(c.view);
	cache_paths_free(c.paths);
	cache_cgroups_free(c.cgroups);
	tracer_free(c.tracer);
	free(c.table.v);
	if (c.stats_fd >= 0)
		close(c.stats_fd);
	return err ? STATUS_FAILURE : c.incomplete ? STATUS_INCOMPLETE : STATUS_FINE;
}

static int run_stat(const void *cfg)
{
	return run(cfg, &cachestat_spec);
}

static int run_top(const void *cfg)
{
	return run(cfg, &cachetop_spec);
}

const struct command cmd_cachestat = {
	.name = "cachestat",
	.flags = CMD_NEEDS_ROOT,
	.opts = &cachestat_spec,
	.run = run_stat,
};

const struct command cmd_cachetop = {
	.name = "cachetop",
	.flags = CMD_NEEDS_ROOT,
	.opts = &cachetop_spec,
	.run = run_top,
};
