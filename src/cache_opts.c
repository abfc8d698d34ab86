/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of `memtally cachestat` and `cachetop`. */
#include "cmd_cache.h"

#include <errno.h>

#define COMMON(name) offsetof(struct common_opts, name)
#define FIELD(name)  offsetof(struct cache_opts, name)

static const char *const sort_words[] = {"accesses", "hits",   "misses", "readahead",
					 "dirties",  "direct", NULL};
static const char *const by_words[] = {"total", "file", "process", "cgroup", NULL};
static const char *const method_words[] = {"auto", "tracepoints", "functions", "syscalls", NULL};

static const struct opt target_rows[] = {
	OPT_ROW("pid", 'p', OPT_PIDS, COMMON(pids), "PID[,PID...]",
		"Only these processes; without any target the whole machine"),
	OPT_ROW("follow", 0, OPT_FLAG, COMMON(follow), NULL,
		"Also the processes that the targets fork"),
	OPT_ROW("cgroup", 0, OPT_STRING, COMMON(cgroup), "PATH",
		"Only the processes in this cgroup (a directory of cgroup2)"),
	OPT_ROW("all", 0, OPT_FLAG, COMMON(all), NULL, "The whole machine"),
};

#define BY(first)                                                                                  \
	OPT_BY(by_words, first), OPT_SORT(sort_words, "accesses"),                                 \
		OPT_ROW("json", 0, OPT_FLAG, COMMON(json), NULL, "Print JSON, one object a line"), \
		OPT_ROW("method", 0, OPT_ENUM, FIELD(method), "METHOD",                            \
			"How the page cache is watched", .fallback = "auto",                       \
			.names = method_words)

/* -T is what cachestat's users know it for. */
static const struct opt stat_rows[] = {
	OPT_ROW("timestamps", 'T', OPT_FLAG, FIELD(timestamps), NULL,
		"Begin each line with the time"),
	OPT_ROW("top", 0, OPT_U64, COMMON(top), "N", "Rows to print with --by", .fallback = "20",
		.min = 1, .max = 1000000),
	BY("total"),
};

static const struct opt top_rows[] = {
	OPT_ROW("top", 'T', OPT_U64, COMMON(top), "N", "Rows to print", .fallback = "20", .min = 1,
		.max = 1000000),
	BY("process"),
};

static const struct opt_group target_group = {"Targets", target_rows, ARRAY_SIZE(target_rows), 0};
static const struct opt_group stat_group = {"Report", stat_rows, ARRAY_SIZE(stat_rows), 0};
static const struct opt_group top_group = {"Report", top_rows, ARRAY_SIZE(top_rows), 0};

static const struct opt_group *const stat_groups[] = {&target_group, &stat_group, &opts_run, NULL};
static const struct opt_group *const top_groups[] = {&target_group, &top_group, &opts_run, NULL};

static int cache_check(const void *cfg, char **ret_msg)
{
	const struct common_opts *c = cfg;

	if (!!c->pids.n + !!c->cgroup + c->all + !!c->program > 1)
		return opts_fail(-EINVAL, ret_msg,
				 "more than one of -p, --cgroup, --all and -- PROGRAM");
	return 0;
}

static int cachetop_check(const void *cfg, char **ret_msg)
{
	const struct common_opts *c = cfg;

	if (c->by == CACHE_BY_TOTAL)
		return opts_fail(-EINVAL, ret_msg,
				 "--by total is what cachestat prints; here file, process, cgroup");
	return cache_check(cfg, ret_msg);
}

_Static_assert(offsetof(struct cache_opts, common) == 0, "shared rows count from the start");

const struct opts_spec cachestat_spec = {
	.command = "cachestat",
	.summary = "Page cache hits, misses, read-ahead and direct I/O, exactly.",
	.groups = stat_groups,
	.examples = "  memtally cachestat                 a line every second\n"
		    "  memtally cachestat -T 5 12         a minute in lines of 5 seconds\n"
		    "  memtally cachestat --by file 10    hit ratio of every file\n"
		    "  memtally cachestat -- dd if=x of=/dev/null bs=1M\n",
	.config_size = sizeof(struct cache_opts),
	OPTS_INTERVAL,
	OPTS_PROGRAM,
	.check = cache_check,
};

const struct opts_spec cachetop_spec = {
	.command = "cachetop",
	.summary = "Page cache hits and misses by process, file or cgroup.",
	.groups = top_groups,
	.examples = "  memtally cachetop                  processes, every second\n"
		    "  memtally cachetop --by file 5      files, every 5 seconds\n"
		    "  memtally cachetop --json -p 1234 1 10\n",
	.config_size = sizeof(struct cache_opts),
	OPTS_INTERVAL,
	OPTS_PROGRAM,
	.check = cachetop_check,
};
