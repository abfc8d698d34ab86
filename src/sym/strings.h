/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * strings.h - each string once, at a place that does not move until the whole set is
 * freed: names of frames are handed out as plain pointers.
 */
#ifndef MEMTALLY_SYM_STRINGS_H
#define MEMTALLY_SYM_STRINGS_H

#include "lib/lib.h"

struct sym_strings;

struct sym_strings *sym_strings_new(void);
void sym_strings_free(struct sym_strings *t);

/* The kept copy of s[0..len); NULL: no memory. */
const char *sym_strings_keep(struct sym_strings *t, const char *s, size_t len);

#endif
