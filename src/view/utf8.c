/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "view/utf8.h"

#include <string.h>

static const char replacement[] = "\xef\xbf\xbd";
enum { REPLACEMENT_LEN = 3 };

/* How many bytes follow a lead byte, and the range of the first of them (table 3-7). */
static int lead_followers(uint8_t lead, uint8_t *ret_low, uint8_t *ret_high)
{
	*ret_low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
	*ret_high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
	if (lead < 0x80)
		return 0;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 1;
	if (lead >= 0xe0 && lead <= 0xef)
		return 2;
	return lead >= 0xf0 && lead <= 0xf4 ? 3 : -1;
}

size_t utf8_next(const char *s, size_t n, bool *ret_valid)
{
	const uint8_t *p = (const uint8_t *)s;
	uint8_t low, high;
	int more = lead_followers(p[0], &low, &high);
	size_t len = 1;

	*ret_valid = more >= 0;
	for (; more > 0; more--, len++) {
		if (len == n || p[len] < low || p[len] > high) {
			*ret_valid = false;
			break;
		}
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

char *utf8_sanitize(const char *s, size_t n)
{
	char *out = malloc(n * REPLACEMENT_LEN + 1), *to = out;
	size_t len;
	bool valid;

	for (size_t i = 0; out && i < n; i += len) {
		len = utf8_next(s + i, n - i, &valid);
		to = mempcpy(to, valid ? s + i : replacement, valid ? len : REPLACEMENT_LEN);
	}
	if (out)
		*to = '\0';
	return out;
}

/* C0, DEL and C1 (U+0080 to U+009F, in UTF-8 c2 80 to c2 9f). */
static bool is_control(const char *s, size_t len)
{
	uint8_t a = (uint8_t)s[0];

	return (len == 1 && (a < 0x20 || a == 0x7f)) ||
	       (len == 2 && a == 0xc2 && (uint8_t)s[1] < 0xa0);
}

void utf8_write(FILE *f, const char *s, enum utf8_for how)
{
	size_t n = s ? strlen(s) : 0, len;
	bool valid;

	for (; n; s += len, n -= len) {
		len = utf8_next(s, n, &valid);
		if (!valid || is_control(s, len))
			fputs(replacement, f);
		else if (how == UTF8_FOLDED && *s == ';')
			fputc(':', f);
		else
			fwrite(s, 1, len, f);
	}
}
