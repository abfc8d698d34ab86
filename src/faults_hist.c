/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --hist: how long faults took, in powers of two, by cause and by mapping. */
#include <errno.h>

#include "faults.h"

#define BAR 40

struct histogram {
	const char *by, *name;
	const struct fault_cell *v;
	uint32_t most; /* of the slots */
};

static int print_slot(struct faults *f, const struct histogram *h, size_t slot,
		      const char *headline)
{
	static const char bar[BAR + 1] = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@";
	uint32_t n = h->v->slots[slot];
	struct view_field v[] = {
		{.key = "by", .kind = VIEW_WORD, .word = h->by, .title = "BY", .width = 8},
		{.key = "name", .kind = VIEW_WORD, .word = h->name, .title = "NAME", .width = 20},
		{.key = "from_us",
		 .kind = VIEW_REAL,
		 .real = slot ? (double)(1ULL << slot) / 1e3 : 0,
		 .title = "FROM us",
		 .width = 12},
		{.key = "to_us",
		 .kind = VIEW_REAL,
		 .real = (double)(2ULL << slot) / 1e3,
		 .title = "TO us",
		 .width = 12},
		{.key = "count", .kind = VIEW_COUNT, .n = n, .title = "COUNT", .width = 9},
		{.key = "bar",
		 .kind = VIEW_WORD,
		 .word = bar + BAR - (uint64_t)n * BAR / h->most,
		 .title = ""},
	};

	return view_record(f->view, &(struct view_record){.type = "hist",
							  .time_ns = f->now_ns,
							  .tick = f->ticks,
							  .fields = v,
							  .n_fields = ARRAY_SIZE(v),
							  .headline = headline});
}

static int print_histogram(struct faults *f, struct histogram *h, bool *first)
{
	int err = 0;

	for (size_t i = 0; i < FAULT_SLOTS; i++)
		h->most = MAX(h->most, h->v->slots[i]);
	for (size_t i = 0; i < FAULT_SLOTS && !err; i++) {
		if (!h->v->slots[i])
			continue;
		err = print_slot(f, h, i, *first ? "Time that faults took" : NULL);
		*first = false;
	}
	return err;
}

int faults_print_hist(struct faults *f, const struct faults_table *t)
{
	struct fault_cell causes[FAULT_CAUSES] = {0}, mappings[FAULT_MAPPINGS] = {0};
	bool first = true;
	int err = 0;

	for (size_t i = 0; i < t->n_cells; i++) {
		const struct faults_cell *c = &t->cells[i];

		faults_cell_sum(&causes[c->key.cause % FAULT_CAUSES], &c->v);
		faults_cell_sum(&mappings[c->key.mapping % FAULT_MAPPINGS], &c->v);
	}
	for (size_t i = 0; i < FAULT_CAUSES && !err; i++)
		err = print_histogram(
			f, &(struct histogram){"cause", fault_cause_names[i], &causes[i], 0},
			&first);
	for (size_t i = 0; i < FAULT_MAPPINGS && !err; i++)
		err = print_histogram(
			f, &(struct histogram){"mapping", fault_mapping_names[i], &mappings[i], 0},
			&first);
	return err;
}
