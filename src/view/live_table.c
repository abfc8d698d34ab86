/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "view/live_table.h"

#include <errno.h>
#include <string.h>

#include "view/backend.h"
#include "view/live_text.h"

void live_table_clear(struct live_table *t)
{
	t->n_rows = t->n_pool = t->n_shown = 0;
	t->headline[0] = '\0';
}

void live_table_deinit(struct live_table *t)
{
	free(t->columns);
	free(t->cells);
	free(t->pool);
	free(t->shown);
}

const char *live_table_text(const struct live_table *t, size_t row, size_t column)
{
	return t->pool + t->cells[row * t->n_columns + column].text;
}

int live_table_column(const struct live_table *t, const char *title)
{
	for (size_t i = 0; i < t->n_columns && title; i++)
		if (strcmp(t->columns[i].title, title) == 0)
			return (int)i;
	return -1;
}

/* ---- rows ---- */

static int columns_take(struct live_table *t, const struct view_record *r)
{
	for (size_t i = 0; i < r->n_fields; i++) {
		const struct view_field *f = &r->fields[i];
		struct live_column *c;
		int err = f->title ? array_reserve(&t->columns, &t->cap_columns, t->n_columns + 1,
						   sizeof(t->columns[0]))
				   : 0;

		if (err)
			return err;
		if (!f->title)
			continue;
		c = &t->columns[t->n_columns++];
		*c = (struct live_column){.left = field_is_left(f),
					  .word = f->kind == VIEW_WORD,
					  .width = strlen(f->title)};
		snprintf(c->title, sizeof(c->title), "%s", f->title);
	}
	return 0;
}

static int cell_take(struct live_table *t, struct live_cell *cell, struct live_column *c,
		     const struct view_field *f)
{
	char buf[32];
	const char *text = field_text(f, buf, sizeof(buf));
	size_t n = strlen(text);
	int err = array_reserve(&t->pool, &t->cap_pool, t->n_pool + n + 1, 1);

	if (err)
		return err;
	*cell = (struct live_cell){t->n_pool, field_value(f)};
	memcpy(t->pool + t->n_pool, text, n + 1);
	t->n_pool += n + 1;
	c->width = MAX(c->width, live_text_width(text));
	return 0;
}

int live_table_add(struct live_table *t, const struct view_record *r)
{
	size_t at = t->n_rows * t->n_columns, column = 0;
	int err = t->n_columns ? 0 : columns_take(t, r);

	if (!err)
		err = array_reserve(&t->cells, &t->cap_cells, at + t->n_columns,
				    sizeof(t->cells[0]));
	for (size_t i = 0; i < r->n_fields && column < t->n_columns && !err; i++) {
		if (!r->fields[i].title)
			continue;
		err = cell_take(t, &t->cells[at + column], &t->columns[column], &r->fields[i]);
		column++;
	}
	/* A row with fewer fields than the first has none of its own making: left out. */
	if (!err && column == t->n_columns)
		t->n_rows++;
	if (r->headline)
		snprintf(t->headline, sizeof(t->headline), "%s", r->headline);
	return err;
}

/* ---- order ---- */

struct sorting {
	const struct live_table *t;
	const struct live_order *o;
};

static int cells_compare(const struct sorting *s, size_t a, size_t b)
{
	const struct live_table *t = s->t;
	size_t column = (size_t)s->o->column;
	double x, y;

	if (t->columns[column].word)
		return strcmp(live_table_text(t, a, column), live_table_text(t, b, column));
	x = t->cells[a * t->n_columns + column].value;
	y = t->cells[b * t->n_columns + column].value;
	return x > y ? -1 : x < y;
}

static int rows_compare(const void *a, const void *b, void *arg)
{
	const struct sorting *s = arg;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int order = s->o->column < 0 ? 0 : cells_compare(s, x, y);

	if (!order)
		order = x < y ? -1 : x > y;
	return s->o->reverse ? -order : order;
}

static bool row_passes(const struct live_table *t, size_t row, const char *filter)
{
	for (size_t i = 0; i < t->n_columns; i++)
		if (strcasestr(live_table_text(t, row, i), filter))
			return true;
	return !*filter;
}

int live_table_arrange(struct live_table *t, const struct live_order *o)
{
	struct sorting s = {t, o};
	int err = array_reserve(&t->shown, &t->cap_shown, t->n_rows + 1, sizeof(t->shown[0]));

	if (err)
		return err;
	t->n_shown = 0;
	for (size_t i = 0; i < t->n_rows; i++)
		if (row_passes(t, i, o->filter))
			t->shown[t->n_shown++] = i;
	qsort_r(t->shown, t->n_shown, sizeof(t->shown[0]), rows_compare, &s);
	return 0;
}
