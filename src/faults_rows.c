/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the cells in the kernel to rows: what happened since the last tick, grouped by what
 * --by says. Cells are as fine as the options need, rows may be coarser.
 */
#include <errno.h>
#include <string.h>

#include "faults.h"

/* ---- cells ---- */

struct cells {
	struct faults_cell *v;
	size_t n, cap;
};

static int on_cell(const struct fault_cell *cell, void *arg)
{
	struct cells *c = arg;
	int err = array_reserve(&c->v, &c->cap, c->n + 1, sizeof(*c->v));

	if (!err)
		c->v[c->n++] = (struct faults_cell){cell->key, *cell};
	return err;
}

static int by_key(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct fault_key));
}

void faults_cell_sum(struct fault_cell *to, const struct fault_cell *add)
{
	to->minor += add->minor;
	to->major += add->major;
	to->timed += add->timed;
	to->time_ns += add->time_ns;
	to->major_ns += add->major_ns;
	to->max_ns = MAX(to->max_ns, add->max_ns);
	for (size_t i = 0; i < FAULT_SLOTS; i++)
		to->slots[i] += add->slots[i];
}

/* The largest time of an interval: exact if it is that of the run, else its slot's bound. */
static uint64_t interval_max(const struct fault_cell *now, const struct fault_cell *diff)
{
	size_t top = FAULT_SLOTS;

	while (top > 0 && !diff->slots[top - 1])
		top--;
	if (!top)
		return 0;
	return MIN(now->max_ns, (2ULL << (top - 1)) - 1);
}

static void cell_subtract(struct fault_cell *v, const struct fault_cell *old)
{
	struct fault_cell now = *v;

	v->minor -= old->minor;
	v->major -= old->major;
	v->timed -= old->timed;
	v->time_ns -= old->time_ns;
	v->major_ns -= old->major_ns;
	for (size_t i = 0; i < FAULT_SLOTS; i++)
		v->slots[i] -= old->slots[i];
	v->max_ns = interval_max(&now, v);
}

static int cells_copy(struct faults *f, const struct cells *c)
{
	free(f->previous);
	f->n_previous = 0;
	f->previous = malloc((c->n + 1) * sizeof(*c->v));
	if (!f->previous)
		return -ENOMEM;
	if (c->n)
		memcpy(f->previous, c->v, c->n * sizeof(*c->v));
	f->n_previous = c->n;
	return 0;
}

/* Keeps what is new since the last tick. */
static int cells_difference(struct faults *f, struct cells *c)
{
	struct faults_cell *old = f->previous, *end = old ? old + f->n_previous : old;
	struct cells copy = {NULL, 0, 0};
	size_t kept = 0;
	int err;

	f->previous = NULL;
	copy.v = c->v;
	copy.n = c->n;
	err = cells_copy(f, &copy);
	for (size_t i = 0; i < c->n; i++) {
		struct faults_cell *v = &c->v[i];
		struct faults_cell *was =
			old && end > old
				? bsearch(&v->key, old, (size_t)(end - old), sizeof(*old), by_key)
				: NULL;

		if (was)
			cell_subtract(&v->v, &was->v);
		if (v->v.minor || v->v.major)
			c->v[kept++] = *v;
	}
	c->n = kept;
	free(old);
	return err;
}

static struct faults_cell *find_previous(const struct faults *f, const struct fault_key *k)
{
	const struct faults_cell key = {.key = *k};

	return f->n_previous ? bsearch(&key, f->previous, f->n_previous, sizeof(key), by_key)
			     : NULL;
}

bool faults_reported(const struct faults *f, const struct fault_cell *c)
{
	const struct faults_cell *was = find_previous(f, &c->key);

	return was && was->v.minor == c->minor && was->v.major == c->major;
}

void faults_cell_forget(struct faults *f, struct fault_cell *c)
{
	struct faults_cell *was = find_previous(f, &c->key);

	if (!was)
		return;
	cell_subtract(c, &was->v);
	memset(&was->v, 0, sizeof(was->v));
}

void faults_cell_dropped(struct faults *f, const struct fault_cell *c)
{
	struct faults_cell *was = find_previous(f, &c->key);

	if (was)
		cell_subtract(&was->v, c);
}

/* A process that ended late has a cell here and one in the table. Sorted. */
static void cells_merge(struct cells *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (n && !by_key(&c->v[n - 1], &c->v[i]))
			faults_cell_sum(&c->v[n - 1].v, &c->v[i].v);
		else
			c->v[n++] = c->v[i];
	}
	c->n = n;
}

static int cells_read(struct faults *f, struct cells *ret)
{
	int err = faults_iter_read(f);

	if (!err)
		err = faults_cells_each(f->cells, on_cell, ret);
	for (size_t i = 0; i < f->gone.n && !err; i++)
		err = on_cell(&f->gone.v[i], ret);
	f->gone.n_reported = f->gone.n;
	if (!err && f->gone.dropped)
		err = on_cell(&f->gone.rest, ret);
	if (err)
		return err;
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_key);
	cells_merge(ret);
	return cells_difference(f, ret);
}

