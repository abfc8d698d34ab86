/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of `memtally faults`; what they mean to users is in docs/memtally.1. */
#include <errno.h>
#include <string.h>

#include "cmd_faults.h"

#define COMMON(name) offsetof(struct common_opts, name)
#define FIELD(name)  offsetof(struct faults_opts, name)

static const char *const sort_words[] = {"count", "major", "minor", "time", NULL};
static const char *const detail_words[] = {"full", "time", "count", NULL};

static const struct {
	const char *word;
	unsigned int bit;
} views[] = {
	{"process", FAULTS_BY_PROCESS}, {"thread", FAULTS_BY_THREAD},
	{"stack", FAULTS_BY_STACK},	{"mapping", FAULTS_BY_MAPPING},
	{"cause", FAULTS_BY_CAUSE},	{"address-range", FAULTS_BY_RANGE},
};

static const struct opt fault_rows[] = {
	OPT_ROW("by", 0, OPT_STRING, FIELD(by), "VIEW[,VIEW...]",
		"What one row stands for: process, thread, stack, mapping, cause, address-range, "
		"or several of them",
		.fallback = "process"),
	OPT_SORT(sort_words, "count"),
	OPT_ROW("major", 0, OPT_FLAG, FIELD(major), NULL, "Only major faults: something was read"),
	OPT_ROW("minor", 0, OPT_FLAG, FIELD(minor), NULL, "Only minor faults"),
	OPT_ROW("hist", 0, OPT_FLAG, FIELD(hist), NULL,
		"Also print how long faults took, by cause and by mapping"),
	OPT_ROW("bad", 0, OPT_FLAG, FIELD(bad), NULL,
		"Print accesses that failed (SIGSEGV, SIGBUS) in place of the faults"),
	OPT_ROW("rss", 0, OPT_FLAG, FIELD(rss), NULL,
		"Print the stacks whose anonymous pages are still resident in place of the faults"),
	OPT_ROW("sample", 's', OPT_U64, FIELD(sample), "N",
		"With --rss: watch one of N pages and scale up; a power of two", .fallback = "1",
		.min = 1, .max = 65536),
	OPT_ROW("detail", 0, OPT_ENUM, FIELD(detail), "LEVEL",
		"What is found out about each fault: everything, its time, or only that it "
		"happened",
		.fallback = "full", .names = detail_words),
	OPT_ROW("range-size", 0, OPT_SIZE, FIELD(range_bytes), "BYTES",
		"Size of a row of --by address-range; a power of two", .fallback = "2M",
		.min = 4096, .max = 1ULL << 40),
	OPT_ROW("max-rows", 0, OPT_U64, FIELD(max_rows), "N",
		"Room for different rows (with --rss: stacks)", .fallback = "65536", .min = 64,
		.max = 1ULL << 24),
};

static const struct opt_group fault_group = {"Faults", fault_rows, ARRAY_SIZE(fault_rows), 0};

static const struct opt_group *const faults_groups[] = {
	&opts_targets, &fault_group, &opts_report, &opts_stacks, &opts_run, NULL,
};

static unsigned int view_bit(const char *word, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(views); i++)
		if (strlen(views[i].word) == len && !strncmp(views[i].word, word, len))
			return views[i].bit;
	return 0;
}

int faults_views_parse(const char *text, unsigned int *ret, char **ret_msg)
{
	unsigned int all = 0, bit;
	size_t len;

	for (const char *word = text;; word += len + 1) {
		len = strcspn(word, ",");
		bit = view_bit(word, len);
		if (!bit)
			return opts_fail(-EINVAL, ret_msg,
					 "--by: '%.*s' is not one of process, thread, stack, "
					 "mapping, cause, address-range",
					 (int)len, word);
		all |= bit;
		if (!word[len])
			break;
	}
	*ret = all;
	return 0;
}

static bool is_power(uint64_t n)
{
	return n && !(n & (n - 1));
}

static int check_modes(const struct faults_opts *o, unsigned int by, char **ret_msg)
{
	if (o->bad && o->rss)
		return opts_fail(-EINVAL, ret_msg, "--bad and --rss are two different reports");
	if (o->detail != FAULTS_DETAIL_FULL &&
	    (o->rss || o->bad || (by & (FAULTS_BY_MAPPING | FAULTS_BY_CAUSE))))
		return opts_fail(-EINVAL, ret_msg, "--detail %s knows no mapping and no cause",
				 detail_words[o->detail]);
	if (o->detail == FAULTS_DETAIL_COUNT && (o->hist || o->common.sort == FAULTS_SORT_TIME))
		return opts_fail(-EINVAL, ret_msg, "--detail count knows no times");
	if (o->sample > 1 && !o->rss)
		return opts_fail(-EINVAL, ret_msg, "--sample is for --rss");
	if (o->common.folded && !o->rss)
		return opts_fail(-EINVAL, ret_msg, "--folded writes the stacks of --rss only");
	return 0;
}

static int faults_check(const void *cfg, char **ret_msg)
{
	const struct faults_opts *o = cfg;
	const struct common_opts *c = &o->common;
	unsigned int by;
	int err = faults_views_parse(o->by, &by, ret_msg);

	if (!err)
		err = check_modes(o, by, ret_msg);
	if (err)
		return err;
	if (!is_power(o->range_bytes) || !is_power(o->sample))
		return opts_fail(-EINVAL, ret_msg, "%s must be a power of two",
				 is_power(o->sample) ? "--range-size" : "--sample");
	/* Without a target: the whole machine. */
	if (!c->pids.n && !c->cgroup && !c->program)
		return 0;
	return opts_check_targets(c, ret_msg);
}

_Static_assert(offsetof(struct faults_opts, common) == 0, "shared rows count from the start");

const struct opts_spec faults_spec = {
	.command = "faults",
	.summary = "Say who takes page faults, where, why, and how long they take.",
	.groups = faults_groups,
	.examples = "  memtally faults 1                  every process, every second\n"
		    "  memtally faults -p 1234 --by stack --major 10   what waits for the disk\n"
		    "  memtally faults --by mapping --sort time 10     whose cold pages stall it\n"
		    "  memtally faults --rss -- ./server  the stacks whose pages stay resident\n"
		    "  memtally faults --bad -- ./crash   SIGSEGV and SIGBUS with their stacks\n",
	.config_size = sizeof(struct faults_opts),
	OPTS_INTERVAL,
	OPTS_PROGRAM,
	.check = faults_check,
};
