/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/opts_common.h"

#include <errno.h>

#define FIELD(name) offsetof(struct common_opts, name)
#define YEAR_NS	    (366ULL * 86400 * 1000000000)

static const struct opt target_rows[] = {
	OPT_ROW("pid", 'p', OPT_PIDS, FIELD(pids), "PID[,PID...]", "Processes to trace"),
	OPT_ROW("follow", 0, OPT_FLAG, FIELD(follow), NULL,
		"Also trace the processes that the targets fork"),
	OPT_ROW("cgroup", 0, OPT_STRING, FIELD(cgroup), "PATH",
		"Trace every process in this cgroup (a directory of cgroup2)"),
	OPT_ROW("all", 0, OPT_FLAG, FIELD(all), NULL,
		"Trace every process on the machine that maps a known allocator"),
};

static const struct opt run_rows[] = {
	OPT_ROW("duration", 0, OPT_SECONDS, FIELD(duration_ns), "SECONDS",
		"Stop after this time and print the last report", .min = 10000000, .max = YEAR_NS),
	OPT_ROW("verbose", 'v', OPT_COUNTER, FIELD(verbose), NULL,
		"Say more on stderr; twice: libbpf's messages too"),
};

static const struct opt report_rows[] = {
	OPT_ROW("top", 'T', OPT_U64, FIELD(top), "N", "Rows to print", .fallback = "10", .min = 1,
		.max = 1000000),
	OPT_ROW("json", 0, OPT_FLAG, FIELD(json), NULL, "Print JSON, one object a line"),
	OPT_ROW("folded", 0, OPT_STRING, FIELD(folded), "FILE",
		"Write all stacks as folded lines for flame graphs; '-' prints them instead of the "
		"report"),
};

static const char *const unwind_words[] = {"auto", "dwarf", "fp", "none", NULL};

static const struct opt stack_rows[] = {
	OPT_ROW("unwind", 0, OPT_ENUM, FIELD(unwind), "MODE",
		"How stacks are walked: by unwind tables, by frame pointers, not at all",
		.fallback = "auto", .names = unwind_words),
	OPT_ROW("max-frames", 0, OPT_U64, FIELD(max_frames), "N",
		"Deepest stack that is kept whole", .fallback = "127", .min = 1, .max = 127),
	OPT_ROW("no-lines", 0, OPT_FLAG, FIELD(no_lines), NULL,
		"Do not look up source lines and inlined functions"),
};

const struct opt_group opts_targets = {"Targets", target_rows, ARRAY_SIZE(target_rows), 0};
const struct opt_group opts_run = {"Running", run_rows, ARRAY_SIZE(run_rows), 0};
const struct opt_group opts_report = {"Report", report_rows, ARRAY_SIZE(report_rows), 0};
const struct opt_group opts_stacks = {"Stacks", stack_rows, ARRAY_SIZE(stack_rows), 0};

int opts_check_targets(const struct common_opts *c, char **ret_msg)
{
	int kinds = !!c->pids.n + !!c->cgroup + c->all + !!c->program;

	if (!kinds)
		return opts_fail(-EINVAL, ret_msg,
				 "no target: give -p PID, --cgroup PATH, --all or -- PROGRAM");
	if (kinds > 1)
		return opts_fail(-EINVAL, ret_msg,
				 "more than one of -p, --cgroup, --all and -- PROGRAM");
	return 0;
}
