/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache.h - what an address of a file was resolved to, keyed by (object, vaddr, looked
 * up as a return address or exactly). Processes share it whatever their load bias.
 */
#ifndef MEMTALLY_SYM_CACHE_H
#define MEMTALLY_SYM_CACHE_H

#include "lib/snapshot.h"

struct sym_key {
	uint64_t vaddr;
	uint32_t object;
	bool is_return;
};

struct sym_cached {
	struct sym_key key;
	uint32_t n;   /* frames; 0: free slot */
	size_t first; /* index of the first frame, see sym_cache_frames() */
	bool signal;  /* a signal trampoline: the frame after it is exact */
};

struct sym_cache;

struct sym_cache *sym_cache_new(void);
void sym_cache_free(struct sym_cache *c);
/* NULL: not there. Valid until the next sym_cache_add(). */
const struct sym_cached *sym_cache_find(const struct sym_cache *c, const struct sym_key *key);
/*
 * Adds the key with n >= 1 frames (copied; strings not owned) that was not there. NULL:
 * no memory.
 */
const struct sym_cached *sym_cache_add(struct sym_cache *c, const struct sym_cached *add,
				       const struct frame *frames);
const struct frame *sym_cache_frames(const struct sym_cache *c, const struct sym_cached *e);
size_t sym_cache_count(const struct sym_cache *c);

#endif
