/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leak_purge.c - room in the tables of a run that outlives its processes. Blocks of a
 * process that has ended can never be freed; its sites stay while a report wants them.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "leak.h"
#include "trace/collect.h"

#define PURGE_EVERY_NS 1000000000ULL

struct doomed {
	struct leak *l;
	size_t key_size;
	char *keys;
	size_t n, cap;
};

static int doom(struct doomed *d, const void *key)
{
	int err = array_reserve(&d->keys, &d->cap, d->n + 1, d->key_size);

	if (!err)
		memcpy(d->keys + d->n++ * d->key_size, key, d->key_size);
	return err;
}

static const struct process *owner(const struct doomed *d, uint64_t proc_key)
{
	return processes_find_key(tracer_processes(d->l->tracer), proc_key);
}

static int on_block(const void *key, const void *value, void *arg)
{
	const struct process *p = owner(arg, ((const struct block_key *)key)->proc_key);
	struct doomed *d = arg;

	(void)value;
	if (!p || !p->ended || (leak_walks_blocks(d->l) && !leak_forgets(d->l, p)))
		return 0;
	return doom(d, key);
}

static int on_site(const void *key, const void *value, void *arg)
{
	const struct site *s = value;
	const struct process *p = owner(arg, s->proc_key);
	struct doomed *d = arg;

	if (!p || !p->ended || (s->count > 0 && !leak_forgets(d->l, p)))
		return 0;
	return doom(d, key);
}

/* Deletes what fn dooms; how many go is of no interest, others may have been faster. */
static int purge(struct leak *l, const struct collect_map *map,
		 int (*fn)(const void *key, const void *value, void *arg))
{
	struct doomed d = {.l = l, .key_size = map->key_size};
	int err = collect_each(map, fn, &d);

	for (size_t i = 0; i < d.n; i++)
		bpf_map_delete_elem(map->fd, d.keys + i * d.key_size);
	free(d.keys);
	return err;
}

bool leak_forgets(const struct leak *l, const struct process *p)
{
	return p->replaced || (p->ended && leak_wants_every(l->o));
}

int leak_purge(struct leak *l)
{
	struct collect_map blocks = {bpf_map__fd(l->bpf->maps.blocks), sizeof(struct block_key),
				     sizeof(struct block_value)};
	struct collect_map sites = {bpf_map__fd(l->bpf->maps.sites), sizeof(uint64_t),
				    sizeof(struct site)};
	uint64_t now = clock_mono_ns();
	int err;

	if (!l->purge_wanted || now - l->purged_ns < PURGE_EVERY_NS)
		return 0;
	l->purge_wanted = false;
	l->purged_ns = now;
	err = purge(l, &blocks, on_block);
	return err ? err : purge(l, &sites, on_site);
}
