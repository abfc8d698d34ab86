/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slots.h - user space's side of the arrays of include/slots_abi.h: seen through a window that
 * moves, as pages that are mapped count as our memory.
 */
#ifndef MEMTALLY_TRACE_SLOTS_H
#define MEMTALLY_TRACE_SLOTS_H

#include "lib/lib.h"
#include "slots_abi.h"
#include "trace/collect.h"

struct slots {
	int fd;		/* of the array, which is borrowed */
	uint32_t n;	/* its elements */
	size_t element; /* bytes */
	char *window;	/* NULL: none yet */
	size_t first, bytes;
};

/*
 * Walks the blocks (struct block_key, struct block_value). What changes meanwhile may be seen
 * or not. A non-zero result of fn ends the walk. 0, what fn returned, or what mmap() says
 * (-errno).
 */
int slots_each_block(struct slots *s, int (*fn)(const void *key, const void *value, void *arg),
		     void *arg);
/*
 * The same for the sites (id, struct site) of slots, which may be none, and hash table: one
 * that is in both is told once, with the sums of both (bpf/slots.bpf.h: how that happens).
 */
int slots_each_site(struct slots *s, const struct collect_map *hash,
		    int (*fn)(const void *key, const void *value, void *arg), void *arg);

/* Takes out what is in its slot, if it is. 0 or what mmap() says. */
int slots_drop_block(struct slots *s, const struct block_key *key);
int slots_drop_site(struct slots *s, uint64_t id);
/* The hash table has one block less of this key's slot. 0 or what mmap() says. */
int slots_unspill(struct slots *s, const struct block_key *key);

void slots_deinit(struct slots *s);

#endif
