/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_faults.c - `memtally faults`: who takes page faults, where, why, how long they take.
 *
 *	targets -> programs as the options need them -> tables sized, loaded -> attached
 *	-> (kernel counts into cells) -> ticks: difference, rows, names, print -> check
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "cmd.h"
#include "faults.h"
#include "faults.skel.h"
#include "lib/log.h"
#include "trace/features.h"

#define SECOND_NS 1000000000ULL

static bool wants_stacks(const struct faults *f)
{
	return f->by & FAULTS_BY_STACK || f->o->bad || f->o->rss;
}

/* ---- attach ---- */

/* A fault counts once its process is known and the events are attached: the events come last. */
static int attach(struct faults *f)
{
	struct tracer_maps maps = {
		.procs = bpf_map__fd(f->bpf->maps.procs),
		.slices = bpf_map__fd(f->bpf->maps.slices),
		.events = bpf_map__fd(f->bpf->maps.events),
		.cgroups = bpf_map__fd(f->bpf->maps.cgroups),
	};
	int err = faults_attach_follows(f);

	if (err)
		return err;
	err = tracer_bind(f->tracer, &maps, f->bpf->obj);
	if (err) {
		log_error("cannot hand the targets to the kernel: %s", errno_name(err));
		return err;
	}
	err = faults_check_begin(f, false);
	if (!err)
		err = faults_attach(f);
	return err ? err : faults_check_begin(f, true);
}

/* ---- what the tracer tells ---- */

static int on_process(void *arg, struct process *p)
{
	struct faults *f = arg;

	if (!p->ended)
		return 0;
	symbolizer_forget(f->sym, p->pid);
	f->purge_wanted = true;
	return f->bpf && f->last_tick_ns ? faults_purge(f) : 0; /* may free *p */
}

static int on_event(void *arg, const struct event *ev, size_t len)
{
	struct faults *f = arg;

	if (ev->type == EVENT_STACK && len >= STACK_EVENT_HEADER)
		return stacks_add(f->stacks, (const struct stack_event *)ev);
	if (ev->type == EVENT_FAULT_FILE && len >= sizeof(struct fault_file_event))
		return faults_files_add(f->files, faults_process(f, ev->proc_key),
					(const struct fault_file_event *)ev);
	if (ev->type == EVENT_FAULT_BAD && len >= sizeof(struct fault_bad_event))
		return faults_bads_add(f, (const struct fault_bad_event *)ev);
	return 0;
}

struct process *faults_process(struct faults *f, uint64_t proc_key)
{
	return processes_find_key(tracer_processes(f->tracer), proc_key);
}

int faults_resolve(struct faults *f, const struct stack *st, bool is_call, struct frame **ret,
		   size_t *ret_n)
{
	struct process *p = faults_process(f, st->proc_key);

	if (!p || !st->n)
		return 0;
	return symbolizer_stack(f->sym,
				&(struct sym_stack){.pid = p->pid,
						    .maps = &p->maps,
						    .addresses = st->pcs,
						    .n = st->n,
						    .leaf_is_return = is_call},
				ret, ret_n);
}

/* ---- reports ---- */

static int print_losses(struct faults *f)
{
	_cleanup_(losses_deinit) struct losses losses = {0};
	struct view_report r = {.time_ns = f->now_ns, .tick = f->ticks};
	int err = faults_losses_read(f, &losses);

	r.losses = losses.v;
	r.n_losses = losses.n;
	return err ? err : view_losses(f->view, &r);
}

static int on_tick(void *arg, bool last)
{
	struct faults *f = arg;
	int err = tracer_drain(f->tracer);

	f->now_ns = clock_real_ns();
	if (!err && f->o->rss) {
		err = faults_print_rss(f);
	} else if (!err) {
		err = f->o->bad ? faults_print_bad(f) : faults_print(f);
		if (last)
			live_close(f->live);
		if (!err && last)
			err = faults_check_print(f);
		if (!err)
			err = print_losses(f);
	}
	f->ticks++;
	f->purged_ns = 0; /* what was reported now may go */
	return err || last ? err : faults_purge(f);
}

static int print_start(struct faults *f)
{
	static const char *const no_codes[] = {
		"error codes of page faults (causes are approximate)",
	};
	static const char *const no_calls[] = {
		"error codes of page faults (what system calls touch is in no sample)",
	};
	struct view_start s = {
		.method = f->o->sample > 1 ? "raw-tracepoint"
			  : f->iter	   ? "kernel-counters"
					   : "perf-software-events",
		.spec = &faults_spec,
		.cfg = f->o,
		.skipped = f->o->sample > 1 ? no_calls : no_codes,
		.n_skipped = f->o->detail == FAULTS_DETAIL_FULL && !f->o->bad &&
			     !feature_has(FEATURE_EXCEPTIONS) && !feature_has(FEATURE_ABORTS),
		.map_bytes = f->map_bytes,
	};

	return cmd_print_start(f->view, f->every ? NULL : f->tracer, &s);
}

