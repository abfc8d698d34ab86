/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines that are no rows, in both forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "view/record.h"

static const char *const words[] = {"x", "y"};
static const struct record_field fields[] = {
	{.key = "u", .type = RECORD_UINT, .u = UINT64_MAX},
	{.key = "i", .type = RECORD_INT, .i = -5},
	{.key = "d", .type = RECORD_REAL, .d = 0.5},
	{.key = "t", .type = RECORD_TEXT, .text = "a\xff"},
	{.key = "n", .type = RECORD_TEXT},
	{.key = "w", .type = RECORD_TEXTS, .u = 2, .texts = words},
};

static void assert_written(bool json, const char *line, const char *expected)
{
	struct record r = {.type = "account",
			   .command = "kmem",
			   .time_ns = 1500000000,
			   .tick = 3,
			   .line = line,
			   .fields = fields,
			   .n = 6};
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(record_write(&r, json, f), 0);
	fclose(f);
	assert_string_equal(text, expected);
}

static void test_json(void **state)
{
	(void)state;
	assert_written(true, "not this",
		       "{\"type\":\"account\",\"command\":\"kmem\",\"time\":1.5,\"tick\":3,"
		       "\"u\":9223372036854775807,\"i\":-5,\"d\":0.5,\"t\":\"a\xef\xbf\xbd\","
		       "\"n\":null,\"w\":[\"x\",\"y\"]}\n");
}

static void test_text(void **state)
{
	(void)state;
	assert_written(false, "a line", "a line\n");
	assert_written(false, NULL, "");
}

static void test_a_full_disk_is_told(void **state)
{
	struct record r = {.type = "t", .command = "c", .line = "x"};
	FILE *f = fopen("/dev/full", "we");

	(void)state;
	assert_non_null(f);
	assert_int_equal(record_write(&r, false, f), -28);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_a_full_disk_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
