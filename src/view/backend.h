/* SPDX-License-Identifier: GPL-2.0-or-later */
/* backend.h - between view.c and its writers; not for other rooms. */
#ifndef MEMTALLY_BACKEND_H
#define MEMTALLY_BACKEND_H

#include "view/view.h"

struct view_costs {
	uint64_t time_ns, tick;
	const struct view_cost *cost;
};

/*
 * A form of output. Functions write to the given stream and leave write errors in it;
 * they return 0 or -ENOMEM. report_begin and row may be NULL.
 */
struct view_backend {
	int (*start)(const struct view_config *c, const struct view_start *s, FILE *out);
	int (*report_begin)(const struct view_config *c, const struct view_report *r, FILE *out);
	int (*row)(const struct view_config *c, const struct view_report *r, size_t i, FILE *out);
	int (*report_end)(const struct view_config *c, const struct view_report *r, FILE *out);
	int (*record)(const struct view_config *c, const struct view_record *r, FILE *out);
	int (*cost)(const struct view_config *c, const struct view_costs *costs, FILE *out);
	int (*call)(const struct view_config *c, const struct view_call *call, FILE *out);
	int (*end)(const struct view_config *c, const struct view_end *e, FILE *out);
};

extern const struct view_backend view_text, view_json;

/* One line "root;...;leaf bytes". */
void folded_row(const struct view_config *c, const struct row *row, FILE *out);

/*
 * A value as people read it, not padded: in buf, or a word as it is (any bytes). 32 bytes
 * are enough.
 */
const char *field_text(const struct view_field *f, char *buf, size_t size);
/* Words and addresses stand on the left of their column. */
bool field_is_left(const struct view_field *f);
/* For ordering; nothing for words. */
double field_value(const struct view_field *f);

/* File name without directories; "[kernel]" and the like as they are. */
const char *object_base(const char *path);

#endif
