/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "lib/log.h"
#include "trace/collect.h"
#include "trace/features.h"

/* What the BPF side counts: one row per loss counter of faults_abi.h ... */
static const struct stat_loss own_losses[] = {
	{FAULT_STAT_CELLS_FULL,
	 {"rows_full", 0, "faults without a row of their own: the table is full",
	  "raise --max-rows, or a coarser --by"}},
	{FAULT_STAT_BAD_LOST,
	 {"bad_lost", 0, "failed accesses without a record: the event ring was full",
	  "give memtally more CPU"}},
	{FAULT_STAT_ENDS_MISSED,
	 {"ends_missed", 0,
	  "faults without time, and in no row by stack: the kernel skipped their "
	  "event",
	  "another BPF tool works on its maps without pause: stop it"}},
};

/* ... and of abi.h. */
static const struct stat_loss common_losses[] = {
	{STAT_BLOCKS_FULL,
	 {"pages_full", 0, "pages not recorded: the table of pages is full", "sample with -s"}},
	{STAT_SITES_FULL,
	 {"stacks_full", 0, "pages without their own stack: the table of stacks is full",
	  "raise --max-rows"}},
	{STAT_FREES_MISSED,
	 {"frees_missed", 0, "frees of pages not seen; repaired when the page was used again",
	  "another tracer hides them"}},
	{STAT_EVENTS_LOST,
	 {"events_lost", 0, "process records lost: the event ring was full",
	  "give memtally more CPU"}},
	{STAT_THREADS_FULL,
	 {"threads_full", 0,
	  "faults without time and cause, or threads not counted: no kernel memory",
	  "free memory, or restrict the targets"}},
	{STAT_PROCS_FULL,
	 {"processes_full", 0, "processes not followed: the table of processes is full",
	  "restrict the targets"}},
};

/*
 * A program is skipped where another one runs on the CPU. These may be: what then happens in
 * an interrupt, or in our own reading of a user stack, is no fault of a process and no page
 * of one. (Were a page of a process freed so, its next use would show it: frees_missed. Of a
 * sample of pages so few more or less are missing.) Where tasks are skipped, too, they may
 * not: later programs see what these did not.
 */
static bool may_miss(const struct bpf_program *p)
{
	const char *name = bpf_program__name(p);

	return strcmp(name, "fault_sample_alloc") == 0 ||
	       (strncmp(name, "fault_page_", 11) == 0 && !feature_has(FEATURE_EVENTS_SKIPPED));
}

static int on_unsent(const struct fault_cell *c, void *arg)
{
	if (c->id && !(c->sent & FAULT_SENT_STACK))
		*(uint64_t *)arg += c->minor + c->major;
	return 0;
}

/* A stack that found no room in the ring is sent when it is met again; has it been? */
static uint64_t stacks_unsent(const struct faults *f, uint64_t retries)
{
	struct collect_map sites = {f->sites_fd, sizeof(uint64_t), sizeof(struct site)};
	uint64_t sum = 0;

	if (!retries)
		return 0;
	if (f->o->rss)
		collect_each_gently(&sites, collect_unsent, &sum);
	else if (f->by & FAULTS_BY_STACK && !f->o->bad)
		faults_cells_each(f->cells, on_unsent, &sum);
	return sum;
}

int faults_losses_read(struct faults *f, struct losses *ret)
{
	uint64_t stats[STAT_COUNT] = {0}, own[FAULT_STATS] = {0};
	struct losses n = {.err = collect_stats(f->stats_fd, stats, STAT_COUNT)};

	if (!n.err)
		n.err = collect_stats(f->fault_stats_fd, own, FAULT_STATS);
	losses_add_stats(&n, own_losses, ARRAY_SIZE(own_losses), own);
	if (!n.err) {
		n.v[0].count += f->gone.dropped;
		n.v[1].count += faults_bads_dropped(f->bads);
	}
	stats[STAT_THREADS_FULL] += f->untaken;
	losses_add_stats(&n, common_losses, ARRAY_SIZE(common_losses), stats);
	losses_add(&n, (struct loss){"stacks_unsent", stacks_unsent(f, stats[STAT_STACK_RETRY]),
				     "faults or pages without a stack: the event ring was full",
				     "give memtally more CPU"});
	losses_add(&n,
		   (struct loss){"probes_missed", collect_misses(f->obj, may_miss, f->stats_fd, 0),
				 "events that the kernel skipped (recursion_misses)",
				 "another tracer on the same events"});
	losses_add_tracer(&n, f->tracer);
	f->incomplete |= losses_any(&n);
	*ret = n;
	return n.err;
}

static int on_cell(const struct fault_cell *c, void *arg)
{
	*(uint64_t *)arg += c->minor + c->major;
	return 0;
}

static int on_site(const void *key, const void *value, void *arg)
{
	(void)key;
	*(uint64_t *)arg += ((const struct site *)value)->allocs;
	return 0;
}

void faults_activity(struct faults *f, struct view_cost *ret)
{
	struct collect_map sites = {f->sites_fd, sizeof(uint64_t), sizeof(struct site)};

	ret->events = f->gone.minor + f->gone.major;
	if (f->o->rss)
		collect_each_gently(&sites, on_site, &ret->events);
	else
		faults_cells_each(f->cells, on_cell, &ret->events);
	ret->run_ns = (double)collect_run_ns(f->obj);
}
