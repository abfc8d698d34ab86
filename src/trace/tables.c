/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/tables.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "trace/collect.h"

static int size_pair(struct bpf_map *slots, struct bpf_map *hash, uint32_t keys, uint32_t n)
{
	int err = n ? bpf_map__set_max_entries(slots, n) : bpf_map__set_autocreate(slots, false);

	return err ? err : bpf_map__set_max_entries(hash, n ? slots_spill_room(keys) : keys);
}

int tables_size(struct tables *t, bool is_old, uint32_t blocks, uint32_t sites, struct cfg *cfg)
{
	int err;

	t->n_block_slots = is_old ? 0 : slots_count(blocks);
	t->n_site_slots = is_old ? 0 : slots_count(sites);
	err = size_pair(t->block_slots, t->blocks, blocks, t->n_block_slots);
	if (!err)
		err = size_pair(t->site_slots, t->sites, sites, t->n_site_slots);
	cfg->block_slots = t->n_block_slots;
	cfg->site_slots = t->n_site_slots;
	return err;
}

int tables_make_catch_all(const struct tables *t)
{
	uint64_t id = CATCH_ALL_SITE;
	struct site site = {.sent = 1};

	return bpf_map_update_elem(bpf_map__fd(t->sites), &id, &site, BPF_ANY) ? -errno : 0;
}

static struct slots block_slots(const struct tables *t)
{
	return (struct slots){.fd = bpf_map__fd(t->block_slots),
			      .n = t->n_block_slots,
			      .element = sizeof(struct block_slot)};
}

static struct slots site_slots(const struct tables *t)
{
	return (struct slots){.fd = bpf_map__fd(t->site_slots),
			      .n = t->n_site_slots,
			      .element = sizeof(struct site_slot)};
}

int tables_each_block(const struct tables *t,
		      int (*fn)(const void *key, const void *value, void *arg), void *arg)
{
	struct collect_map hash = {bpf_map__fd(t->blocks), sizeof(struct block_key),
				   sizeof(struct block_value)};
	_cleanup_(slots_deinit) struct slots slots = block_slots(t);
	int err = slots_each_block(&slots, fn, arg);

	return err ? err : collect_each(&hash, fn, arg);
}

int tables_each_site(const struct tables *t,
		     int (*fn)(const void *key, const void *value, void *arg), void *arg)
{
	struct collect_map hash = {bpf_map__fd(t->sites), sizeof(uint64_t), sizeof(struct site)};
	_cleanup_(slots_deinit) struct slots slots = site_slots(t);

	return slots_each_site(&slots, &hash, fn, arg);
}

uint64_t tables_unsent(const struct tables *t, uint64_t retries)
{
	uint64_t sum = 0;

	if (retries)
		tables_each_site(t, collect_unsent, &sum);
	return sum;
}

static int by_slot(const void *a, const void *b, void *arg)
{
	const uint32_t *n = arg;
	uint32_t x = block_slot_of(a, *n), y = block_slot_of(b, *n);

	return x < y ? -1 : x > y;
}

int tables_drop_blocks(const struct tables *t, struct block_key *keys, size_t n)
{
	_cleanup_(slots_deinit) struct slots slots = block_slots(t);
	int hash = bpf_map__fd(t->blocks), err = 0;

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

int tables_drop_sites(const struct tables *t, const uint64_t *ids, size_t n)
{
	_cleanup_(slots_deinit) struct slots slots = site_slots(t);
	int hash = bpf_map__fd(t->sites), err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		bpf_map_delete_elem(hash, &ids[i]); /* if it is there */
		if (slots.n)
			err = slots_drop_site(&slots, ids[i]);
	}
	return err;
}
