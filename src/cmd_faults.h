/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_faults.h - what the options of `memtally faults` become. Table: faults_opts.c. */
#ifndef MEMTALLY_CMD_FAULTS_H
#define MEMTALLY_CMD_FAULTS_H

#include "lib/opts_common.h"

enum faults_sort { FAULTS_SORT_COUNT, FAULTS_SORT_MAJOR, FAULTS_SORT_MINOR, FAULTS_SORT_TIME };
enum faults_detail { FAULTS_DETAIL_FULL, FAULTS_DETAIL_TIME, FAULTS_DETAIL_COUNT };

/* --by: any of them together. */
enum {
	FAULTS_BY_PROCESS = 1,
	FAULTS_BY_THREAD = 2,
	FAULTS_BY_STACK = 4,
	FAULTS_BY_MAPPING = 8,
	FAULTS_BY_CAUSE = 16,
	FAULTS_BY_RANGE = 32,
};

struct faults_opts {
	struct common_opts common; /* sort: enum faults_sort; by is not used */
	char *by;		   /* words with commas between */
	bool major, minor;	   /* only these; neither: both */
	bool hist, bad, rss;
	int detail;	      /* enum faults_detail */
	uint64_t range_bytes; /* a power of two */
	uint64_t sample;      /* --rss: one of this many pages, a power of two */
	uint64_t max_rows;    /* room in the table of counts */
};

extern const struct opts_spec faults_spec;

/* FAULTS_BY_* of --by: 0, or -EINVAL with *ret_msg. */
int faults_views_parse(const char *text, unsigned int *ret, char **ret_msg);

#endif
