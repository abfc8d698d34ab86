/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leak_purge.c - room in the tables of a run that outlives its processes. Blocks of a
 * process that has ended can never be freed; its sites stay while a report wants them.
 */
#include <errno.h>

#include "leak.h"
#include "trace/collect.h"

#define PURGE_EVERY_NS 1000000000ULL

struct doomed {
	struct leak *l;
	struct process **ended; /* few: since the last purge */
	size_t n_ended;
	struct block_key *blocks;
	uint64_t *sites;
	size_t n_blocks, blocks_cap;
	size_t n_sites, sites_cap;
};

static struct process *ended_owner(const struct doomed *d, uint64_t proc_key)
{
	for (size_t i = 0; i < d->n_ended; i++)
		if (d->ended[i]->key == proc_key)
			return d->ended[i];
	return NULL;
}

static int on_block(const void *key, const void *value, void *arg)
{
	const struct block_key *k = key;
	struct doomed *d = arg;
	const struct process *p = ended_owner(d, k->proc_key);
	int err;

	(void)value;
	if (!p || (leak_walks_blocks(d->l) && !leak_forgets(d->l, p)))
		return 0;
	err = array_reserve(&d->blocks, &d->blocks_cap, d->n_blocks + 1, sizeof(*d->blocks));
	if (!err)
		d->blocks[d->n_blocks++] = *k;
	return err;
}

static int on_site(const void *key, const void *value, void *arg)
{
	const struct site *s = value;
	struct doomed *d = arg;
	struct process *p = ended_owner(d, s->proc_key);
	int err;

	if (!p)
		return 0;
	if (collect_count(s) > 0 && !leak_forgets(d->l, p)) {
		p->in_report = true;
		return 0;
	}
	err = array_reserve(&d->sites, &d->sites_cap, d->n_sites + 1, sizeof(*d->sites));
	if (!err)
		d->sites[d->n_sites++] = *(const uint64_t *)key;
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

/* How many go is of no interest: others may have been faster. */
static int purge_all(struct doomed *d)
{
	int err = tables_each_block(&d->l->tables, on_block, d);

	if (!err)
		err = tables_drop_blocks(&d->l->tables, d->blocks, d->n_blocks);
	if (!err)
		err = tables_each_site(&d->l->tables, on_site, d);
	if (!err)
		err = tables_drop_sites(&d->l->tables, d->sites, d->n_sites);
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
	free(d.blocks);
	free(d.sites);
	return err;
}
