/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faults_purge.c - room in the tables of a run that outlives its processes. With an
 * interval a cell of an ended process goes once it was reported. Else it moves here, to be
 * in the report at the end; where that has grown as large as the table in the kernel, it
 * is added to the catch-all cell, which is a loss of names that is told. Totals, for the
 * check at the end, stay exact.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "trace/collect.h"

#define PURGE_EVERY_NS 1000000000ULL

struct doomed {
	struct faults *f;
	struct process **ended; /* sorted by key */
	size_t n_ended;
	uint64_t *ids; /* keys of the map at hand */
	size_t n, cap;
};

static int by_process_key(const void *a, const void *b)
{
	const struct process *const *p = a, *const *q = b;

	return (*p)->key < (*q)->key ? -1 : (*p)->key > (*q)->key;
}

static struct process *ended_owner(const struct doomed *d, uint64_t proc_key)
{
	struct process key = {.key = proc_key}, *at = &key, **found;

	found = d->n_ended ? bsearch(&at, d->ended, d->n_ended, sizeof(*d->ended), by_process_key)
			   : NULL;
	return found ? *found : NULL;
}

static int doom(struct doomed *d, uint64_t id)
{
	int err = array_reserve(&d->ids, &d->cap, d->n + 1, sizeof(*d->ids));

	if (!err)
		d->ids[d->n++] = id;
	return err;
}

static int find_ended(struct doomed *d)
{
	struct processes *all = tracer_processes(d->f->tracer);

	d->ended = calloc(processes_count(all) + 1, sizeof(*d->ended));
	if (!d->ended)
		return -ENOMEM;
	for (size_t i = 0; i < processes_count(all); i++)
		if (processes_at(all, i)->ended)
			d->ended[d->n_ended++] = processes_at(all, i);
	qsort(d->ended, d->n_ended, sizeof(*d->ended), by_process_key);
	return 0;
}

/* ---- cells ---- */

static int on_cell(const struct fault_cell *c, void *arg)
{
	struct doomed *d = arg;
	struct process *p = ended_owner(d, c->key.proc_key);

	if (!p)
		return 0;
	if (d->f->interval_ns && !faults_reported(d->f, c)) {
		p->in_report = true; /* in the next one */
		d->f->purge_wanted = true;
		return 0;
	}
	return doom(d, c->id);
}

/* For the report at the end. */
static int keep(struct faults *f, struct fault_cell *c)
{
	struct faults_gone *g = &f->gone;
	int err;

	if (g->n >= f->o->max_rows) {
		g->dropped += c->minor + c->major;
		faults_cell_sum(&g->rest, c);
		return 0;
	}
	err = array_reserve(&g->v, &g->cap, g->n + 1, sizeof(*g->v));
	if (err)
		return err;
	g->v[g->n++] = *c;
	return 0;
}

static int take_cells(struct doomed *d)
{
	struct faults *f = d->f;
	struct fault_cell c;
	int err = faults_cells_each(f->cells, on_cell, d);

	for (size_t i = 0; i < d->n && !err; i++) {
		if (faults_cells_take(f->cells, d->ids[i], &c))
			continue;
		f->gone.minor += c.minor;
		f->gone.major += c.major;
		/* An exec may still count for the image that it has just replaced. */
		if (f->interval_ns)
			faults_cell_forget(f, &c);
		err = !f->interval_ns || c.minor || c.major ? keep(f, &c) : 0;
	}
	return err;
}

/* ---- the rest ---- */

static int on_proc(const void *key, const void *value, void *arg)
{
	uint64_t id = *(const uint64_t *)key;

	(void)value;
	return ended_owner(arg, id) ? doom(arg, id) : 0;
}

static int take_procs(struct doomed *d)
{
	struct collect_map map = {d->f->procs_fd, sizeof(uint64_t), sizeof(struct fault_proc)};
	struct fault_proc p;
	int err;

	d->n = 0;
	err = collect_each_gently(&map, on_proc, d);
	for (size_t i = 0; i < d->n && !err; i++) {
		if (bpf_map_lookup_elem(map.fd, &d->ids[i], &p))
			continue;
		bpf_map_delete_elem(map.fd, &d->ids[i]);
		faults_proc_sum(&d->f->gone.procs, &p);
	}
	return err;
}

static int on_site(const void *key, const void *value, void *arg)
{
	return ended_owner(arg, ((const struct site *)value)->proc_key)
		       ? doom(arg, *(const uint64_t *)key)
		       : 0;
}

/* Resident pages of an ended process are no more: they are in no report either. */
static int drop_sites(struct doomed *d)
{
	struct collect_map map = {d->f->sites_fd, sizeof(uint64_t), sizeof(struct site)};
	int err;

	d->n = 0;
	err = collect_each_gently(&map, on_site, d);
	for (size_t i = 0; i < d->n && !err; i++)
		bpf_map_delete_elem(map.fd, &d->ids[i]);
	return err;
}

static bool is_of_ended(const struct stack *st, void *arg)
{
	struct process *p = ended_owner(arg, st->proc_key);

	return p && !p->in_report;
}

/* The images that a report will want: for the frames of a stack, and what exec replaced. */
static void hold_processes(struct doomed *d)
{
	struct faults_gone *g = &d->f->gone;

	for (size_t i = 0; i < g->n; i++) {
		struct fault_key *key = &g->v[i].key;
		struct process *p = ended_owner(d, key->proc_key);

		if (p && p->replaced && !(d->f->by & FAULTS_BY_STACK))
			key->proc_key = faults_owner(d->f, p->key);
		/* What replaced it may not be known yet. */
		if (p && (d->f->by & FAULTS_BY_STACK || (p->replaced && key->proc_key == p->key)))
			p->in_report = true;
	}
	faults_bads_hold(d->f);
}

/* With an interval those that were kept are in one report. */
static void drop_reported(struct faults *f)
{
	struct faults_gone *g = &f->gone;
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++) {
		if (f->interval_ns && i < g->n_reported)
			faults_cell_dropped(f, &g->v[i]);
		else
			g->v[n++] = g->v[i];
	}
	g->n = n;
	g->n_reported = 0;
}

static int purge(struct doomed *d)
{
	int err = find_ended(d);

	if (err || !d->n_ended)
		return err;
	for (size_t i = 0; i < d->n_ended; i++)
		d->ended[i]->in_report = false;
	drop_reported(d->f);
	err = d->f->o->rss ? drop_sites(d) : take_cells(d);
	hold_processes(d);
	if (!err)
		err = take_procs(d);
	if (!err)
		err = stacks_drop(d->f->stacks, is_of_ended, d);
	return err;
}

int faults_purge(struct faults *f)
{
	struct doomed d = {.f = f};
	uint64_t now = clock_mono_ns();
	int err;

	if (!f->purge_wanted || now - f->purged_ns < PURGE_EVERY_NS)
		return 0;
	f->purge_wanted = false;
	f->purged_ns = now;
	err = purge(&d);
	free(d.ended);
	free(d.ids);
	if (!err)
		processes_drop_ended(tracer_processes(f->tracer));
	return err;
}
