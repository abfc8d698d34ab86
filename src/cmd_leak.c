/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_leak.c - `memtally leak`: which stacks hold the memory of running processes.
 *
 *	targets -> allocators in their mapped files -> tables sized, programs loaded
 *	-> probes -> (kernel keeps the totals) -> ticks: rows, rank, names, print
 */
#include <bpf/libbpf.h>
#include <errno.h>

#include "cmd.h"
#include "leak.h"
#include "lib/log.h"
#include "trace/lives.h"

/* An executable file of a target: at the start, and whenever one is mapped later. */
static int on_object(void *arg, struct process *p, struct object *o)
{
	_cleanup_free_ char *msg = NULL;
	struct leak *l = arg;
	size_t before = probes_found(l->probes);
	int err = probes_add(l->probes, p->pid, o, &msg);

	if (err == -ESRCH || err == -ENOMEM)
		return err == -ESRCH ? 0 : err; /* it has exited: its end will be seen */
	if (err)
		log_warn("%s, ignoring", msg ? msg : errno_name(err));
	else if (l->attached && probes_found(l->probes) > before) {
		/* A library's functions are called once it is loaded; a program runs at once. */
		l->late += o->program;
		log_verbose("allocator in '%s' mapped by pid %d: probed", o->path, p->pid);
	}
	return 0;
}

static int on_process(void *arg, struct process *p)
{
	struct leak *l = arg;

	if (p->ended) {
		probes_forget(l->probes, p->pid);
		symbolizer_forget(l->sym, p->pid);
		l->purge_wanted = true;
		return l->attached ? leak_purge(l) : 0; /* may free *p */
	}
	return process_seed_ranges(p);
}

/* ---- reports ---- */

static int resolve_top(struct leak *l, struct row *rows, size_t n)
{
	int err = 0;

	/* A first look into a large library takes long: the rings are emptied meanwhile. */
	for (size_t i = 0; i < n && !err; i++) {
		err = leak_row_resolve(l, &rows[i]);
		if (!err)
			err = tracer_drain(l->tracer);
	}
	return err;
}

static int print_rows(struct leak *l, struct row *rows, size_t n)
{
	_cleanup_(losses_deinit) struct losses losses = {0};
	size_t n_all, n_top;
	int err = rank_tick(l->rank, rows, n, clock_mono_ns(), &n_all);

	if (err)
		return err;
	n_top = MIN(n_all, l->o->common.top);
	err = resolve_top(l, rows, l->o->common.folded ? n_all : n_top);
	if (!err)
		err = leak_losses_read(l, &losses);
	if (!err)
		err = view_report(l->view, &(struct view_report){
						   .time_ns = clock_real_ns(),
						   .tick = l->ticks,
						   .rows = rows,
						   .n_rows = n_all,
						   .n_top = n_top,
						   .top = l->o->common.top,
						   .losses = losses.v,
						   .n_losses = losses.n,
					   });
	return err;
}

static int on_tick(void *arg, bool last)
{
	struct leak *l = arg;
	struct row *rows = NULL;
	size_t n = 0;
	int err = tracer_drain(l->tracer);

	(void)last;
	if (!err)
		err = leak_purge(l);
	if (!err)
		err = leak_rows_read(l, &rows, &n);
	l->reporting = true;
	if (!err)
		err = print_rows(l, rows, n);
	if (!err)
		err = leak_overhead_report(l, clock_real_ns());
	l->reporting = err != 0;
	if (!err && l->internal_bytes)
		log_verbose("%llu bytes mapped by allocators for themselves, not shown",
			    (unsigned long long)l->internal_bytes);
	rows_free(rows, n);
	l->ticks++;
	return err;
}

/* Where tracing costs more than it should, for -v. */
static void say_slow(const struct leak *l)
{
	size_t n;
	const char *const *slow = probes_slow_lines(l->probes, &n);

	for (size_t i = 0; i < n; i++)
		log_verbose("slow probe: %s", slow[i]);
}

static int print_start(struct leak *l)
{
	struct view_start s = {
		.method = probes_method(l->probes),
		.spec = &leak_spec,
		.cfg = l->o,
		.map_bytes = l->map_bytes,
	};

	say_slow(l);
	s.found = probes_found_lines(l->probes, &s.n_found);
	s.skipped = probes_skipped_lines(l->probes, &s.n_skipped);
	return cmd_print_start(l->view, l->tracer, &s);
}

static int print_end(struct leak *l, uint64_t start_ns)
{
	struct view_cost cost;

	leak_say_stacks(l);
	leak_overhead_total(l, &cost);
	cost.duration_ns = l->end_ns - start_ns;
	return cmd_print_end(l->view, l->tracer, l->ticks, &cost);
}

/* ---- the run ---- */

