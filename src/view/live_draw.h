/* SPDX-License-Identifier: GPL-2.0-or-later */
/* live_draw.h - the live table on the screen of curses; not for other rooms. */
#ifndef MEMTALLY_LIVE_DRAW_H
#define MEMTALLY_LIVE_DRAW_H

#include "view/live_keys.h"

struct live_scene {
	const char *command;
	const struct live_table *table;
	const char *losses; /* one line; "": nothing was lost */
	uint64_t time_ns;   /* of the table; 0: none has come yet */
};

/* Draws all of it; u->page is how many rows the screen has room for. */
void live_draw(const struct live_scene *s, struct live_ui *u);

#endif
