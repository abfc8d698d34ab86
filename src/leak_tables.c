/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leak_tables.c - the tables of blocks and of sites. Each is an array of slots and a hash
 * table for what does not fit there (include/slots_abi.h); on old kernels the hash table alone.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "leak.h"
#include "trace/collect.h"
#include "trace/skeleton.h"

static int size_pair(struct bpf_map *slots, struct bpf_map *hash, uint32_t keys, uint32_t *ret_n)
{
	uint32_t n = skeleton_is_old() ? 0 : slots_count(keys);
	int err = n ? bpf_map__set_max_entries(slots, n) : bpf_map__set_autocreate(slots, false);

	*ret_n = n;
	return err ? err : bpf_map__set_max_entries(hash, n ? slots_spill_room(keys) : keys);
}

int leak_tables_size(struct leak *l, uint32_t blocks, uint32_t sites)
{
	struct cfg *cfg = (struct cfg *)&l->bpf->rodata->cfg;
	int err =
		size_pair(l->bpf->maps.block_slots, l->bpf->maps.blocks, blocks, &cfg->block_slots);

	return err ? err
		   : size_pair(l->bpf->maps.site_slots, l->bpf->maps.sites, sites,
			       &cfg->site_slots);
}

struct slots leak_block_slots(const struct leak *l)
{
	return (struct slots){.fd = bpf_map__fd(l->bpf->maps.block_slots),
			      .n = l->bpf->rodata->cfg.block_slots,
			      .element = sizeof(struct block_slot)};
}

static struct slots site_slots(const struct leak *l)
{
	return (struct slots){.fd = bpf_map__fd(l->bpf->maps.site_slots),
			      .n = l->bpf->rodata->cfg.site_slots,
			      .element = sizeof(struct site_slot)};
}

int leak_each_block(const struct leak *l, int (*fn)(const void *key, const void *value, void *arg),
		    void *arg)
{
	struct collect_map hash = {bpf_map__fd(l->bpf->maps.blocks), sizeof(struct block_key),
				   sizeof(struct block_value)};
	_cleanup_(slots_deinit) struct slots slots = leak_block_slots(l);
	int err = slots_each_block(&slots, fn, arg);

	return err ? err : collect_each(&hash, fn, arg);
}

int leak_each_site(const struct leak *l, int (*fn)(const void *key, const void *value, void *arg),
		   void *arg)
{
	struct collect_map hash = {bpf_map__fd(l->bpf->maps.sites), sizeof(uint64_t),
				   sizeof(struct site)};
	_cleanup_(slots_deinit) struct slots slots = site_slots(l);

	return slots_each_site(&slots, &hash, fn, arg);
}

static int by_slot(const void *a, const void *b, void *arg)
{
	const uint32_t *n = arg;
	uint32_t x = block_slot_of(a, *n), y = block_slot_of(b, *n);

	return x < y ? -1 : x > y;
}

int leak_drop_blocks(const struct leak *l, struct block_key *keys, size_t n)
{
	_cleanup_(slots_deinit) struct slots slots = leak_block_slots(l);
	int hash = bpf_map__fd(l->bpf->maps.blocks), err = 0;

	if (slots.n && n) /* few moves of the window */
		qsort_r(keys, n, sizeof(*keys), by_slot, &slots.n);
	for (size_t i = 0; i < n && !err; i++) {
		bool spilled = !bpf_map_delete_elem(hash, &keys[i]);

		if (slots.n)
			err = spilled ? slots_unspill(&slots, &keys[i])
				      : slots_drop_block(&slots, &keys[i]);
	}
	return err;
}

int leak_drop_sites(const struct leak *l, const uint64_t *ids, size_t n)
{
	_cleanup_(slots_deinit) struct slots slots = site_slots(l);
	int hash = bpf_map__fd(l->bpf->maps.sites), err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		bpf_map_delete_elem(hash, &ids[i]); /* if it is there */
		if (slots.n)
			err = slots_drop_site(&slots, ids[i]);
	}
	return err;
}
