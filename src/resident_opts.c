/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of `memtally resident`. */
#include <errno.h>

#include "cmd_resident.h"

#define COMMON(name) offsetof(struct common_opts, name)
#define FIELD(name)  offsetof(struct resident_opts, name)

static const char *const sort_words[] = {"cached", "size", "percent", "dirty", NULL};

static const struct opt resident_rows[] = {
	OPT_ROW("pid", 'p', OPT_PIDS, COMMON(pids), "PID[,PID...]",
		"Files that these processes have open or mapped"),
	OPT_ROW("top", 'T', OPT_U64, COMMON(top), "N",
		"Rows to print; without FILE and -p of all files that any process has open or "
		"mapped",
		.fallback = "20", .min = 1, .max = 1000000),
	OPT_SORT(sort_words, "cached"),
	OPT_ROW("map", 0, OPT_FLAG, FIELD(map), NULL,
		"Draw which parts of each file are cached: # all, o and - some, . none"),
	OPT_ROW("json", 0, OPT_FLAG, COMMON(json), NULL, "Print JSON, one object a line"),
};

static const struct opt_group resident_group = {"Report", resident_rows, ARRAY_SIZE(resident_rows),
						0};
static const struct opt_group *const resident_groups[] = {&resident_group, NULL};

static int resident_check(const void *cfg, char **ret_msg)
{
	const struct resident_opts *o = cfg;

	if (o->files.n && o->common.pids.n)
		return opts_fail(-EINVAL, ret_msg, "either FILE or -p PID, not both");
	return 0;
}

_Static_assert(offsetof(struct resident_opts, common) == 0, "shared rows count from the start");

const struct opts_spec resident_spec = {
	.command = "resident",
	.summary = "How much of which files is in the page cache; changes nothing by looking.",
	.groups = resident_groups,
	.examples = "  memtally resident --map /var/lib/db/file\n"
		    "  memtally resident --top 50 /usr/lib\n"
		    "  memtally resident -p 1234\n"
		    "  memtally resident --top 20          files of all processes\n",
	.config_size = sizeof(struct resident_opts),
	.operands = "[FILE|DIR...]",
	.operands_offset = FIELD(files),
	.check = resident_check,
};