static int open_rooms(struct leak *l, char **ret_msg)
{
	static const enum rank_key keys[] = {RANK_BYTES, RANK_COUNT, RANK_AGE, RANK_RATE};
	static const unsigned int ids[] = {RANK_BY_STACK, RANK_BY_THREAD, RANK_BY_PROCESS};
	const struct common_opts *c = &l->o->common;
	struct tracer_config config = cmd_tracer_config(c);
	struct tracer_ops ops = {.object = on_object,
				 .event = leak_on_event,
				 .stack = leak_on_stack,
				 .tick = on_tick,
				 .process = on_process};
	int err = tracer_new(&config, &ops, l, &l->tracer, ret_msg);

	if (err)
		return err;
	l->allocators = allocators_new(l->custom, l->n_custom);
	if (!l->allocators)
		return -ENOMEM;
	l->probes = probes_new(&(struct probes_config){.allocators = l->allocators,
						       .every_process = leak_wants_every(l->o),
						       .follow = c->follow,
						       .filters = leak_filters(l->o)});
	l->stacks = stacks_new();
	l->sym = symbolizer_new(tracer_objects(l->tracer),
				&(struct symbolizer_opts){.no_lines = c->no_lines});
	l->rank = rank_new(ids[c->by], keys[c->sort], clock_mono_ns());
	if (!l->probes || !l->stacks || !l->sym || !l->rank)
		return -ENOMEM;
	err = view_new(
		&(struct view_config){
			.command = "leak",
			.out = stdout,
			.notes = stderr,
			.json = c->json,
			.folded = c->folded,
			.show_blocks = l->o->show_allocs,
			.show_process = c->pids.n > 1 || c->follow || leak_wants_every(l->o),
			.totals = c->by == LEAK_BY_PROCESS,
		},
		&l->view);
	return err && c->folded ? opts_fail(err, ret_msg, "cannot write '%s': %s", c->folded,
					    errno_name(err))
				: err;
}

static void close_rooms(struct leak *l)
{
	probes_free(l->probes);
	links_drop(&l->task_links);
	leak_bpf__destroy(l->bpf);
	view_free(l->view);
	rank_free(l->rank);
	symbolizer_free(l->sym);
	stacks_free(l->stacks);
	meter_free(l->meter);
	tracer_free(l->tracer);
	allocators_free(l->allocators);
	alloc_custom_free(l->custom, l->n_custom);
}

static int nothing_found(struct leak *l)
{
	size_t n;
	const char *const *why = probes_skipped_lines(l->probes, &n);

	log_error("no allocator found in the target%s%s%s: name its functions with --alloc and "
		  "--free",
		  n ? " (" : "", n ? why[0] : "", n ? ")" : "");
	return -ENOENT;
}

static void say_stopped(const struct leak *l, int err)
{
	if (l->reporting)
		log_error("cannot write the report: %s", errno_name(err));
	else
		cmd_say_stopped(&l->o->common, l->tracer, err);
}

/* Everything before the first probe; each failure is said by who found it. */
static int prepare(struct leak *l)
{
	int err = cmd_scan(&l->o->common, l->tracer);

	if (err)
		return err;
	if (!probes_found(l->probes) && !leak_wants_every(l->o))
		return nothing_found(l);
	if (!leak_wants_every(l->o))
		err = leak_check_specs(l);
	if (!err)
		err = leak_load(l);
	return err ? err : leak_attach(l);
}

static int run_traced(struct leak *l)
{
	int err = prepare(l);

	if (err)
		return err;
	err = leak_overhead_start(l);
	if (err)
		return err;
	l->reporting = true;
	err = print_start(l);
	l->reporting = err != 0;
	if (!err)
		err = tracer_run(l->tracer);
	l->end_ns = clock_mono_ns();
	probes_detach(l->probes); /* the target runs free before we go on */
	if (!err) {
		l->reporting = true;
		err = print_end(l, tracer_start_ns(l->tracer));
	}
	if (err)
		say_stopped(l, err);
	return err;
}

static int run(const void *cfg)
{
	struct leak l = {.o = cfg};
	_cleanup_free_ char *msg = NULL;
	int err;

	err = alloc_custom_parse(&l.o->alloc, &l.o->free, &l.custom, &l.n_custom, &msg);
	if (err) {
		log_error("%s", msg ? msg : errno_name(err));
		return STATUS_USAGE;
	}
	err = leak_check_kernel();
	if (!err)
		err = leak_check_follow(&l);
	if (!err) {
		err = open_rooms(&l, &msg);
		if (err)
			log_error("%s", msg ? msg : errno_name(err));
	}
	if (!err)
		err = run_traced(&l);
	close_rooms(&l);
	return err ? STATUS_FAILURE : l.incomplete ? STATUS_INCOMPLETE : STATUS_FINE;
}

const struct command cmd_leak = {
	.name = "leak",
	.flags = CMD_NEEDS_ROOT | CMD_COMMON,
	.opts = &leak_spec,
	.run = run,
};
