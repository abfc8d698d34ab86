/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * live_table.h - what the live table knows, without a terminal: rows of one report, their
 * order and which pass the filter; not for other rooms.
 */
#ifndef MEMTALLY_LIVE_TABLE_H
#define MEMTALLY_LIVE_TABLE_H

#include "view/view.h"

struct live_cell {
	size_t text; /* offset in the table's pool */
	double value;
};

struct live_column {
	char title[24];
	bool left;    /* where it stands in its column */
	bool word;    /* ordered by the alphabet; else numbers, largest first */
	size_t width; /* of the widest text since the start, in columns of the terminal */
};

struct live_table {
	struct live_column *columns;
	size_t n_columns, cap_columns;
	struct live_cell *cells; /* n_rows * n_columns */
	size_t n_rows, cap_cells;
	char *pool; /* any bytes, NUL-terminated */
	size_t n_pool, cap_pool;
	size_t *shown; /* indices of rows: those that pass the filter, in order */
	size_t n_shown, cap_shown;
	char headline[160];
};

struct live_order {
	int column; /* -1: as the rows came */
	bool reverse;
	const char *filter; /* part of any cell, case ignored (ASCII); "": every row */
};

/* Forgets the rows; keeps the columns. */
void live_table_clear(struct live_table *t);
void live_table_deinit(struct live_table *t);
/* Fields with a title become cells; columns are those of the first row. 0 or -ENOMEM. */
int live_table_add(struct live_table *t, const struct view_record *r);
/* Fills `shown`. 0 or -ENOMEM. */
int live_table_arrange(struct live_table *t, const struct live_order *o);
const char *live_table_text(const struct live_table *t, size_t row, size_t column);
/* Index of the column with this title; -1: none. */
int live_table_column(const struct live_table *t, const char *title);

#endif