/* ---- rows ---- */

uint64_t faults_owner(struct faults *f, uint64_t proc_key)
{
	struct processes *all = tracer_processes(f->tracer);
	size_t n = processes_count(all);
	const struct process *p = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct process *q = processes_at(all, i);

		if (!p && q->key == proc_key)
			p = q;
		else if (p && p->replaced && q->pid == p->pid && q->key)
			p = q;
	}
	return p ? p->key : proc_key;
}

/* What a cell's row is: the fields that the view keeps. */
static struct fault_key row_key(struct faults *f, const struct fault_key *k)
{
	const unsigned int with_process =
		FAULTS_BY_PROCESS | FAULTS_BY_THREAD | FAULTS_BY_STACK | FAULTS_BY_RANGE;
	struct fault_key r = {0};

	if (f->by & with_process)
		r.proc_key = faults_owner(f, k->proc_key);
	if (f->by & FAULTS_BY_THREAD)
		r.tid = k->tid;
	if (f->by & FAULTS_BY_STACK)
		r.stack = k->stack;
	if (f->by & FAULTS_BY_RANGE)
		r.range = k->range;
	if (f->by & FAULTS_BY_CAUSE)
		r.cause = k->cause;
	if (f->by & FAULTS_BY_MAPPING) {
		r.mapping = k->mapping;
		r.ino = k->ino;
		r.dev = k->dev;
	}
	return r;
}

struct grouped {
	struct fault_key row;
	struct faults_cell cell;
};

static int by_row(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct fault_key));
}

static int rows_group(struct faults *f, struct cells *c, struct faults_table *t)
{
	_cleanup_free_ struct grouped *g = calloc(c->n + 1, sizeof(*g));
	struct faults_row *row = NULL;

	t->rows = calloc(c->n + 1, sizeof(*t->rows));
	if (!g || !t->rows)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++)
		g[i] = (struct grouped){row_key(f, &c->v[i].key), c->v[i]};
	qsort(g, c->n, sizeof(*g), by_row);
	for (size_t i = 0; i < c->n; i++) {
		c->v[i] = g[i].cell;
		if (!row || memcmp(&row->key, &g[i].row, sizeof(row->key)) != 0) {
			row = &t->rows[t->n_rows++];
			row->key = g[i].row;
			row->first = i;
			row->sum.uid = g[i].cell.v.uid;
			memcpy(row->sum.comm, g[i].cell.v.comm, sizeof(row->sum.comm));
		}
		row->n++;
		faults_cell_sum(&row->sum, &g[i].cell.v);
	}
	return 0;
}

static uint64_t sort_value(const struct faults_row *r, int sort)
{
	switch (sort) {
	case FAULTS_SORT_MAJOR:
		return r->sum.major;
	case FAULTS_SORT_MINOR:
		return r->sum.minor;
	case FAULTS_SORT_TIME:
		return r->sum.time_ns;
	default:
		return r->sum.major + r->sum.minor;
	}
}

static int by_value(const void *a, const void *b, void *arg)
{
	const struct faults_row *x = a, *y = b;
	int sort = *(const int *)arg;
	uint64_t u = sort_value(x, sort), v = sort_value(y, sort);

	if (u != v)
		return u > v ? -1 : 1;
	return memcmp(&x->key, &y->key, sizeof(x->key));
}

int faults_read_stacks(struct faults *f)
{
	f->purged_ns = clock_mono_ns();
	return tracer_drain(f->tracer);
}

int faults_table_read(struct faults *f, struct faults_table *ret)
{
	struct faults_table t = {0};
	struct cells c = {0};
	int sort = f->o->common.sort;
	int err = cells_read(f, &c);

	if (!err)
		err = faults_read_stacks(f);
	if (!err)
		err = rows_group(f, &c, &t);
	t.cells = c.v;
	t.n_cells = c.n;
	if (err) {
		faults_table_free(&t);
		return err;
	}
	qsort_r(t.rows, t.n_rows, sizeof(*t.rows), by_value, &sort);
	*ret = t;
	return 0;
}

void faults_table_free(struct faults_table *t)
{
	free(t->cells);
	free(t->rows);
}

/* Within a slot times are taken to be spread evenly. */
uint64_t faults_quantile(const struct fault_cell *c, double q)
{
	double rank = q * (double)c->timed, seen = 0;

	for (size_t i = 0; i < FAULT_SLOTS; i++) {
		double low = i ? (double)(1ULL << i) : 0, high = (double)(2ULL << i);

		if (!c->slots[i] || seen + c->slots[i] < rank) {
			seen += c->slots[i];
			continue;
		}
		low += (high - low) * (rank - seen) / c->slots[i];
		return MIN((uint64_t)low, c->max_ns);
	}
	return c->max_ns;
}
