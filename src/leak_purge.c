/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leak_purge.c - room in the tables of a run that outlives its processes. Blocks of a
 * process that has ended can never be freed; its sites stay while a report wants them.
 */
#include <errno.h>

#include "leak.h"
#include "trace/collect.h"

#define PURGE_EVERY_NS 1000000000ULL
#define PURGE_REST     20 /* times as long as it took: large tables take a while */

struct doomed {
	struct leak *l;
	struct process **ended; /* few: since the last purge */
	size_t n_ended;
	bool left_blocks; /* some of them did, which are to go */
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

/* Reports still list them. */
static bool keeps_blocks(const struct leak *l, const struct process *p)
{
	return leak_walks_blocks(l) && !leak_forgets(l, p);
}

static int on_block(const void *key, const void *value, void *arg)
{
	const struct block_key *k = key;
	struct doomed *d = arg;
	const struct process *p = ended_owner(d, k->proc_key);
	int err;

	(void)value;
	if (!p || keeps_blocks(d->l, p))
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
	bool catch_all = *(const uint64_t *)key == CATCH_ALL_SITE;
	int err;

	d->left_blocks |=
		collect_count(s) > 0 && (catch_all || (p && !p->swept && !keeps_blocks(d->l, p)));
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

		if (!p->ended || !p->key)
			continue; /* 0 is the catch-all site's */
		p->in_report = !leak_forgets(d->l, p) && p->ranges && ranges_counted(p->ranges);
		d->ended[d->n_ended++] = p;
	}
	return 0;
}

/* The table of blocks is large; it is left alone where sites say that nothing is in it. */
static int sweep_blocks(struct doomed *d)
{
	int err = d->left_blocks ? tables_each_block(&d->l->tables, on_block, d) : 0;

	if (!err)
		err = tables_drop_blocks(&d->l->tables, d->blocks, d->n_blocks);
	for (size_t i = 0; i < d->n_ended && !err; i++)
		d->ended[i]->swept = true;
	return err;
}

/* How many go is of no interest: others may have been faster. */
static int purge_all(struct doomed *d)
{
	int err = tables_each_site(&d->l->tables, on_site, d);

	if (!err)
		err = sweep_blocks(d);
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
	uint64_t now = clock_mono_ns(), took;
	int err;

	if (!l->purge_wanted || now < l->purge_after_ns)
		return 0;
	l->purge_wanted = false;
	err = find_ended(&d, tracer_processes(l->tracer));
	if (!err && d.n_ended)
		err = purge_all(&d);
	took = clock_mono_ns() - now;
	l->purge_after_ns = now + took + MAX(PURGE_EVERY_NS, PURGE_REST * took);
	free(d.ended);
	free(d.blocks);
	free(d.sites);
	return err;
}
