/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "view/live_keys.h"

#include <curses.h>
#include <string.h>

#define CONTROL(letter) ((letter)&0x1f)
#define ESCAPE		27
#define MIN_INTERVAL_NS 100000000ULL
#define MAX_INTERVAL_NS 3600000000000ULL

const char *const live_help[] = {
	"  < >            order by the column to the left, to the right",
	"  r R            reverse the order",
	"  /              show only rows with a text; Esc or = shows all again",
	"  p Space        hold the table; counting goes on",
	"  d s            change the interval",
	"  Up Down j k    scroll; also PgUp, PgDn, Home, End",
	"  Left Right     scroll columns",
	"  Ctrl-L         draw anew",
	"  h ?            this help",
	"  q Ctrl-C       quit",
	NULL,
};

void live_scroll_limit(struct live_ui *u, const struct live_table *t)
{
	size_t max = t->n_shown > u->page ? t->n_shown - u->page : 0;

	u->first_row = MIN(u->first_row, max);
	u->first_column = MIN(u->first_column, t->n_columns ? t->n_columns - 1 : 0);
}

/* ---- questions ---- */

static void ask(struct live_ui *u, enum live_mode mode)
{
	u->mode = mode;
	u->typed[0] = '\0';
}

static void type_char(struct live_ui *u, int c)
{
	char *to = u->typed + strlen(u->typed);
	size_t left = sizeof(u->typed) - (size_t)(to - u->typed);
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

	if (len + 1 > left)
		return;
	for (size_t i = len; i > 1; i--, c >>= 6)
		to[i - 1] = (char)(0x80 | (c & 0x3f));
	to[0] = (char)(lead[len] | c);
	to[len] = '\0';
}

static void erase_char(struct live_ui *u)
{
	size_t n = strlen(u->typed);

	while (n && ((uint8_t)u->typed[n - 1] & 0xc0) == 0x80)
		n--;
	u->typed[n ? n - 1 : 0] = '\0';
}

static enum live_action answer(struct live_ui *u)
{
	enum live_mode asked = u->mode;
	uint64_t ns;

	u->mode = LIVE_TABLE;
	if (asked == LIVE_ASK_FILTER) {
		memcpy(u->filter, u->typed, sizeof(u->filter));
		u->first_row = 0;
		return LIVE_NOTHING;
	}
	if (!u->typed[0])
		return LIVE_NOTHING;
	if (parse_seconds(u->typed, &ns) || ns < MIN_INTERVAL_NS || ns > MAX_INTERVAL_NS) {
		snprintf(u->message, sizeof(u->message), "'%s': not 0.1 to 3600 seconds", u->typed);
		return LIVE_NOTHING;
	}
	u->interval_ns = ns;
	return LIVE_INTERVAL;
}

static enum live_action key_in_question(struct live_ui *u, int key)
{
	switch (key) {
	case '\r':
	case '\n':
	case -KEY_ENTER:
		return answer(u);
	case ESCAPE:
		u->mode = LIVE_TABLE;
		break;
	case '\b':
	case 127:
	case -KEY_BACKSPACE:
		erase_char(u);
		break;
	case CONTROL('u'):
		u->typed[0] = '\0';
		break;
	default:
		if (key >= ' ')
			type_char(u, key);
	}
	return LIVE_NOTHING;
}

/* ---- the table ---- */

static void sort_move(struct live_ui *u, const struct live_table *t, int by)
{
	int n = (int)t->n_columns;

	if (!n)
		return;
	if (u->sort < 0)
		u->sort = by > 0 ? 0 : n - 1;
	else
		u->sort = (u->sort + by + n) % n;
	u->first_row = 0;
}

static void scroll_key(struct live_ui *u, const struct live_table *t, int key)
{
	size_t page = MAX(u->page, 1u), up = 0;

	switch (key) {
	case -KEY_UP:
	case 'k':
		up = 1;
		break;
	case -KEY_PPAGE:
		up = page;
		break;
	case -KEY_DOWN:
	case 'j':
		u->first_row++;
		break;
	case -KEY_NPAGE:
		u->first_row += page;
		break;
	case -KEY_HOME:
		u->first_row = 0;
		break;
	case -KEY_END:
		u->first_row = t->n_shown;
		break;
	case -KEY_LEFT:
		u->first_column -= u->first_column > 0;
		break;
	case -KEY_RIGHT:
		u->first_column++;
		break;
	default:
		break;
	}
	u->first_row -= MIN(up, u->first_row);
	live_scroll_limit(u, t);
}

static enum live_action key_in_table(struct live_ui *u, const struct live_table *t, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
	case CONTROL('c'):
		return LIVE_QUIT;
	case 'h':
	case '?':
	case -KEY_F(1):
		u->mode = LIVE_HELP;
		break;
	case '<':
	case ',':
		sort_move(u, t, -1);
		break;
	case '>':
	case '.':
		sort_move(u, t, 1);
		break;
	case 'r':
	case 'R':
		u->reverse = !u->reverse;
		break;
	case 'p':
	case ' ':
		u->paused = !u->paused;
		break;
	case '/':
		ask(u, LIVE_ASK_FILTER);
		break;
	case '=':
	case ESCAPE:
		u->filter[0] = '\0';
		break;
	case 'd':
	case 's':
		ask(u, LIVE_ASK_INTERVAL);
		break;
	default:
		scroll_key(u, t, key);
	}
	return LIVE_NOTHING;
}

enum live_action live_key(struct live_ui *u, const struct live_table *t, int key)
{
	u->message[0] = '\0';
	if (u->mode == LIVE_HELP) {
		u->mode = LIVE_TABLE;
		return key == 'q' || key == CONTROL('c') ? LIVE_QUIT : LIVE_NOTHING;
	}
	if (u->mode != LIVE_TABLE)
		return key_in_question(u, key);
	return key_in_table(u, t, key);
}
