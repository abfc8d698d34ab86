/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * live.h - a table that is drawn anew at every report, with keys to order, filter and hold
 * it, for any command whose reports are records. The command shows it where its view writes
 * (view_config.live); whoever runs the event loop listens to one descriptor:
 *
 *	live_new	nothing is touched yet
 *	live_open	the terminal is ours; live_fd() becomes readable for keys, resizing
 *			and job control: then live_input()
 *	live_close	the terminal is as before; what was said on stderr meanwhile follows
 */
#ifndef MEMTALLY_LIVE_H
#define MEMTALLY_LIVE_H

#include "lib/lib.h"

struct live;
struct view_record;
struct view_report;

struct live_config {
	const char *command;
	uint64_t interval_ns;
	const char *sort; /* title of the column to order by; NULL: rows as they come */
};

enum live_action {
	LIVE_NOTHING,
	LIVE_QUIT,     /* a key, or the terminal went away */
	LIVE_INTERVAL, /* live_interval_ns() has changed */
};

/* 0 or -ENOMEM. Strings of *c must live as long. */
int live_new(const struct live_config *c, struct live **ret);
/* Closes; accepts NULL. */
void live_free(struct live *l);

/* Whether stdin and stdout are a terminal of a kind that is known. */
bool live_possible(void);
/* 0; -ENOTTY: this kind of terminal is not known; -errno. */
int live_open(struct live *l);
void live_close(struct live *l);
bool live_is_open(const struct live *l);

int live_fd(const struct live *l);
/* Takes what has come and draws. enum live_action. */
enum live_action live_input(struct live *l);
uint64_t live_interval_ns(const struct live *l);

/* A row of the report at hand: 0 or -ENOMEM. */
int live_record(struct live *l, const struct view_record *r);
/* The report is complete: its losses. Shows it, unless the table is held. 0 or -ENOMEM. */
int live_report(struct live *l, const struct view_report *r);

#endif
