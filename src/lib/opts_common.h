/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opts_common.h - the options that mean the same in every command. A command embeds
 * struct common_opts in its config and lists the groups it supports; the rows exist
 * once, in opts_common.c. --sort and --by have words of their own per command, so
 * their rows are macros that go into the command's table.
 */
#ifndef MEMTALLY_OPTS_COMMON_H
#define MEMTALLY_OPTS_COMMON_H

#include <sys/resource.h>

#include "lib/opts.h"

enum unwind_option { UNWIND_OPT_AUTO, UNWIND_OPT_DWARF, UNWIND_OPT_FP, UNWIND_OPT_NONE };

struct common_opts {
	/* which processes: opts_targets */
	struct opt_pids pids;
	bool follow;
	char *cgroup;
	bool all;
	char **program;	       /* argv after "--", NULL-terminated; or NULL */
	struct rlimit memlock; /* RLIMIT_MEMLOCK when memtally was started (main.c) */
	/* how long: opts_run */
	uint64_t interval_ns; /* 0: one report at the end */
	uint64_t count;	      /* 0: no limit */
	uint64_t duration_ns; /* 0: no limit */
	unsigned int verbose;
	/* what is printed: opts_report, OPT_SORT, OPT_BY */
	uint64_t top;
	int sort, by;
	bool json;
	char *folded; /* path; "-" is stdout; or NULL */
	/* stacks: opts_stacks */
	int unwind; /* enum unwind_option */
	uint64_t max_frames;
	bool no_lines;
};

/* Their offsets count from struct common_opts, which must be the config's first member. */
extern const struct opt_group opts_targets, opts_run, opts_report, opts_stacks;

/* [INTERVAL [COUNT]] and [-- PROGRAM ARG...] of a spec whose config starts so. */
#define OPTS_INTERVAL                                                                         \
	.takes_interval = true, .interval_offset = offsetof(struct common_opts, interval_ns), \
	.count_offset = offsetof(struct common_opts, count)
#define OPTS_PROGRAM .takes_program = true, .program_offset = offsetof(struct common_opts, program)

/* One row each; `words` is a NULL-terminated array of names, `first` the default. */
#define OPT_SORT(words, first)                                                  \
	OPT_ROW("sort", 0, OPT_ENUM, offsetof(struct common_opts, sort), "KEY", \
		"Order of the rows, largest first", .fallback = first, .names = words)
#define OPT_BY(words, first)                                                 \
	OPT_ROW("by", 0, OPT_ENUM, offsetof(struct common_opts, by), "VIEW", \
		"What one row stands for", .fallback = first, .names = words)

/* Which blocks, of a config that has such members; OPT_SIZE and OPT_MS. */
#define OPTS_BLOCKS(config)                                                             \
	OPT_ROW("show-allocs", 'a', OPT_FLAG, offsetof(config, show_allocs), NULL,      \
		"List each block of a printed stack: address, size and age"),           \
		OPT_ROW("older", 'o', OPT_MS, offsetof(config, older_ns), "MS",         \
			"Only blocks that are at least this old", .fallback = "0"),     \
		OPT_ROW("min-size", 'z', OPT_SIZE, offsetof(config, min_size), "BYTES", \
			"Only allocations of at least this size", .fallback = "0"),     \
		OPT_ROW("max-size", 'Z', OPT_SIZE, offsetof(config, max_size), "BYTES", \
			"Only allocations of at most this size; without it any size", .min = 1)

/* Exactly one of -p, --cgroup, --all and a program: 0, or -EINVAL with *ret_msg. */
int opts_check_targets(const struct common_opts *c, char **ret_msg);

#endif
