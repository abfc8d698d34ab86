/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.h - a line that is no row of a report: an object of named numbers and words, as
 * one JSON object or as text the caller worded. Numbers that have no stack (accounts, slab
 * caches, totals) go out this way.
 */
#ifndef MEMTALLY_RECORD_H
#define MEMTALLY_RECORD_H

#include "lib/lib.h"

enum record_type { RECORD_UINT, RECORD_INT, RECORD_REAL, RECORD_TEXT, RECORD_TEXTS };

struct record_field {
	const char *key;
	enum record_type type;
	uint64_t u; /* RECORD_TEXTS: how many */
	int64_t i;
	double d;
	const char *text; /* any bytes */
	const char *const *texts;
};

struct record {
	const char *type, *command;
	uint64_t time_ns, tick;
	const char *line; /* for people, without its newline; NULL: nothing in text */
	const struct record_field *fields;
	size_t n;
};

#define FIELD_UINT(k, v) ((struct record_field){.key = (k), .type = RECORD_UINT, .u = (v)})
#define FIELD_INT(k, v)	 ((struct record_field){.key = (k), .type = RECORD_INT, .i = (v)})
#define FIELD_REAL(k, v) ((struct record_field){.key = (k), .type = RECORD_REAL, .d = (v)})
#define FIELD_TEXT(k, v) ((struct record_field){.key = (k), .type = RECORD_TEXT, .text = (v)})
#define FIELD_TEXTS(k, v, n_) \
	((struct record_field){.key = (k), .type = RECORD_TEXTS, .u = (n_), .texts = (v)})

/* Writes and flushes one line to out. 0, -ENOMEM or the errno of the write. */
int record_write(const struct record *r, bool json, FILE *out);

#endif
