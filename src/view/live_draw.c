/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *	cachetop 10:13:16  every 1 s  rows 2/3  by HITS  filter 'dd'
 *	Buffers MB: 112 / Cached MB: 1337 / rows: 3
 *	nothing lost
 *	 PID UID CMD  HITS MISSES  RA DIRTIES READ_HIT% WRITE_HIT% DIRECT
 *	4711   0 dd      0     16 984       0     0.00%          -      0
 *	...
 *	q quit  h help  < > order  r reverse  / filter  p hold  d interval
 *
 * Small screens keep the title, the titles of columns and rows; a loss that is not shown
 * would be a lie, so it goes before the headline.
 */
#include "view/live_draw.h"

#include <curses.h>
#include <string.h>
#include <time.h>

#include "view/live_text.h"

#define MAX_LINE 1024 /* columns */

struct layout {
	int height, width;
	int headline, losses, titles, hints; /* their lines; -1: no room */
	int rows;			     /* first line of rows */
};

static struct layout layout_make(const struct live_scene *s)
{
	struct layout l = {.headline = -1, .losses = -1, .titles = -1, .hints = -1};
	int y = 1;

	getmaxyx(stdscr, l.height, l.width);
	l.width = MIN(l.width, MAX_LINE - 1);
	if (l.height >= 8)
		l.headline = y++;
	if (l.height >= 6 || (*s->losses && l.height >= 4))
		l.losses = y++;
	if (l.height >= 3)
		l.titles = y++;
	if (l.height >= 7)
		l.hints = l.height - 1;
	l.rows = y;
	return l;
}

/* Text of any bytes at a place, cut to `columns`; returns the columns it took. */
static size_t put_at(int y, int x, const char *s, int columns)
{
	wchar_t wide[MAX_LINE + 1];
	size_t used;

	if (y < 0 || columns <= 0)
		return 0;
	used = live_text_fit(s, (size_t)columns, wide, ARRAY_SIZE(wide));
	mvaddwstr(y, x, wide);
	return used;
}

/* A whole line in one attribute, to the right edge. */
static void put_line(const struct layout *l, int y, const char *s, attr_t attr)
{
	if (y < 0 || y >= l->height)
		return;
	attron(attr);
	mvhline(y, 0, ' ', l->width);
	put_at(y, 0, s, l->width);
	attroff(attr);
}

/* ---- title ---- */

static void title_clock(FILE *out, uint64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / 1000000000);
	struct tm tm;

	localtime_r(&seconds, &tm);
	if (time_ns)
		fprintf(out, " %02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* What matters most comes first: the right end may be cut. */
static void put_title(const struct layout *l, const struct live_scene *s, const struct live_ui *u)
{
	const struct live_table *t = s->table;
	char text[512] = "";
	FILE *out = fmemopen(text, sizeof(text), "we");

	if (!out)
		return;
	fputs(s->command, out);
	title_clock(out, s->time_ns);
	if (u->paused)
		fputs("  HELD", out);
	if (u->filter[0])
		fprintf(out, "  filter '%s'", u->filter);
	fprintf(out, "  every %g s  rows %zu/%zu", (double)u->interval_ns / 1e9, t->n_shown,
		t->n_rows);
	if (u->sort >= 0 && (size_t)u->sort < t->n_columns)
		fprintf(out, "  by %s", t->columns[u->sort].title);
	if (u->reverse)
		fputs("  reversed", out);
	fclose(out);
	put_line(l, 0, text, A_BOLD);
}

/* ---- columns ---- */

static int column_width(const struct layout *l, const struct live_table *t, size_t i, int x)
{
	int left = l->width - x;

	/* The last one has what is left: paths are long. */
	if (i + 1 == t->n_columns && t->columns[i].left)
		return left;
	return MIN((int)MIN(t->columns[i].width, (size_t)MAX_LINE), left);
}

static void put_cell(const struct live_column *c, int y, int x, const char *text, int width)
{
	size_t used = live_text_width(text);

	if (!c->left && used < (size_t)width)
		x += width - (int)used, width = (int)used;
	put_at(y, x, text, width);
}

static void put_titles(const struct layout *l, const struct live_table *t, const struct live_ui *u)
{
	int x = 0;

	put_line(l, l->titles, "", A_REVERSE);
	if (l->titles < 0)
		return;
	for (size_t i = u->first_column; i < t->n_columns && x < l->width; i++) {
		attr_t attr = A_REVERSE | ((int)i == u->sort ? A_BOLD | A_UNDERLINE : A_NORMAL);
		int width = column_width(l, t, i, x);

		attron(attr);
		put_cell(&t->columns[i], l->titles, x, t->columns[i].title, width);
		attroff(attr);
		x += width + 1;
	}
}

static void put_row(const struct layout *l, const struct live_table *t, const struct live_ui *u,
		    size_t row, int y)
{
	int x = 0;

	for (size_t i = u->first_column; i < t->n_columns && x < l->width; i++) {
		int width = column_width(l, t, i, x);

		put_cell(&t->columns[i], y, x, live_table_text(t, row, i), width);
		x += width + 1;
	}
}

/* ---- the last line ---- */

static void put_question(const struct layout *l, const struct live_ui *u)
{
	char text[160];

	if (u->mode == LIVE_ASK_FILTER)
		snprintf(text, sizeof(text), "Rows with (empty: all): %s_", u->typed);
	else
		snprintf(text, sizeof(text), "Interval in seconds (now %g): %s_",
			 (double)u->interval_ns / 1e9, u->typed);
	put_line(l, l->height - 1, text, A_BOLD);
}

static void put_last_line(const struct layout *l, const struct live_ui *u)
{
	if (u->mode == LIVE_ASK_FILTER || u->mode == LIVE_ASK_INTERVAL)
		put_question(l, u);
	else if (u->message[0])
		put_line(l, l->height - 1, u->message, A_BOLD);
	else
		put_line(l, l->hints,
			 "q quit  h help  < > order  r reverse  / filter  p hold  d interval",
			 A_DIM);
}

static void put_help(const struct layout *l)
{
	put_line(l, 0, "Keys; any other key goes back", A_BOLD);
	for (int i = 0; live_help[i] && i + 1 < l->height; i++)
		put_at(i + 1, 0, live_help[i], l->width);
}

void live_draw(const struct live_scene *s, struct live_ui *u)
{
	struct layout l = layout_make(s);
	const struct live_table *t = s->table;
	int end = l.hints >= 0 ? l.hints : l.height;

	u->page = (size_t)MAX(end - l.rows, 0);
	live_scroll_limit(u, t);
	erase();
	if (u->mode == LIVE_HELP) {
		put_help(&l);
	} else {
		put_title(&l, s, u);
		put_line(&l, l.headline, t->n_rows ? t->headline : "no rows in this interval",
			 A_NORMAL);
		put_line(&l, l.losses, *s->losses ? s->losses : "nothing lost",
			 *s->losses ? A_BOLD : A_NORMAL);
		put_titles(&l, t, u);
		for (size_t i = 0; i < u->page && u->first_row + i < t->n_shown; i++)
			put_row(&l, t, u, t->shown[u->first_row + i], l.rows + (int)i);
		put_last_line(&l, u);
	}
	refresh();
}
