/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * live_text.h - any bytes as what a terminal can be given: one wide character for each that
 * has a place on the screen. Control characters, ill-formed UTF-8 and invisible characters
 * that change the direction or the joining of their neighbours become U+FFFD.
 */
#ifndef MEMTALLY_LIVE_TEXT_H
#define MEMTALLY_LIVE_TEXT_H

#include <wchar.h>

#include "lib/lib.h"

/*
 * The beginning of s that fits into `columns` columns, NUL-terminated, in out of `size`
 * elements; what is cut ends in '+'. Returns the columns taken. The locale (LC_CTYPE) says
 * how wide characters are.
 */
size_t live_text_fit(const char *s, size_t columns, wchar_t *out, size_t size);
/* Columns that the whole of s takes. */
size_t live_text_width(const char *s);

#endif
