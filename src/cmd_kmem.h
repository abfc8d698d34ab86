/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_kmem.h - what the options of `memtally kmem` become. Table: cmd_kmem_opts.c. */
#ifndef MEMTALLY_CMD_KMEM_H
#define MEMTALLY_CMD_KMEM_H

#include "lib/opts_common.h"

enum kmem_what { WHAT_DEFAULT, WHAT_SLAB, WHAT_PAGES, WHAT_VMALLOC, WHAT_PERCPU, WHAT_ALL };
enum kmem_by { KMEM_BY_STACK, KMEM_BY_CACHE, KMEM_BY_SITE, KMEM_BY_PROCESS };

struct kmem_opts {
	struct common_opts common; /* sort: enum rank_key, by: enum kmem_by */
	int what;		   /* enum kmem_what */
	bool full, watch, account, suspect;
	char *cache, *site;
	bool show_allocs;
	bool user_stack;
	uint64_t older_ns;	     /* 0: every block */
	uint64_t min_size, max_size; /* bytes, inclusive; max 0: no limit */
	uint64_t sample;	     /* one address of this many; a power of two */
	uint64_t max_blocks;	     /* 0: by gear */
	uint64_t max_stacks;
	bool no_check;
};

extern const struct opts_spec kmem_spec;

#endif
