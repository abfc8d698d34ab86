/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <errno.h>

#include "leak.h"
#include "lib/log.h"
#include "trace/collect.h"

/* What the BPF side counts: one row per loss counter of abi.h. */
static const struct stat_loss bpf_losses[] = {
	{STAT_BLOCKS_FULL,
	 {"blocks_full", 0, "allocations not recorded: the table of blocks is full",
	  "raise --max-blocks, or sample with -s"}},
	{STAT_SITES_FULL,
	 {"stacks_full", 0, "allocations without their own stack: the table of stacks is full",
	  "raise --max-stacks"}},
	{STAT_RAWS_FULL,
	 {"stacks_unfinished", 0,
	  "stacks through a new file went on by guesses: no room to send them to be finished",
	  "give memtally more CPU"}},
	{STAT_EVENTS_LOST,
	 {"events_lost", 0, "mapping or call records lost: the event ring was full",
	  "without -t there are fewer records; give memtally more CPU"}},
	{STAT_THREADS_FULL,
	 {"threads_full", 0, "calls not recorded: no kernel memory for a thread's state",
	  "free memory, or restrict the targets"}},
	{STAT_CALLS_BROKEN,
	 {"calls_broken", 0, "allocator calls that never returned through their probe",
	  "the program leaves them by longjmp or an exception: results are approximate"}},
	{STAT_FREES_MISSED,
	 {"frees_missed", 0, "frees not seen; repaired when the address was used again",
	  "memory is freed by a function that is not probed: name it with --free"}},
	{STAT_RESULT_FAULT,
	 {"results_unreadable", 0, "allocations whose result pointer could not be read",
	  "check the out argument of the --alloc spec"}},
	{STAT_PROBE_NAME,
	 {"probes_unknown", 0, "calls not recorded: the kernel did not tell which probe was hit",
	  "a kernel with cookies of uprobes (v5.15) does"}},
	{STAT_PROCS_FULL,
	 {"processes_full", 0, "processes not followed: the table of processes is full",
	  "restrict the targets"}},
};

int leak_losses_read(struct leak *l, struct losses *ret)
{
	uint64_t stats[STAT_COUNT] = {0};
	struct losses n = {
		.err = collect_stats(bpf_map__fd(l->bpf->maps.stats), stats, STAT_COUNT)};

	losses_add_stats(&n, bpf_losses, ARRAY_SIZE(bpf_losses), stats);
	losses_add(&n, (struct loss){"stacks_unsent",
				     tables_unsent(&l->tables, stats[STAT_STACK_RETRY]),
				     "allocations without a stack: the event ring was full",
				     "give memtally more CPU"});
	losses_add(
		&n,
		(struct loss){"probes_missed",
			      collect_misses(l->bpf->obj, NULL, bpf_map__fd(l->bpf->maps.stats), 0),
			      "probe hits that the kernel skipped (recursion_misses)",
			      "another tracer on the same functions, or a preemptible kernel"});
	losses_add_tracer(&n, l->tracer);
	losses_add(&n, (struct loss){"probes_late", l->late,
				     "programs begun by exec whose own allocator was probed after "
				     "their first calls",
				     "start such a program itself: memtally leak -- PROGRAM"});
	l->incomplete |= losses_any(&n);
	*ret = n;
	return n.err;
}

void leak_say_stacks(const struct leak *l)
{
	static const char *const names[WALK_STATUSES] = {
		[WALK_COMPLETE] = "complete",
		[WALK_DEPTH] = "beyond --max-frames",
		[WALK_NO_MAPPING] = "ended at an unknown mapping",
		[WALK_NO_ROW] = "ended at code without unwind information",
		[WALK_UNSUPPORTED] = "ended at a rule that is not supported",
		[WALK_FAULT] = "ended at unreadable memory",
	};
	uint64_t stats[STAT_COUNT] = {0}, sum = 0;

	if (collect_stats(bpf_map__fd(l->bpf->maps.stats), stats, STAT_COUNT))
		return;
	for (int i = 0; i < WALK_STATUSES; i++)
		sum += stats[STAT_WALK_STATUS + i];
	for (int i = 0; i < WALK_STATUSES; i++)
		if (stats[STAT_WALK_STATUS + i])
			log_verbose("stacks: %llu of %llu (%.2f %%) %s",
				    (unsigned long long)stats[STAT_WALK_STATUS + i],
				    (unsigned long long)sum,
				    100.0 * (double)stats[STAT_WALK_STATUS + i] / (double)sum,
				    names[i]);
	if (stats[STAT_RAWS])
		log_verbose(
			"stacks: %llu of those at an unknown mapping were finished in user space",
			(unsigned long long)stats[STAT_RAWS]);
	if (stats[STAT_WALK_FP])
		log_verbose("stacks: %llu hold frames by frame pointer, plausible but not proven",
			    (unsigned long long)stats[STAT_WALK_FP]);
}
