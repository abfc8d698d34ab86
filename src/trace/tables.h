/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tables.h - the tables of blocks and of sites that leak and kmem have (bpf/outstanding.bpf.h).
 * Each is an array of slots and a hash table for what does not fit there
 * (include/slots_abi.h); on old kernels the hash table alone.
 */
#ifndef MEMTALLY_TRACE_TABLES_H
#define MEMTALLY_TRACE_TABLES_H

#include "lib/lib.h"
#include "abi.h"
#include "trace/slots.h"

struct bpf_map;

/* The maps are the BPF object's. */
struct tables {
	struct bpf_map *block_slots, *blocks, *site_slots, *sites;
	uint32_t n_block_slots, n_site_slots; /* set by tables_size() */
};

/*
 * Sizes the tables before load for so many blocks and sites, and tells cfg; an object for old
 * kernels has no slots. As libbpf says.
 */
int tables_size(struct tables *t, bool is_old, uint32_t blocks, uint32_t sites, struct cfg *cfg);
/* After load: the site of stacks that find no room. 0 or -errno. */
int tables_make_catch_all(const struct tables *t);

/*
 * Walk all blocks (struct block_key, struct block_value) or sites (id, struct site); as
 * collect_each().
 */
int tables_each_block(const struct tables *t,
		      int (*fn)(const void *key, const void *value, void *arg), void *arg);
int tables_each_site(const struct tables *t,
		     int (*fn)(const void *key, const void *value, void *arg), void *arg);
/*
 * Outstanding blocks of sites whose stack found no room in the event ring so far: it is sent
 * when it is met again. retries: STAT_STACK_RETRY, how often one found none.
 */
uint64_t tables_unsent(const struct tables *t, uint64_t retries);
/* Take out what is in the tables of these; keys[] is put into another order. 0 or -errno. */
int tables_drop_blocks(const struct tables *t, struct block_key *keys, size_t n);
int tables_drop_sites(const struct tables *t, const uint64_t *ids, size_t n);

#endif
