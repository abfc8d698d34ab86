/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_kmem.c - `memtally kmem`: who holds the kernel's memory.
 *
 *	tables sized, programs loaded -> tracepoints -> (the kernel keeps the totals)
 *	-> ticks: rows, rank, names, print
 */
#include <errno.h>
#include <string.h>

#include "cmd.h"
#include "kmem.h"
#include "lib/log.h"
#include "trace/lives.h"
#include "trace/loop.h"

/* ---- reports ---- */

static int print_rows(struct kmem *k, struct row *rows, size_t n)
{
	_cleanup_(losses_deinit) struct losses losses = {0};
	size_t n_all, n_top, n_resolve;
	int err = kmem_totals_note(k, rows, n);

	/* A process has no one cache. */
	for (size_t i = 0; i < n && k->o->common.by == KMEM_BY_PROCESS; i++)
		rows[i].cache = rows[i].gfp = NULL;
	if (!err)
		err = rank_tick(k->rank, rows, n, clock_mono_ns(), &n_all);
	if (err)
		return err;
	n_top = MIN(n_all, k->o->common.top);
	n_resolve = k->o->common.folded ? n_all : n_top;
	for (size_t i = 0; i < n_resolve && !err; i++)
		err = kmem_row_resolve(k, &rows[i]);
	if (!err)
		err = kmem_losses_read(k, &losses);
	if (!err)
		err = view_report(k->view, &(struct view_report){
						   .time_ns = clock_real_ns(),
						   .tick = k->ticks,
						   .rows = rows,
						   .n_rows = n_all,
						   .n_top = n_top,
						   .top = k->o->common.top,
						   .losses = losses.v,
						   .n_losses = losses.n,
					   });
	return err ? err : kmem_facts_print(k);
}

static int report_traced(struct kmem *k)
{
	struct row *rows = NULL;
	size_t n = 0;
	int err = tracer_drain(k->tracer);

	if (!err)
		err = kmem_check(k);
	if (!err)
		err = kmem_rows_read(k, &rows, &n);
	if (!err)
		err = print_rows(k, rows, n);
	rows_free(rows, n);
	return err ? err : kmem_purge(k);
}

static int on_tick(void *arg, bool last)
{
	struct kmem *k = arg;
	int err;

	(void)last;
	if (k->o->watch)
		err = kmem_watch_tick(k);
	else if (!k->bpf)
		err = kmem_account_tick(k);
	else
		err = report_traced(k);
	if (!err && k->bpf && k->o->account)
		err = kmem_account_tick(k);
	k->ticks++;
	return err;
}

static int on_event(void *arg, const struct event *ev, size_t len)
{
	struct kmem *k = arg;

	return ev->type != EVENT_STACK || len < STACK_EVENT_HEADER
		       ? 0
		       : stacks_add(k->stacks, (const struct stack_event *)ev);
}

static int on_process(void *arg, struct process *p)
{
	struct kmem *k = arg;

	if (!p->ended)
		return 0;
	symbolizer_forget(k->sym, p->pid);
	k->purge_wanted = true;
	return k->start_ns ? kmem_purge(k) : 0;
}

/* ---- the run ---- */

static int bind(struct kmem *k)
{
	struct tracer_maps maps = kmem_tracer_maps(k);
	int err = tracer_bind(k->tracer, &maps, kmem_user_object(k));

	if (err == -ESRCH)
		log_error("no such process");
	else if (err)
		log_error("cannot hand the targets to the kernel: %s", errno_name(err));
	return err;
}

static int print_start(struct kmem *k)
{
	struct view_target *targets = calloc(k->o->common.pids.n + 1, sizeof(*targets));
	const char *found[1] = {!k->bpf		? "counters of /proc"
				: k->sample > 1 ? "kernel memory (sampled by address)"
						: "kernel memory (every block)"};
	struct view_start s = {
		.method = k->bpf ? "raw_tracepoint" : "proc",
		.spec = &kmem_spec,
		.cfg = k->o,
		.targets = targets,
		.n_targets = k->o->common.pids.n,
		.found = found,
		.n_found = 1,
		.map_bytes = k->map_bytes,
	};
	int err;

	if (!targets)
		return -ENOMEM;
	for (size_t i = 0; i < s.n_targets; i++)
		targets[i] = (struct view_target){k->o->common.pids.v[i], "", NULL};
	err = cmd_print_start(k->view, NULL, &s);
	free(targets);
	return err;
}

static int print_end(struct kmem *k)
{
	struct view_cost cost = {
		.duration_ns = k->end_ns - k->start_ns,
		.timed = k->stats_fd >= 0,
	};

	if (k->bpf)
		kmem_activity(k, &cost);
	return cmd_print_end(k->view, k->tracer, k->ticks, &cost);
}

