/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of `memtally leak`; what they mean to users is in docs/memtally.1. */
#include "cmd_leak.h"

#include <errno.h>
#include <string.h>

#define COMMON(name) offsetof(struct common_opts, name)
#define FIELD(name)  offsetof(struct leak_opts, name)

static const char *const sort_words[] = {"bytes", "count", "age", "rate", NULL};
static const char *const by_words[] = {"stack", "thread", "process", NULL};

static const struct opt order_rows[] = {
	OPT_SORT(sort_words, "bytes"),
	OPT_BY(by_words, "stack"),
};

static const struct opt leak_rows[] = {
	OPTS_BLOCKS(struct leak_opts),
	OPT_ROW("sample", 's', OPT_SIZE, FIELD(sample_bytes), "BYTES",
		"Sample one allocation per this many bytes on average and scale the numbers up; "
		"without it every allocation is counted",
		.min = 1),
	OPT_ROW("trace", 't', OPT_FLAG, FIELD(trace), NULL,
		"Print each call as it happens, with its stack"),
	OPT_ROW("alloc", 0, OPT_LIST, FIELD(alloc), "SPEC",
		"Also count this allocating function; may be repeated"),
	OPT_ROW("free", 0, OPT_LIST, FIELD(free), "SPEC",
		"Also count this freeing function; may be repeated"),
};

static const struct opt limit_rows[] = {
	OPT_ROW("max-overhead", 0, OPT_PERCENT, FIELD(max_overhead), "PCT",
		"Sample, ever more coarsely, as needed to keep tracing under this much of one CPU; "
		"0: no bound",
		.fallback = "0"),
	OPT_ROW("max-blocks", 0, OPT_U64, FIELD(max_blocks), "N",
		"Room for live blocks; 0: what an eighth of the available memory holds, "
		"at most 2097152",
		.fallback = "0", .max = 1ULL << 30),
	OPT_ROW("max-stacks", 0, OPT_U64, FIELD(max_stacks), "N", "Room for different stacks",
		.fallback = "65536", .min = 1, .max = 1ULL << 24),
};

static const struct opt_group leak_group = {"Allocations", leak_rows, ARRAY_SIZE(leak_rows), 0};
static const struct opt_group order_group = {"Order", order_rows, ARRAY_SIZE(order_rows), 0};
static const struct opt_group limit_group = {"Limits", limit_rows, ARRAY_SIZE(limit_rows), 0};

static const struct opt_group *const leak_groups[] = {
	&opts_targets, &leak_group,  &opts_report, &order_group,
	&opts_stacks,  &limit_group, &opts_run,	   NULL,
};

static int leak_check(const void *cfg, char **ret_msg)
{
	const struct leak_opts *o = cfg;

	if (o->max_size && o->min_size > o->max_size)
		return opts_fail(-EINVAL, ret_msg, "--min-size is larger than --max-size");
	if (o->show_allocs && o->common.by == LEAK_BY_PROCESS)
		return opts_fail(-EINVAL, ret_msg,
				 "--show-allocs lists the blocks of stacks: not with --by process");
	if (o->common.folded && o->common.by == LEAK_BY_PROCESS)
		return opts_fail(-EINVAL, ret_msg, "--folded writes stacks: not with --by process");
	if (o->trace && o->common.folded && strcmp(o->common.folded, "-") == 0)
		return opts_fail(-EINVAL, ret_msg,
				 "--folded - prints nothing but stacks: not with --trace");
	return opts_check_targets(&o->common, ret_msg);
}

_Static_assert(offsetof(struct leak_opts, common) == 0, "shared rows count from the start");

const struct opts_spec leak_spec = {
	.command = "leak",
	.summary = "Name the stacks that hold the memory of running processes.",
	.groups = leak_groups,
	.examples =
		"  memtally leak -p 1234              until Ctrl-C, then one report\n"
		"  memtally leak -p 1234 5            a report every 5 seconds\n"
		"  memtally leak -p 1234 -o 10000 60 1   blocks older than 10 s, after a minute\n"
		"  memtally leak -- ./server --port 80   start a program and trace it\n"
		"  memtally leak --all --by process 10   a table of processes\n",
	.config_size = sizeof(struct leak_opts),
	OPTS_INTERVAL,
	OPTS_PROGRAM,
	.check = leak_check,
};
