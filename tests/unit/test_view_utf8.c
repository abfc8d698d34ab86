/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "view/utf8.h"

#define R "\xef\xbf\xbd"

/* Ill-formed sequences: the examples of Unicode 15, tables 3-8 to 3-11, and more. */
static const struct {
	const char *what, *in, *out;
} cases[] = {
	{"empty", "", ""},
	{"ascii", "redis-server", "redis-server"},
	{"two bytes", "\xc3\xa9", "\xc3\xa9"},
	{"three bytes", "\xe2\x82\xac", "\xe2\x82\xac"},
	{"four bytes", "\xf0\x9f\x92\xa9", "\xf0\x9f\x92\xa9"},
	{"least and largest of each length",
	 "\x01\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
	 "\x01\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
	{"around the surrogates", "\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80"},
	{"lone continuation", "a\x80z", "a" R "z"},
	{"cut two", "a\xc3", "a" R},
	{"cut two in the middle", "\xc3z", R "z"},
	{"cut three, one byte", "\xe2", R},
	{"cut three, two bytes: one part", "\xe2\x82", R},
	{"cut four, three bytes: one part", "\xf0\x9f\x92", R},
	{"cut four in the middle", "\xf0\x9f\x92z", R "z"},
	{"overlong slash", "\xc0\xaf", R R},
	{"overlong in two", "\xc1\xbf", R R},
	{"overlong in three", "\xe0\x80\xaf", R R R},
	{"overlong in three, largest", "\xe0\x9f\xbf", R R R},
	{"overlong in four", "\xf0\x80\x81\x82", R R R R},
	{"overlong in four, largest", "\xf0\x8f\xbf\xbf", R R R R},
	{"high surrogate", "\xed\xa0\x80", R R R},
	{"low surrogate", "\xed\xbf\xbf", R R R},
	{"surrogate then ascii", "\xed\xa0\x41", R R "A"},
	{"above U+10FFFF", "\xf4\x90\x80\x80", R R R R},
	{"five-byte lead", "\xf8\x88\x80\x80\x80", R R R R R},
	{"fe and ff", "\xfe\xff", R R},
	{"table 3-11", "\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", R R R R "A"},
};

static void test_sanitize(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = utf8_sanitize(cases[i].in, strlen(cases[i].in));

		assert_non_null(got);
		if (strcmp(got, cases[i].out) != 0)
			fail_msg("%s: got '%s'", cases[i].what, got);
	}
}

/* Whatever comes in, jansson's own check accepts what comes out; every 3-byte string. */
static void test_always_valid(void **state)
{
	(void)state;
	for (unsigned int v = 0x800000; v <= 0xffffff; v += 7) {
		char in[] = {(char)(v >> 16), (char)(v >> 8 | 1), (char)(v | 1), 0};
		_cleanup_free_ char *got = utf8_sanitize(in, 3);
		json_t *j;

		assert_non_null(got);
		j = json_string(got);
		assert_non_null(j);
		json_decref(j);
	}
}

static void written_is(const char *in, enum utf8_for how, const char *want)
{
	_cleanup_free_ char *got = NULL;
	size_t len;
	FILE *f = open_memstream(&got, &len);

	assert_non_null(f);
	utf8_write(f, in, how);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(got, want);
}

static void test_write(void **state)
{
	(void)state;
	written_is(NULL, UTF8_TEXT, "");
	written_is("a;b\xc3\xa9", UTF8_TEXT, "a;b\xc3\xa9");
	written_is("a;b", UTF8_FOLDED, "a:b");
	written_is("\x1b[2J\n\t\x7f", UTF8_TEXT, R "[2J" R R R);
	written_is("\xc2\x9b"
		   "0m\xc2\xa0",
		   UTF8_TEXT, R "0m\xc2\xa0");
	written_is("x\xffy\xe2\x82", UTF8_FOLDED, "x" R "y" R);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sanitize),
		cmocka_unit_test(test_always_valid),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
