/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_leak.h - what the options of `memtally leak` become. Table: cmd_leak_opts.c. */
#ifndef MEMTALLY_CMD_LEAK_H
#define MEMTALLY_CMD_LEAK_H

#include "lib/opts_common.h"

enum leak_sort { LEAK_SORT_BYTES, LEAK_SORT_COUNT, LEAK_SORT_AGE, LEAK_SORT_RATE };
enum leak_by { LEAK_BY_STACK, LEAK_BY_THREAD, LEAK_BY_PROCESS };

struct leak_opts {
	struct common_opts common; /* sort: enum leak_sort, by: enum leak_by */
	bool show_allocs;
	bool trace;
	uint64_t older_ns;	     /* 0: every block */
	uint64_t min_size;	     /* bytes, inclusive */
	uint64_t max_size;	     /* bytes, inclusive; UINT64_MAX: no limit */
	uint64_t sample_bytes;	     /* mean bytes between samples; 0: every allocation */
	double max_overhead;	     /* share of one CPU; 0: no bound */
	uint64_t max_blocks;	     /* 0: by the memory of the machine */
	uint64_t max_stacks;	     /* never 0 */
	struct opt_list alloc, free; /* --alloc and --free SPECs */
};

extern const struct opts_spec leak_spec;

#endif
