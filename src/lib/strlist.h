/* SPDX-License-Identifier: GPL-2.0-or-later */
/* strlist.h - a growing list of owned strings. */
#ifndef MEMTALLY_STRLIST_H
#define MEMTALLY_STRLIST_H

#include "lib/lib.h"

struct strlist {
	char **v;
	size_t n, cap;
};

/* Appends a formatted line. 0 or -ENOMEM. */
int strlist_add(struct strlist *l, const char *fmt, ...) _printf_(2, 3);
void strlist_deinit(struct strlist *l);

#endif
