/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kmem_purge.c - with --user-stack sites are those of processes. What a process holds of the
 * kernel may outlive it; a site of which nothing is left, of a process that has ended, will
 * never be met again and makes room.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "kmem.h"
#include "kmem.skel.h"
#include "trace/collect.h"

#define PURGE_EVERY_NS 1000000000ULL

struct ids {
	uint64_t *v;
	size_t n, cap;
};

struct purge {
	struct kmem *k;
	struct candidates {
		struct candidate {
			uint64_t site, user;
		} * v;
		size_t n, cap;
	} ended;	    /* sites of ended processes */
	struct ids holding; /* sites of which something is left */
	struct ids empty;   /* the others, of ended processes */
	struct ids named;   /* user stacks of ended processes that still hold something */
};

static int ids_add(struct ids *ids, uint64_t id)
{
	int err = array_reserve(&ids->v, &ids->cap, ids->n + 1, sizeof(*ids->v));

	if (!err)
		ids->v[ids->n++] = id;
	return err;
}

static void ids_sort(struct ids *ids)
{
	if (ids->n)
		qsort(ids->v, ids->n, sizeof(*ids->v), kmem_by_u64);
}

static bool ids_has(const struct ids *ids, uint64_t id)
{
	return ids->n && bsearch(&id, ids->v, ids->n, sizeof(*ids->v), kmem_by_u64);
}

/* Ended before anything could be learned of it: then there is no *ret. */
static bool has_ended(const struct kmem *k, uint64_t proc_key, struct process **ret)
{
	*ret = processes_find_key(tracer_processes(k->tracer), proc_key);
	return !*ret || (*ret)->ended;
}

static int on_site(const void *key, const void *value, void *arg)
{
	struct purge *g = arg;

	return collect_count(value) > 0 ? ids_add(&g->holding, *(const uint64_t *)key) : 0;
}

static int on_origin(const void *key, const void *value, void *arg)
{
	const struct kmem_origin *o = value;
	struct purge *g = arg;
	const struct stack *st = o->user ? stacks_find(g->k->stacks, o->user) : NULL;
	struct candidates *c = &g->ended;
	struct process *p;
	int err;

	if (!st || !has_ended(g->k, st->proc_key, &p))
		return 0;
	err = array_reserve(&c->v, &c->cap, c->n + 1, sizeof(*c->v));
	if (!err)
		c->v[c->n++] = (struct candidate){*(const uint64_t *)key, o->user};
	return err;
}

static int judge(struct purge *g, const struct candidate *c)
{
	struct process *p;

	if (!ids_has(&g->holding, c->site))
		return ids_add(&g->empty, c->site);
	has_ended(g->k, stacks_find(g->k->stacks, c->user)->proc_key, &p);
	if (p)
		p->in_report = true;
	return ids_add(&g->named, c->user);
}

static bool is_needless(const struct stack *st, void *arg)
{
	const struct purge *g = arg;
	struct process *p;

	if (ids_has(&g->empty, st->site))
		return true;
	return st->proc_key >= KMEM_KINDS && has_ended(g->k, st->proc_key, &p) &&
	       !ids_has(&g->named, st->site);
}

static int purge_all(struct purge *g)
{
	struct processes *all = tracer_processes(g->k->tracer);
	int origins = bpf_map__fd(g->k->bpf->maps.kmem_origins), err;
	struct collect_map map = {origins, sizeof(uint64_t), sizeof(struct kmem_origin)};

	for (size_t i = 0; i < processes_count(all); i++)
		processes_at(all, i)->in_report = false;
	/* In this order: what comes meanwhile is no candidate. */
	err = collect_each(&map, on_origin, g);
	if (!err)
		err = tables_each_site(&g->k->tables, on_site, g);
	ids_sort(&g->holding);
	for (size_t i = 0; i < g->ended.n && !err; i++)
		err = judge(g, &g->ended.v[i]);
	if (err)
		return err;
	ids_sort(&g->empty);
	ids_sort(&g->named);
	err = tables_drop_sites(&g->k->tables, g->empty.v, g->empty.n);
	for (size_t i = 0; i < g->empty.n; i++)
		bpf_map_delete_elem(origins, &g->empty.v[i]);
	if (!err)
		err = stacks_drop(g->k->stacks, is_needless, g);
	if (!err)
		processes_drop_ended(all);
	return err;
}

int kmem_purge(struct kmem *k)
{
	struct purge g = {.k = k};
	uint64_t now = clock_mono_ns();
	int err;

	if (!k->purge_wanted || now - k->purged_ns < PURGE_EVERY_NS)
		return 0;
	k->purge_wanted = false;
	k->purged_ns = now;
	err = purge_all(&g);
	free(g.ended.v);
	free(g.holding.v);
	free(g.empty.v);
	free(g.named.v);
	return err;
}
