/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_cache.c - `memtally cachestat` and `memtally cachetop`.
 *
 *	targets -> programs loaded with the wanted key of a row -> tracepoints
 *	-> (kernel keeps the counters) -> ticks: differences, order, print
 */
#include <errno.h>

#include "cmd.h"
#include "cmd_cache.h"
#include "lib/log.h"

#define SECOND_NS 1000000000ULL

static int attach(struct cache *c)
{
	struct tracer_maps maps = {
		.procs = cache_map_fd(c, "procs"),
		.slices = -1,
		.events = cache_map_fd(c, "events"),
		.cgroups = cache_map_fd(c, "cgroups"),
	};
	int err = tracer_bind(c->tracer, &maps, NULL);

	if (!err)
		err = cache_rows_prepare(c);
	if (err)
		log_error("cannot hand the targets to the kernel: %s", errno_name(err));
	return err ? err : cache_attach(c);
}

/* ---- callbacks of the run ---- */

static int on_event(void *arg, const struct event *ev, size_t len)
{
	struct cache *c = arg;

	if (ev->type != EVENT_CACHE_PATH)
		return 0;
	return cache_paths_take(c->paths, (const struct cache_path_event *)ev, len);
}

static int print_losses(struct cache *c)
{
	_cleanup_(losses_deinit) struct losses losses = {0};
	int err = cache_losses_read(c, &losses);

	if (err)
		return err;
	return view_losses(c->view, &(struct view_report){
					    .time_ns = c->now_ns,
					    .tick = c->ticks,
					    .losses = losses.v,
					    .n_losses = losses.n,
				    });
}

static int on_tick(void *arg, bool last)
{
	struct cache *c = arg;
	int err = cache_rows_read(c);

	(void)last;
	c->now_ns = clock_real_ns();
	if (!err)
		err = tracer_drain(c->tracer); /* the names of what was just read */
	if (!err)
		err = cache_print(c, stdout);
	if (!err)
		err = print_losses(c);
	c->ticks++;
	return err;
}

static int print_start(struct cache *c)
{
	const char *found[CACHE_LINES], *skipped[CACHE_LINES];

	return cmd_print_start(c->view, c->tracer,
			       &(struct view_start){
				       .method = cache_method_name(c),
				       .spec = c->spec,
				       .cfg = c->o,
				       .found = found,
				       .n_found = cache_found(c, found),
				       .skipped = skipped,
				       .n_skipped = cache_skipped(c, skipped),
				       .map_bytes = c->map_bytes,
			       });
}

static int print_end(struct cache *c)
{
	struct view_cost cost = {
		.duration_ns = c->end_ns - tracer_start_ns(c->tracer),
		.timed = c->stats_fd >= 0,
	};

	cache_activity(c, &cost);
	return cmd_print_end(c->view, c->tracer, c->ticks, &cost);
}

/* ---- the run ---- */

static int open_rooms(struct cache *c, char **ret_msg)
{
	const struct common_opts *o = &c->o->common;
	struct tracer_config config = cmd_tracer_config(o);
	struct tracer_ops ops = {.event = on_event, .tick = on_tick};
	int err;

	config.machine = cmd_wants_machine(o);
	config.interval_ns = o->interval_ns ? o->interval_ns : SECOND_NS;
	err = tracer_new(&config, &ops, c, &c->tracer, ret_msg);
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
	int err = cache_load(c);

	if (!err)
		err = attach(c);
	if (err)
		return err;
	c->stats_fd = cmd_enable_stats(&c->o->common);
	err = print_start(c);
	c->live_run = (struct cmd_live){c->tracer, c->live};
	if (!err && c->live)
		err = cmd_live_open(&c->live_run);
	if (!err)
		err = tracer_run(c->tracer);
	c->end_ns = clock_mono_ns();
	err = close_live(c, err); /* counts what is lost: with all programs in their places */
	cache_detach(c);
	if (!err)
		err = print_end(c);
	if (err)
		cmd_say_stopped(&c->o->common, c->tracer, err);
	return err;
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
	cache_unload(&c);
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
	.flags = CMD_NEEDS_ROOT | CMD_COMMON,
	.opts = &cachestat_spec,
	.run = run_stat,
};

const struct command cmd_cachetop = {
	.name = "cachetop",
	.flags = CMD_NEEDS_ROOT | CMD_COMMON,
	.opts = &cachetop_spec,
	.run = run_top,
};
