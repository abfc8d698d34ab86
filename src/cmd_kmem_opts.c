/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of `memtally kmem`; what they mean to users is in docs/memtally.1. */
#include "cmd_kmem.h"

#include <errno.h>

#define COMMON(name) offsetof(struct common_opts, name)
#define FIELD(name)  offsetof(struct kmem_opts, name)

static const char *const sort_words[] = {"bytes", "count", "age", "rate", NULL};
static const char *const by_words[] = {"stack", "cache", "site", "process", NULL};
static const char *const what_words[] = {"default", "slab", "pages", "vmalloc",
					 "percpu",  "all",  NULL};

static const struct opt what_row = OPT_ROW("what", 0, OPT_ENUM, FIELD(what), NULL,
					   "Which memory of the kernel", .names = what_words);

static const struct opt gear_rows[] = {
	OPT_ROW("watch", 0, OPT_FLAG, FIELD(watch), NULL,
		"No probes: growth of slab caches, vmalloc callers and page counters from /proc"),
	OPT_ROW("full", 0, OPT_FLAG, FIELD(full), NULL,
		"Count every block, not a sample; best with --cache"),
	OPT_ROW("suspect", 0, OPT_FLAG, FIELD(suspect), NULL,
		"Watch for one INTERVAL (10 seconds), then trace the slab caches that grew, in "
		"full"),
	OPT_ROW("account", 0, OPT_FLAG, FIELD(account), NULL,
		"No probes: one line per consumer of all memory, and the rest nobody accounts for"),
};

static const struct opt target_rows[] = {
	OPT_ROW("pid", 'p', OPT_PIDS, COMMON(pids), "PID[,PID...]",
		"Only allocations on behalf of these processes"),
	OPT_ROW("cgroup", 0, OPT_STRING, COMMON(cgroup), "PATH",
		"Only allocations on behalf of this cgroup (a directory of cgroup2)"),
};

static const struct opt alloc_rows[] = {
	OPT_ROW("cache", 0, OPT_STRING, FIELD(cache), "NAME",
		"Only this slab cache, as /proc/slabinfo or an alias of it names it"),
	OPT_ROW("site", 0, OPT_STRING, FIELD(site), "FUNC[+OFF]",
		"Only allocations made by this kernel function; pages and vmalloc: or below it"),
	OPT_ROW("user-stack", 0, OPT_FLAG, FIELD(user_stack), NULL,
		"Tell stacks apart by the process and its functions that lead to the kernel, too"),
	OPTS_BLOCKS(struct kmem_opts),
	OPT_ROW("sample", 's', OPT_U64, FIELD(sample), "N",
		"Without --full: follow one address in N (a power of two) and scale the numbers up",
		.fallback = "16", .min = 1, .max = 1 << 20),
	OPT_ROW("no-check", 0, OPT_FLAG, FIELD(no_check), NULL,
		"Do not ask the slab allocator at each report whether the blocks still live"),
};

static const struct opt order_rows[] = {
	OPT_SORT(sort_words, "bytes"),
	OPT_BY(by_words, "stack"),
};

static const struct opt limit_rows[] = {
	OPT_ROW("max-blocks", 0, OPT_U64, FIELD(max_blocks), "N",
		"Room for live blocks; 0: 262144, with --full 1048576", .fallback = "0",
		.max = 1ULL << 28),
	OPT_ROW("max-stacks", 0, OPT_U64, FIELD(max_stacks), "N", "Room for different stacks",
		.fallback = "16384", .min = 1, .max = 1ULL << 24),
};

static const struct opt_group gear_group = {"Gears (default: a sample of blocks, with stacks)",
					    gear_rows, ARRAY_SIZE(gear_rows), 0};
static const struct opt_group target_group = {"Targets", target_rows, ARRAY_SIZE(target_rows), 0};
static const struct opt_group alloc_group = {"Allocations", alloc_rows, ARRAY_SIZE(alloc_rows), 0};
static const struct opt_group order_group = {"Order", order_rows, ARRAY_SIZE(order_rows), 0};
static const struct opt_group limit_group = {"Limits", limit_rows, ARRAY_SIZE(limit_rows), 0};

static const struct opt_group *const kmem_groups[] = {
	&gear_group,  &target_group, &alloc_group, &opts_report, &order_group,
	&opts_stacks, &limit_group,  &opts_run,	   NULL,
};

static int kmem_check(const void *cfg, char **ret_msg)
{
	const struct kmem_opts *o = cfg;

	if (o->max_size && o->min_size > o->max_size)
		return opts_fail(-EINVAL, ret_msg, "--min-size is larger than --max-size");
	if (o->full + o->watch + o->account + o->suspect > 1)
		return opts_fail(-EINVAL, ret_msg,
				 "more than one of --watch, --full, --suspect and --account");
	if (o->suspect && (o->cache || (o->what != WHAT_DEFAULT && o->what != WHAT_SLAB)))
		return opts_fail(-EINVAL, ret_msg, "--suspect finds slab caches by itself");
	if (o->common.pids.n && o->common.cgroup)
		return opts_fail(-EINVAL, ret_msg, "more than one of -p and --cgroup");
	if (o->sample & (o->sample - 1))
		return opts_fail(-EINVAL, ret_msg, "--sample: %llu is not a power of two",
				 (unsigned long long)o->sample);
	if (o->cache && o->what != WHAT_DEFAULT && o->what != WHAT_SLAB)
		return opts_fail(-EINVAL, ret_msg, "--cache names a slab cache: only with 'slab'");
	if (o->show_allocs && o->common.by != KMEM_BY_STACK)
		return opts_fail(-EINVAL, ret_msg,
				 "--show-allocs lists the blocks of stacks: only with --by stack");
	if (o->user_stack && (o->common.by != KMEM_BY_STACK || o->watch))
		return opts_fail(-EINVAL, ret_msg,
				 "--user-stack adds to stacks: only with --by stack");
	if (o->common.folded && (o->common.by != KMEM_BY_STACK || o->watch || o->account))
		return opts_fail(-EINVAL, ret_msg, "--folded writes stacks: only with --by stack");
	return 0;
}

_Static_assert(offsetof(struct kmem_opts, common) == 0, "shared rows count from the start");

const struct opts_spec kmem_spec = {
	.command = "kmem",
	.summary = "Name the stacks that hold the memory of the kernel.",
	.groups = kmem_groups,
	.examples = "  memtally kmem --watch 10           which cache or counter grows\n"
		    "  memtally kmem --duration 60        who allocated slab objects and pages "
		    "that stay\n"
		    "  memtally kmem slab --full --cache dentry 10   every object of one cache\n"
		    "  memtally kmem --account            where all memory is\n",
	.config_size = sizeof(struct kmem_opts),
	.word = &what_row,
	OPTS_INTERVAL,
	.check = kmem_check,
};
