/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * utf8.h - names from the kernel and from targets are any bytes; what we print is
 * UTF-8. Each ill-formed part becomes one U+FFFD (Unicode 15, section 3.9, table 3-7
 * and "substitution of maximal subparts"): overlong forms, surrogates, values above
 * U+10FFFF and cut sequences all count as ill-formed.
 */
#ifndef MEMTALLY_UTF8_H
#define MEMTALLY_UTF8_H

#include "lib/lib.h"

enum utf8_for {
	UTF8_TEXT,   /* control characters become U+FFFD too: no escape sequences, one line */
	UTF8_FOLDED, /* and ';' becomes ':' */
};

/* Length of the sequence at s (n >= 1 bytes left); *ret_valid: is it well-formed? */
size_t utf8_next(const char *s, size_t n, bool *ret_valid);
/* A well-formed copy, owned by the caller; NULL: out of memory. */
char *utf8_sanitize(const char *s, size_t n);
/* Prints s (NULL: nothing); errors stay in f. */
void utf8_write(FILE *f, const char *s, enum utf8_for how);

#endif