static int open_rooms(struct kmem *k, char **ret_msg)
{
	static const enum rank_key keys[] = {RANK_BYTES, RANK_COUNT, RANK_AGE, RANK_RATE};
	static const unsigned int ids[] = {
		[KMEM_BY_STACK] = RANK_STACK | RANK_KIND,
		[KMEM_BY_CACHE] = RANK_STACK | RANK_KIND,
		[KMEM_BY_SITE] = RANK_STACK | RANK_KIND,
		[KMEM_BY_PROCESS] = RANK_PID,
	};
	static const char *const nouns[] = {"stacks", "caches", "call sites", "processes"};
	static const char *const from[] = {NULL, "in cache", "at call site", NULL};
	const struct common_opts *c = &k->o->common;
	struct tracer_config config = cmd_tracer_config(c);
	struct tracer_ops ops = {.event = on_event, .tick = on_tick, .process = on_process};
	int err;

	config.kernel = !k->o->user_stack;
	config.all = kmem_follows_all(k->o);
	err = tracer_new(&config, &ops, k, &k->tracer, ret_msg);
	if (err)
		return err;
	k->stacks = stacks_new();
	k->sym = symbolizer_new(tracer_objects(k->tracer),
				&(struct symbolizer_opts){.no_lines = c->no_lines});
	k->rank = rank_new(ids[c->by], keys[c->sort], clock_mono_ns());
	if (!k->stacks || !k->sym || !k->rank)
		return -ENOMEM;
	return view_new(
		&(struct view_config){
			.command = "kmem",
			.out = stdout,
			.notes = stderr,
			.json = c->json,
			.folded = c->folded,
			.show_blocks = k->o->show_allocs,
			.show_process = c->by == KMEM_BY_STACK,
			.totals = c->by == KMEM_BY_PROCESS,
			.noun = nouns[c->by],
			.from = from[c->by],
		},
		&k->view);
}

static void close_rooms(struct kmem *k)
{
	kmem_unload(k);
	view_free(k->view);
	rank_free(k->rank);
	symbolizer_free(k->sym);
	stacks_free(k->stacks);
	tracer_free(k->tracer);
	strlist_deinit(&k->names);
	slab_counters_deinit(&k->slab_start);
	free(k->caches);
	free(k->origins);
	free(k->totals);
	if (k->stats_fd >= 0)
		close(k->stats_fd);
}

#define SUSPECT_NS 10000000000ULL

/* Watches for a while; a signal that comes meanwhile ends the run when it begins. */
static int find_suspects(struct kmem *k)
{
	uint64_t wait_ns = k->o->common.interval_ns ? k->o->common.interval_ns : SUSPECT_NS;
	int err = kmem_watch_start(k);

	log_info("watching for %.1f s which slab caches grow", (double)wait_ns / 1e9);
	loop_wait_readable(-1, clock_mono_ns() + wait_ns);
	if (!err)
		err = kmem_watch_suspect(k);
	kmem_watch_end(k);
	k->ticks++;
	if (err || k->n_suspects)
		return err;
	log_error("no slab cache grew in %.1f s", (double)wait_ns / 1e9);
	return -ENOENT;
}

/* The last record, or what stopped the run. */
static int finish(struct kmem *k, int err)
{
	if (!err)
		err = print_end(k);
	if (err)
		cmd_say_stopped(&k->o->common, k->tracer, err);
	return err;
}

static int run_traced(struct kmem *k)
{
	int err = k->o->suspect ? find_suspects(k) : 0;

	if (!err)
		err = cmd_scan(&k->o->common, k->tracer);
	if (!err)
		err = kmem_load(k);
	if (!err)
		err = bind(k);
	if (err)
		return err;
	slab_counters_deinit(&k->slab_start);
	slabinfo_read(&k->slab_start); /* loading made objects of its own */
	kmem_check_start(k);
	if (!err)
		err = kmem_attach(k);
	if (err)
		return err;
	k->start_ns = clock_mono_ns();
	/* The kernel's own clock reading costs as much as an event that is not sampled. */
	k->stats_fd = cmd_enable_stats(&k->o->common);
	err = print_start(k);
	if (!err)
		err = tracer_run(k->tracer);
	k->end_ns = clock_mono_ns();
	kmem_detach(k);
	return finish(k, err);
}

static int print_account(struct kmem *k)
{
	int err;

	k->start_ns = clock_mono_ns();
	err = print_start(k);
	if (!err)
		err = kmem_account_tick(k);
	k->ticks++;
	k->end_ns = clock_mono_ns();
	return finish(k, err);
}

/* The account of this moment needs no probes; one over time names who took the rest. */
static bool is_traced(const struct kmem_opts *o)
{
	return !o->watch && (!o->account || o->common.interval_ns || o->common.duration_ns);
}

/* --watch: ticks only. --account without a time: one. */
static int run_untraced(struct kmem *k)
{
	int err = k->o->watch ? kmem_watch_start(k) : 0;

	if (err) {
		log_error("cannot read the counters of /proc: %s", errno_name(err));
		return err;
	}
	if (!k->o->watch)
		return print_account(k);
	k->start_ns = clock_mono_ns();
	err = print_start(k);
	if (!err)
		err = tracer_run(k->tracer);
	k->end_ns = clock_mono_ns();
	kmem_watch_end(k);
	return finish(k, err);
}

static int run(const void *cfg)
{
	struct kmem k = {.o = cfg, .stats_fd = -1};
	_cleanup_free_ char *msg = NULL;
	int err;

	/* The rest is small: a sample of its pages would not tell who has it. */
	k.sample = k.o->full || k.o->account || k.o->suspect ? 1 : k.o->sample;
	slabinfo_read(&k.slab_start);
	err = open_rooms(&k, &msg);
	if (!err && k.o->account)
		err = kmem_account_start(&k);
	if (!err)
		err = is_traced(k.o) ? run_traced(&k) : run_untraced(&k);
	if (err && msg)
		log_error("%s", msg);
	kmem_account_end(&k);
	close_rooms(&k);
	return err ? STATUS_FAILURE : k.incomplete ? STATUS_INCOMPLETE : STATUS_FINE;
}

const struct command cmd_kmem = {
	.name = "kmem",
	.flags = CMD_NEEDS_ROOT | CMD_COMMON,
	.opts = &kmem_spec,
	.run = run,
};
