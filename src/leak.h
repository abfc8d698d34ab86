/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leak.h - the parts of `memtally leak` among themselves: cmd_leak.c runs it, leak_load.c
 * prepares the kernel side, leak_events.c takes what the event ring brings, leak_rows.c makes rows
 * of the tables, leak_overhead.c watches what it costs, leak_losses.c says what was lost.
 */
#ifndef MEMTALLY_LEAK_H
#define MEMTALLY_LEAK_H

#include "abi.h"
#include "cmd_leak.h"
#include "cmd_run.h"
#include "leak.skel.h"
#include "lib/snapshot.h"
#include "sym/sym.h"
#include "trace/attach.h"
#include "trace/meter.h"
#include "trace/probes.h"
#include "trace/tables.h"
#include "trace/stacks.h"
#include "trace/throttle.h"
#include "trace/tracer.h"
#include "view/rank.h"
#include "view/view.h"

/* What tracing had cost at one moment. */
struct leak_overhead_at {
	struct meter_sum sum;
	uint64_t time_ns; /* monotonic */
};

struct leak {
	const struct leak_opts *o;
	struct leak_bpf *bpf;
	struct links task_links;
	struct tables tables;
	struct tracer *tracer;
	struct probes *probes;
	struct stacks *stacks;
	struct symbolizer *sym;
	struct rank *rank;
	struct view *view;
	struct alloc_custom *custom;
	size_t n_custom;
	struct allocators *allocators;
	struct meter *meter;
	struct throttle throttle;
	struct leak_overhead_at began, reported, judged;
	uint64_t map_bytes;
	uint64_t ticks, end_ns;
	uint64_t purge_after_ns;
	bool purge_wanted;
	uint64_t late;		 /* images whose allocator was probed after they had begun */
	uint64_t internal_bytes; /* mapped by allocator libraries for themselves, last tick */
	bool attached, incomplete;
	bool reporting; /* what fails now is the writing */
	int view_err;
};

/* Are the targets not a known set of processes (--all, --cgroup)? */
bool leak_wants_every(const struct leak_opts *o);
/* Are calls left out by size or sampling? */
bool leak_filters(const struct leak_opts *o);
/* What the kernel must have; what --follow needs; that specs name something. They say it. */
int leak_check_kernel(void);
int leak_check_follow(const struct leak *l);
int leak_check_specs(struct leak *l);
/* Opens, sizes, configures and loads the BPF object; then probes. They say what failed. */
int leak_load(struct leak *l);
int leak_attach(struct leak *l);

/* A record of the ring: 0 or -ENOMEM. */
int leak_on_event(void *arg, const struct event *ev, size_t len);
/* A stack that was finished late. 0 or -ENOMEM. */
int leak_on_stack(void *arg, const struct stack_event *ev, uint64_t call_site);

/*
 * One row per stack (and thread, as --by says) with outstanding memory. Rows and what they
 * own are freed by rows_free(); names and addresses belong to *l. 0 or -errno.
 */
int leak_rows_read(struct leak *l, struct row **ret, size_t *ret_n);
/* Do reports need every block (-a, -o)? Else the totals of the sites will do. */
bool leak_walks_blocks(const struct leak *l);
/* Is the memory of this process no more to be reported? */
bool leak_forgets(const struct leak *l, const struct process *p);
/*
 * Takes what processes left behind out of the tables, at most once a second and not for more
 * than a twentieth of the time. 0 or -errno.
 */
int leak_purge(struct leak *l);
/* Names the frames of one row. 0 or -ENOMEM. */
int leak_row_resolve(struct leak *l, struct row *row);

/* Measures from now on; with --max-overhead, keeps to it. It says what failed. 0 or -errno. */
int leak_overhead_start(struct leak *l);
/* What it has cost since the last report, with -v and --max-overhead. 0 or what view.h says. */
int leak_overhead_report(struct leak *l, uint64_t time_ns);
/* From the beginning. */
void leak_overhead_total(struct leak *l, struct view_cost *ret);

/* How the stacks that were taken ended, for -v. */
void leak_say_stacks(const struct leak *l);
/*
 * Every loss counter; *ret is the caller's in any case. Sets l->incomplete if any is not 0.
 * 0 or -errno.
 */
int leak_losses_read(struct leak *l, struct losses *ret);

#endif
