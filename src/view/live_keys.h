/* SPDX-License-Identifier: GPL-2.0-or-later */
/* live_keys.h - what keys do to the live table, without a terminal; not for other rooms. */
#ifndef MEMTALLY_LIVE_KEYS_H
#define MEMTALLY_LIVE_KEYS_H

#include "view/live.h"
#include "view/live_table.h"

enum live_mode { LIVE_TABLE, LIVE_HELP, LIVE_ASK_FILTER, LIVE_ASK_INTERVAL };

struct live_ui {
	enum live_mode mode;
	int sort; /* column, as in struct live_order */
	bool reverse, paused;
	size_t first_row, first_column; /* what is scrolled away */
	size_t page;			/* rows on the screen */
	char filter[64];
	char typed[64];	  /* of a question */
	char message[96]; /* until the next key */
	uint64_t interval_ns;
};

/* Code points are positive, keys of curses (KEY_UP) negative. */
enum live_action live_key(struct live_ui *u, const struct live_table *t, int key);
/* Keeps what is scrolled away within the table. */
void live_scroll_limit(struct live_ui *u, const struct live_table *t);

/* Lines of the help, NULL-terminated. */
extern const char *const live_help[];

#endif
