/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "view/live_text.h"

#include <string.h>

#include "view/utf8.h"

#define REPLACEMENT 0xfffd

/* The code point of a well-formed sequence. */
static uint32_t decode(const char *s, size_t len)
{
	static const uint8_t lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (uint8_t)s[0] & lead_mask[len];

	for (size_t i = 1; i < len; i++)
		c = c << 6 | ((uint8_t)s[i] & 0x3f);
	return c;
}

/* Marks of direction, joiners, invisible operators, BOM (Unicode 15, section 23.2). */
static bool is_format(uint32_t c)
{
	return (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0x61c ||
	       (c >= 0xe0000 && c <= 0xe0fff);
}

/* The next character and its columns, as it will be shown; returns its bytes. */
static size_t next_char(const char *s, size_t n, wchar_t *ret, int *ret_columns)
{
	bool valid;
	size_t len = utf8_next(s, n, &valid);
	uint32_t c = valid ? decode(s, len) : REPLACEMENT;
	int columns = c < 0x20 || is_format(c) ? -1 : wcwidth((wchar_t)c);

	if (columns < 0) {
		c = REPLACEMENT;
		columns = 1;
		/* A terminal that has no U+FFFD has no other character beyond ASCII either. */
		if (wcwidth(REPLACEMENT) < 0)
			c = '?';
	}
	*ret = (wchar_t)c;
	*ret_columns = columns;
	return len;
}

size_t live_text_fit(const char *s, size_t columns, wchar_t *out, size_t size)
{
	size_t left = strlen(s), n = 0, used = 0, cut_n = 0, cut_used = 0;
	wchar_t c;
	int w;

	while (left && n + 2 < size) {
		size_t len = next_char(s, left, &c, &w);

		if (used + (size_t)w > columns)
			break;
		/* Where a '+' would still fit behind. */
		if (used + 1 <= columns) {
			cut_n = n;
			cut_used = used;
		}
		out[n++] = c;
		used += (size_t)w;
		s += len;
		left -= len;
	}
	if (left && columns) {
		if (used < columns) {
			cut_n = n;
			cut_used = used;
		}
		n = cut_n;
		used = cut_used;
		out[n++] = '+';
		used++;
	}
	out[n] = 0;
	return used;
}

size_t live_text_width(const char *s)
{
	size_t left = strlen(s), used = 0, len;
	wchar_t c;
	int w;

	for (; left; s += len, left -= len) {
		len = next_char(s, left, &c, &w);
		used += (size_t)w;
	}
	return used;
}
