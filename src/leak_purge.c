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
	struct process **ended; /* few: since the last purge */
	size_t n_ended;
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

static struct process *ended_owner(const struct doomed *d, uint64_t proc_key)
{
	for (size_t i = 0; i < d->n_ended; i++)
		if (d->ended[i]->key == proc_key)
			return d->ended[i];
	return NULL;
}

static int on_block(const void *key, const void *value, void *arg)
{
	struct doomed *d = arg;
	const struct process *p = ended_owner(d, ((const struct block_key *)key)->proc_key);

	(void)value;
	if (!p || (leak_walks_blocks(d->l) && !leak_forgets(d->l, p)))
		return 0;
	return doom(d, key);
}

static int on_site(const void *key, const void *value, void *arg)
{
	const struct site *s = value;
	struct doomed *d = arg;
	struct process *p = ended_owner(d, s->proc_key);

	if (!p)
		return 0;
	if (collect_count(s) <= 0 || leak_forgets(d->l, p))
		return doom(d, key);
	p->in_report = true;
	return 0;
}

/* Deletes what fn dooms; how many go is of no interest, others may have been faster. */
static int purge(struct doomed *d, const struct collect_map *map,
		 int (*fn)(const void *key, const void *value, void *arg))
{
	int err;

	d->key_size = map->key_size;
	d->n = d->cap = 0;
	d->keys = NULL;
	err = collect_each(map, fn, d);
	for (size_t i = 0; i < d->n; i++)
		bpf_map_delete_elem(map->fd, d->keys + i * d->key_size);
	free(d->keys);
	return err;
}

static int find_ended(struct doomed *d, struct processes *all)
{
	d->ended = calloc(processes_count(all) + 1, sizeof(struct process *));
	if (!d->ended)
		return -ENOMEM;
	for (size_t i = 0; i < processes_count(all); i++) {
		struct process *p = processes_at(all, i);

		if (!p->ended)
			continue;
		p->in_report = !leak_forgets(d->l, p) && p->ranges && ranges_counted(p->ranges);
		d->ended[d->n_ended++] = p;
	}
	return 0;
}

static int purge_all(struct doomed *d)
{
	struct collect_map blocks = {bpf_map__fd(d->l->bpf->maps.blocks), sizeof(struct block_key),
				     sizeof(struct block_value)};
	struct collect_map sites = {bpf_map__fd(d->l->bpf->maps.sites), sizeof(uint64_t),
				    sizeof(struct site)};
	int err = purge(d, &blocks, on_block);

	if (!err)
		err = purge(d, &sites, on_site);
	if (!err)
		processes_drop_ended(tracer_processes(d->l->tracer));
	return err;
}

bool leak_forgets(const struct leak *l, const struct process *p)
{
	return p->replaced || (p->ended && leak_wants_every(l->o));
}

int leak_purge(struct leak *l)
{
	struct doomed d = {.l = l};
	uint64_t now = clock_mono_ns();
	int err;

	if (!l->purge_wanted || now - l->purged_ns < PURGE_EVERY_NS)
		return 0;
	l->purge_wanted = false;
	l->purged_ns = now;
	err = find_ended(&d, tracer_processes(l->tracer));
	if (!err && d.n_ended)
		err = purge_all(&d);
	free(d.ended);
	return err;
}
