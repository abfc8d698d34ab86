/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cursor.h - bounded reader over untrusted bytes. Every read is checked; the first
 * bad read sets `err` (sticky, negative errno), moves to the end and returns 0, so
 * that parsers may check once per record instead of once per field.
 */
#ifndef MEMTALLY_CURSOR_H
#define MEMTALLY_CURSOR_H

#include <errno.h>
#include <string.h>

#include "lib/lib.h"

struct cursor {
	const uint8_t *base; /* for offsets: cursor_pos() counts from here */
	const uint8_t *pos;
	const uint8_t *end;
	int err;
};

static inline struct cursor cursor_at(const void *data, size_t len)
{
	const uint8_t *p = data;

	return (struct cursor){.base = p, .pos = p, .end = p + len};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->pos);
}

static inline size_t cursor_pos(const struct cursor *c)
{
	return (size_t)(c->pos - c->base);
}

static inline uint64_t cursor_fail(struct cursor *c, int err)
{
	if (!c->err)
		c->err = err;
	c->pos = c->end;
	return 0;
}

/* Little-endian unsigned integer of n <= 8 bytes. */
static inline uint64_t cursor_uint(struct cursor *c, size_t n)
{
	uint64_t v = 0;

	if (n > 8 || cursor_left(c) < n)
		return cursor_fail(c, -EBADMSG);
	memcpy(&v, c->pos, n);
	c->pos += n;
	return v;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)cursor_uint(c, 1);
}

static inline uint64_t cursor_uleb(struct cursor *c)
{
	uint64_t v = 0;
	unsigned int shift = 0;

	while (c->pos < c->end) {
		uint8_t b = *c->pos++;

		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		shift += 7;
		if (!(b & 0x80))
			return v;
	}
	return cursor_fail(c, -EBADMSG);
}

static inline int64_t cursor_sleb(struct cursor *c)
{
	uint64_t v = 0;
	unsigned int shift = 0;

	while (c->pos < c->end) {
		uint8_t b = *c->pos++;

		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		shift += 7;
		if (b & 0x80)
			continue;
		if ((b & 0x40) && shift < 64)
			v |= ~0ULL << shift;
		return (int64_t)v;
	}
	return (int64_t)cursor_fail(c, -EBADMSG);
}

static inline void cursor_skip(struct cursor *c, uint64_t n)
{
	if (n > cursor_left(c))
		cursor_fail(c, -EBADMSG);
	else
		c->pos += n;
}

/* NUL-terminated string inside the data; NULL (and err) where the NUL is missing. */
static inline const char *cursor_str(struct cursor *c)
{
	const uint8_t *s = c->pos;
	const uint8_t *nul = memchr(s, 0, cursor_left(c));

	if (!nul) {
		cursor_fail(c, -EBADMSG);
		return NULL;
	}
	c->pos = nul + 1;
	return (const char *)s;
}

#endif
