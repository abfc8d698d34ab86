/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sym/table.h"

int sym_table_add(struct sym_table *t, const struct sym_entry *e)
{
	int err;

	if (e->start >= e->end)
		return 0;
	err = array_reserve(&t->v, &t->cap, t->n + 1, sizeof(*t->v));
	if (err)
		return err;
	t->v[t->n++] = *e;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct sym_entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->open != y->open)
		return x->open ? 1 : -1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return (x->tag > y->tag) - (x->tag < y->tag);
}

static void merge_same_start(struct sym_table *t)
{
	size_t from, to = 0;

	for (from = 0; from < t->n; from++) {
		struct sym_entry *last = to ? &t->v[to - 1] : NULL;
		const struct sym_entry *e = &t->v[from];

		if (!last || last->start != e->start) {
			t->v[to++] = *e;
		} else if (t->newest_wins) {
			*last = *e;
		} else if (e->rank < last->rank || (e->end > last->end && !e->open)) {
			/* An unsized alias may still have the better name. */
			if (e->rank < last->rank)
				last->name = e->name;
			if (!e->open)
				last->end = MAX(last->end, e->end);
		}
	}
	t->n = to;
}

static void close_open(struct sym_table *t)
{
	uint64_t covered = 0; /* end of the sized entries so far */
	size_t from, to = 0;

	for (from = 0; from < t->n; from++) {
		struct sym_entry e = t->v[from];

		if (e.open && e.start < covered)
			continue;
		if (e.open && from + 1 < t->n)
			e.end = MIN(e.end, t->v[from + 1].start);
		else if (!e.open)
			covered = MAX(covered, e.end);
		t->v[to++] = e;
	}
	t->n = to;
}

void sym_table_sort(struct sym_table *t)
{
	uint64_t max_end = 0;
	size_t i;

	if (!t->n)
		return;
	qsort(t->v, t->n, sizeof(*t->v), by_start);
	merge_same_start(t);
	close_open(t);
	for (i = 0; i < t->n; i++)
		t->v[i].max_end = max_end = MAX(max_end, t->v[i].end);
}

/* Number of entries that start at or below the address. */
static size_t count_starts(const struct sym_table *t, uint64_t address)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->v[mid].start <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct sym_entry *sym_table_find(const struct sym_table *t, uint64_t address)
{
	const struct sym_entry *best = NULL;
	size_t i;

	for (i = count_starts(t, address); i-- && t->v[i].max_end > address;) {
		const struct sym_entry *e = &t->v[i];

		if (e->end <= address)
			continue;
		if (!t->newest_wins)
			return e;
		if (!best || e->tag > best->tag)
			best = e;
	}
	return best;
}

void sym_table_deinit(struct sym_table *t)
{
	free(t->v);
	t->v = NULL;
	t->n = t->cap = 0;
}
