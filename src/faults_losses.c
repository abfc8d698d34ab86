/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "lib/log.h"
#include "trace/collect.h"

/* What the BPF side counts: one row per loss counter of abi.h and faults_abi.h. */
static const struct {
	uint32_t stat;
	bool of_faults;
	struct loss loss;
} rows[] = {
	{FAULT_STAT_CELLS_FULL,
	 true,
	 {"rows_full", 0, "faults without a row of their own: the table is full",
	  "raise --max-rows, or a coarser --by"}},
	{FAULT_STAT_BAD_LOST,
	 true,
	 {"bad_lost", 0, "failed accesses without a record: the event ring was full",
	  "give memtally more CPU"}},
	{STAT_BLOCKS_FULL,
	 false,
	 {"pages_full", 0, "pages not recorded: the table of pages is full", "sample with -s"}},
	{STAT_SITES_FULL,
	 false,
	 {"stacks_full", 0, "pages without their own stack: the table of stacks is full",
	  "raise --max-rows"}},
	{STAT_FREES_MISSED,
	 false,
	 {"frees_missed", 0, "frees of pages not seen; repaired when the page was used again",
	  "another tracer hides them"}},
	{STAT_EVENTS_LOST,
	 false,
	 {"events_lost", 0, "process records lost: the event ring was full",
	  "give memtally more CPU"}},
	{STAT_THREADS_FULL,
	 false,
	 {"threads_full", 0, "faults without time and cause: no kernel memory for a thread",
	  "free memory, or restrict the targets"}},
	{STAT_PROCS_FULL,
	 false,
	 {"processes_full", 0, "processes not followed: the table of processes is full",
	  "restrict the targets"}},
};

#define N_EXTRA 3

/*
 * A program is skipped where another one runs on the CPU. These may be: what then happens in
 * an interrupt, or in our own reading of a user stack, is no fault of a process and no page
 * of one. (Were a page of a process freed so, its next use would show it: frees_missed.)
 */
static bool may_miss(const struct bpf_program *p)
{
	static const char *const names[] = {"fault_page_alloc", "fault_page_free"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(bpf_program__name(p), names[i]) == 0)
			return true;
	return false;
}

static void programs_read(const struct faults *f, uint64_t *ret_misses, uint64_t *ret_run_ns)
{
	struct bpf_program *p;

	*ret_misses = *ret_run_ns = 0;
	bpf_object__for_each_program(p, f->obj)
	{
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		if (bpf_program__fd(p) < 0 ||
		    bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len))
			continue;
		*ret_misses += may_miss(p) ? 0 : info.recursion_misses;
		if (info.recursion_misses)
			log_verbose("program '%s' was skipped %llu times", bpf_program__name(p),
				    (unsigned long long)info.recursion_misses);
		*ret_run_ns += info.run_time_ns;
	}
}

static uint64_t tables_full(const struct faults *f)
{
	struct unwinder_stats s;

	unwinder_stats(tracer_unwinder(f->tracer), &s);
	return s.objects_full + s.mappings_full + s.rules_full;
}

int faults_losses_read(struct faults *f, struct loss **ret, size_t *ret_n)
{
	uint64_t stats[STAT_COUNT] = {0}, own[FAULT_STATS] = {0}, misses, run_ns;
	size_t n = ARRAY_SIZE(rows);
	struct loss *losses = calloc(n + N_EXTRA, sizeof(*losses));
	int err;

	if (!losses)
		return -ENOMEM;
	err = collect_stats(f->stats_fd, stats, STAT_COUNT);
	if (!err)
		err = collect_stats(f->fault_stats_fd, own, FAULT_STATS);
	if (err) {
		free(losses);
		return err;
	}
	for (size_t i = 0; i < n; i++) {
		losses[i] = rows[i].loss;
		losses[i].count = rows[i].of_faults ? own[rows[i].stat] : stats[rows[i].stat];
	}
	losses[0].count += f->gone.dropped;
	losses[1].count += faults_bads_dropped(f->bads);
	programs_read(f, &misses, &run_ns);
	losses[n++] = (struct loss){"probes_missed", misses,
				    "events that the kernel skipped (recursion_misses)",
				    "another tracer on the same events"};
	losses[n++] = (struct loss){"mappings_lost", tracer_lost(f->tracer),
				    "process events lost: names or stacks may miss mappings",
				    "give memtally more CPU"};
	losses[n++] =
		(struct loss){"unwind_tables_full", tables_full(f),
			      "objects or mappings without room in the unwind tables",
			      "restrict the targets; frames there fall back to frame pointers"};
	for (size_t i = 0; i < n; i++)
		f->incomplete |= losses[i].count != 0;
	*ret = losses;
	*ret_n = n;
	return 0;
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

void faults_activity(struct faults *f, uint64_t *ret_events, uint64_t *ret_run_ns)
{
	struct collect_map sites = {f->sites_fd, sizeof(uint64_t), sizeof(struct site)};
	uint64_t misses;

	*ret_events = f->gone.minor + f->gone.major;
	if (f->o->rss)
		collect_each(&sites, on_site, ret_events);
	else
		faults_cells_each(f->cells, on_cell, ret_events);
	programs_read(f, &misses, ret_run_ns);
}