static int print_end(struct faults *f)
{
	struct view_cost cost = {
		.duration_ns = f->end_ns - tracer_start_ns(f->tracer),
		.timed = f->run_time_fd >= 0,
	};

	faults_activity(f, &cost);
	return cmd_print_end(f->view, f->tracer, f->ticks, &cost);
}

/* ---- the run ---- */

/* Frames of a sample that were freed make room, and none is used by another one unseen. */
static int on_second(void *arg, int fd)
{
	(void)fd;
	return faults_iter_read(arg);
}

/* One line for each row, and more than one report. */
static bool wants_live(const struct faults *f)
{
	const struct common_opts *c = &f->o->common;
	bool table = !(f->by & FAULTS_BY_STACK) && !f->o->hist && !f->o->bad && !f->o->rss;

	return table && (c->interval_ns || (f->every && !c->duration_ns)) && cmd_live_wanted(c);
}

static int open_view(struct faults *f)
{
	const struct common_opts *c = &f->o->common;

	return view_new(
		&(struct view_config){
			.command = "faults",
			.out = stdout,
			.notes = stderr,
			.live = f->live,
			.json = c->json,
			.folded = c->folded,
			.show_process = c->pids.n > 1 || c->follow || f->every || c->cgroup,
			.held = "resident pages",
			.unit = "pages",
			.events = "faults",
		},
		&f->view);
}

static int open_rooms(struct faults *f, char **ret_msg)
{
	const struct common_opts *c = &f->o->common;
	struct tracer_config config = cmd_tracer_config(c);
	struct tracer_ops ops = {.event = on_event, .tick = on_tick, .process = on_process};
	int err = 0;

	if (wants_live(f))
		err = cmd_live_new(c, "faults", faults_sort_title(c->sort), &f->live);
	if (err)
		return err;
	f->interval_ns = f->live ? live_interval_ns(f->live) : c->interval_ns;
	config.interval_ns = f->interval_ns;
	config.all = f->every;
	config.no_stacks = !wants_stacks(f);
	err = tracer_new(&config, &ops, f, &f->tracer, ret_msg);
	if (err)
		return err;
	f->stacks = stacks_new();
	f->files = faults_files_new();
	f->bads = faults_bads_new();
	f->check = faults_check_new();
	f->rank = rank_new(RANK_BY_STACK, RANK_BYTES, clock_mono_ns());
	f->sym = symbolizer_new(tracer_objects(f->tracer),
				&(struct symbolizer_opts){.no_lines = c->no_lines});
	if (!f->stacks || !f->files || !f->bads || !f->check || !f->rank || !f->sym)
		return -ENOMEM;
	return open_view(f);
}

static void close_rooms(struct faults *f)
{
	faults_detach(f);
	faults_bpf__destroy(f->bpf);
	live_free(f->live);
	view_free(f->view);
	rank_free(f->rank);
	symbolizer_free(f->sym);
	stacks_free(f->stacks);
	faults_files_free(f->files);
	faults_bads_free(f->bads);
	faults_check_free(f->check);
	faults_cells_free(f->cells);
	tracer_free(f->tracer);
	free(f->previous);
	free(f->gone.v);
	if (f->run_time_fd >= 0)
		close(f->run_time_fd);
}

static int run_traced(struct faults *f)
{
	int err = cmd_scan(&f->o->common, f->tracer);

	if (!err)
		err = faults_load(f);
	if (!err)
		err = attach(f);
	if (err)
		return err;
	f->run_time_fd = cmd_enable_stats(&f->o->common);
	f->last_tick_ns = clock_mono_ns();
	err = print_start(f);
	if (!err && f->o->sample > 1)
		err = tracer_add_timer(f->tracer, &(struct loop_timer){SECOND_NS, SECOND_NS},
				       on_second, f);
	f->live_run = (struct cmd_live){f->tracer, f->live};
	if (!err && f->live)
		err = cmd_live_open(&f->live_run);
	if (!err)
		err = tracer_run(f->tracer);
	f->end_ns = clock_mono_ns();
	faults_detach(f); /* the machine runs free before we go on */
	if (!err)
		err = print_end(f);
	if (err)
		cmd_say_stopped(&f->o->common, f->tracer, err);
	return err;
}

static int run(const void *cfg)
{
	struct faults f = {.o = cfg, .run_time_fd = -1};
	_cleanup_free_ char *msg = NULL;
	int err = faults_views_parse(f.o->by, &f.by, &msg);

	f.every = cmd_wants_machine(&f.o->common);
	if (!err)
		err = open_rooms(&f, &msg);
	if (!err)
		err = run_traced(&f);
	if (err && msg)
		log_error("%s", msg);
	close_rooms(&f);
	return err ? STATUS_FAILURE : f.incomplete ? STATUS_INCOMPLETE : STATUS_FINE;
}

const struct command cmd_faults = {
	.name = "faults",
	.flags = CMD_NEEDS_ROOT | CMD_COMMON,
	.opts = &faults_spec,
	.run = run,
};
