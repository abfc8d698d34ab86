/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records: one JSON object each, one line of a table each. */
#include "test_view.h"

static const struct view_field inner[] = {
	{.key = "first touch", .kind = VIEW_COUNT, .n = 2000},
	{.key = "bad\xff", .kind = VIEW_COUNT, .n = 1},
};

static const struct view_field fields[] = {
	{.key = "pid", .kind = VIEW_COUNT, .n = 12, .title = "PID", .width = 6},
	{.key = "comm", .kind = VIEW_WORD, .word = "re\x1b", .title = "COMM", .width = 5},
	{.key = "rate", .kind = VIEW_REAL, .real = 2.25, .title = "RATE", .width = 6},
	{.key = "at", .kind = VIEW_HEX, .n = 0xabc, .title = "AT", .width = 6},
	{.key = "none", .kind = VIEW_NULL, .title = "NONE", .width = 4},
	{.key = "name", .kind = VIEW_WORD, .title = "NAME"},
	{.key = "yes", .kind = VIEW_BOOL, .n = 1},
	{.key = "cause", .kind = VIEW_MAP, .map = inner, .n = 2},
};

static struct view_record record(const char *headline)
{
	return (struct view_record){
		.type = "process",
		.time_ns = TEST_TIME,
		.tick = 4,
		.fields = fields,
		.n_fields = ARRAY_SIZE(fields),
		.headline = headline,
	};
}

static void test_json(void **state)
{
	struct view_record r = record("not in JSON");
	struct capture k;

	(void)state;
	capture_open(&k, (struct view_config){.json = true});
	assert_int_equal(view_record(k.v, &r), 0);
	fflush(k.c.out);
	assert_string_equal(
		k.out,
		"{\"type\":\"process\",\"command\":\"leak\",\"time\":1795255996.25,\"tick\":4,"
		"\"pid\":12,\"comm\":\"re\\u001B\",\"rate\":2.25,\"at\":\"0xabc\",\"none\":null,"
		"\"name\":null,\"yes\":true,\"cause\":{\"first "
		"touch\":2000,\"bad\xef\xbf\xbd\":1}}\n");
	capture_close(&k);
}

static void test_text(void **state)
{
	struct view_record first = record("Top 2 rows"), second = record(NULL);
	struct capture k;
	const char *line;

	(void)state;
	capture_open(&k, (struct view_config){0});
	assert_int_equal(view_record(k.v, &first), 0);
	assert_int_equal(view_record(k.v, &second), 0);
	fflush(k.c.out);
	line = strchr(k.out, ']');
	assert_non_null(line);
	assert_string_equal(line, "] Top 2 rows:\n"
				  "    PID COMM    RATE AT     NONE NAME\n"
				  "     12 re\xef\xbf\xbd      2.2 0xabc     - -\n"
				  "     12 re\xef\xbf\xbd      2.2 0xabc     - -\n");
	capture_close(&k);
}

static void test_stack_and_losses(void **state)
{
	struct view_record r = record(NULL);
	struct view_report losses = test_report(2);
	struct capture k;

	(void)state;
	r.n_fields = 1;
	r.has_stack = true;
	r.frames = test_frames + 1;
	r.n_frames = 1;
	r.status = STACK_DEPTH;
	capture_open(&k, (struct view_config){0});
	assert_int_equal(view_record(k.v, &r), 0);
	assert_int_equal(view_losses(k.v, &losses), 0);
	assert_string_equal(k.out, "     12\n"
				   "\t\tmake;leak(int)+0x1f [victim] (victim.c:12)\n"
				   "\t\t(stack incomplete: deeper than --max-frames)\n"
				   "LOST 3: no room for a stack; cure: raise --max-stacks\n");
	capture_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_stack_and_losses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
