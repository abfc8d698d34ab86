/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The live table without a terminal: rows, order, filter, keys, what text becomes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <string.h>

#include "view/live_keys.h"
#include "view/live_text.h"

static void add(struct live_table *t, uint64_t pid, const char *name, uint64_t hits, double ratio)
{
	const struct view_field fields[] = {
		{.key = "pid", .kind = VIEW_COUNT, .n = pid, .title = "PID"},
		{.key = "hidden", .kind = VIEW_COUNT, .n = 99},
		{.key = "comm", .kind = VIEW_WORD, .word = name, .title = "CMD"},
		{.key = "hits", .kind = VIEW_SIGNED, .n = hits, .title = "HITS"},
		{.key = "ratio", .kind = VIEW_RATIO, .real = ratio, .title = "HIT%"},
		{.key = "direct", .kind = VIEW_BYTES, .n = hits * 1024, .title = "DIRECT"},
	};

	assert_int_equal(live_table_add(t, &(struct view_record){.fields = fields,
								 .n_fields = ARRAY_SIZE(fields),
								 .headline = "head"}),
			 0);
}

static void fill(struct live_table *t)
{
	add(t, 10, "postgres", 5, 0.5);
	add(t, 9, "dd", 70, -1);
	add(t, 300, "Redis", (uint64_t)-2, 1);
}

/* The pids shown, in order. */
static void expect(struct live_table *t, int column, bool reverse, const char *filter,
		   const char *want)
{
	char got[64] = "";

	assert_int_equal(live_table_arrange(t, &(struct live_order){column, reverse, filter}), 0);
	for (size_t i = 0; i < t->n_shown; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
			 live_table_text(t, t->shown[i], 0));
	assert_string_equal(got, want);
}

static void test_order(void **state)
{
	struct live_table t = {0};

	(void)state;
	fill(&t);
	assert_int_equal(t.n_columns, 5);
	expect(&t, -1, false, "", "10 9 300");
	expect(&t, -1, true, "", "300 9 10");
	expect(&t, 0, false, "", "300 10 9"); /* as numbers */
	expect(&t, 1, false, "", "300 9 10"); /* words, by the alphabet */
	expect(&t, 2, false, "", "9 10 300"); /* -2 is the smallest */
	expect(&t, 3, false, "", "300 10 9"); /* no ratio is least */
	expect(&t, 3, true, "", "9 10 300");
	live_table_deinit(&t);
}

static void test_filter(void **state)
{
	struct live_table t = {0};

	(void)state;
	fill(&t);
	expect(&t, 0, false, "re", "300 10"); /* postgRES, REdis: case ignored */
	expect(&t, 0, false, "50.00%", "10");
	expect(&t, 0, false, "nothing", "");
	expect(&t, 0, false, "99", ""); /* what is not shown is not found */
	live_table_clear(&t);
	expect(&t, 0, false, "", "");
	add(&t, 1, "x", 1, 1);
	expect(&t, 4, false, "", "1");
	live_table_deinit(&t);
}

static void test_cells(void **state)
{
	struct live_table t = {0};

	(void)state;
	fill(&t);
	assert_string_equal(live_table_text(&t, 1, 3), "-");
	assert_string_equal(live_table_text(&t, 2, 2), "-2");
	assert_string_equal(live_table_text(&t, 1, 4), "70.0K");
	assert_int_equal(t.columns[1].width, strlen("postgres"));
	assert_true(t.columns[1].left && !t.columns[2].left);
	assert_int_equal(live_table_column(&t, "HITS"), 2);
	assert_int_equal(live_table_column(&t, "NONE"), -1);
	assert_int_equal(live_table_column(&t, NULL), -1);
	live_table_deinit(&t);
}

/* ---- keys ---- */

static enum live_action type(struct live_ui *u, const struct live_table *t, const char *keys)
{
	enum live_action action = LIVE_NOTHING;

	for (; *keys; keys++)
		action = live_key(u, t, *keys);
	return action;
}

static void test_keys(void **state)
{
	struct live_table t = {0};
	struct live_ui u = {.sort = -1, .interval_ns = 1000000000};

	(void)state;
	fill(&t);
	type(&u, &t, ">");
	assert_int_equal(u.sort, 0);
	type(&u, &t, "<");
	assert_int_equal(u.sort, 4);
	type(&u, &t, ">>");
	assert_int_equal(u.sort, 1);
	type(&u, &t, "rp");
	assert_true(u.reverse && u.paused);
	type(&u, &t, "R ");
	assert_false(u.reverse || u.paused);
	type(&u, &t, "h");
	assert_int_equal(u.mode, LIVE_HELP);
	assert_int_equal(type(&u, &t, "x"), LIVE_NOTHING);
	assert_int_equal(u.mode, LIVE_TABLE);
	assert_int_equal(type(&u, &t, "hq"), LIVE_QUIT);
	assert_int_equal(type(&u, &t, "q"), LIVE_QUIT);
	assert_int_equal(type(&u, &t, "\003"), LIVE_QUIT);
	live_table_deinit(&t);
}

static void test_filter_typed(void **state)
{
	struct live_table t = {0};
	struct live_ui u = {.sort = -1, .first_row = 1, .page = 1};

	(void)state;
	fill(&t);
	type(&u, &t, "/qx\177d\r");
	assert_string_equal(u.filter, "qd");
	assert_int_equal(u.first_row, 0);
	type(&u, &t, "/other\033");
	assert_string_equal(u.filter, "qd");
	type(&u, &t, "/");
	live_key(&u, &t, 0xe9);
	live_key(&u, &t, 0x20ac);
	live_key(&u, &t, 0x1f600);
	live_key(&u, &t, -KEY_BACKSPACE);
	live_key(&u, &t, -KEY_ENTER);
	assert_string_equal(u.filter, "\xc3\xa9\xe2\x82\xac");
	type(&u, &t, "=");
	assert_string_equal(u.filter, "");
	type(&u, &t, "/");
	for (int i = 0; i < 100; i++)
		live_key(&u, &t, 0x20ac);
	live_key(&u, &t, '\n');
	assert_int_equal(strlen(u.filter), 63);
	live_table_deinit(&t);
}

static void test_interval_typed(void **state)
{
	struct live_table t = {0};
	struct live_ui u = {.sort = -1, .interval_ns = 7};

	(void)state;
	assert_int_equal(type(&u, &t, "d0.25\r"), LIVE_INTERVAL);
	assert_int_equal(u.interval_ns, 250000000);
	assert_int_equal(type(&u, &t, "d\r"), LIVE_NOTHING);
	assert_string_equal(u.message, "");
	assert_int_equal(type(&u, &t, "s0.01\r"), LIVE_NOTHING);
	assert_string_equal(u.message, "'0.01': not 0.1 to 3600 seconds");
	assert_int_equal(type(&u, &t, "sx\r"), LIVE_NOTHING);
	assert_int_equal(u.interval_ns, 250000000);
	type(&u, &t, "p");
	assert_string_equal(u.message, "");
	live_table_deinit(&t);
}

static void test_scrolling(void **state)
{
	struct live_table t = {0};
	struct live_ui u = {.sort = -1, .page = 3};

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		add(&t, i, "x", i, 1);
	expect(&t, -1, false, "", "0 1 2 3 4 5 6 7 8 9");
	live_key(&u, &t, -KEY_UP);
	assert_int_equal(u.first_row, 0);
	live_key(&u, &t, -KEY_NPAGE);
	live_key(&u, &t, 'j');
	assert_int_equal(u.first_row, 4);
	live_key(&u, &t, -KEY_END);
	assert_int_equal(u.first_row, 7);
	live_key(&u, &t, -KEY_DOWN);
	assert_int_equal(u.first_row, 7);
	live_key(&u, &t, -KEY_PPAGE);
	live_key(&u, &t, 'k');
	assert_int_equal(u.first_row, 3);
	for (int i = 0; i < 9; i++)
		live_key(&u, &t, -KEY_RIGHT);
	assert_int_equal(u.first_column, 4);
	live_key(&u, &t, -KEY_LEFT);
	assert_int_equal(u.first_column, 3);
	live_table_clear(&t);
	u.first_row = 3;
	live_scroll_limit(&u, &t);
	assert_int_equal(u.first_row, 0);
	live_table_deinit(&t);
}

/* ---- text ---- */

static void fits(const char *s, size_t columns, const wchar_t *want, size_t used)
{
	wchar_t got[64];

	assert_int_equal(live_text_fit(s, columns, got, ARRAY_SIZE(got)), used);
	if (wcscmp(got, want) != 0)
		fail_msg("'%s' in %zu columns: '%ls', want '%ls'", s, columns, got, want);
}

static void test_text(void **state)
{
	(void)state;
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		skip();
	fits("abc", 3, L"abc", 3);
	fits("abc", 10, L"abc", 3);
	fits("abcd", 3, L"ab+", 3);
	fits("abc", 1, L"+", 1);
	fits("abc", 0, L"", 0);
	fits("", 5, L"", 0);
	/* never a control character: C0, DEL, C1, line and paragraph ends */
	fits("a\x1b[31m\n\x7f", 20, L"a\xfffd[31m\xfffd\xfffd", 8);
	fits("\xc2\x9b"
	     "5n\xe2\x80\xa8",
	     20,
	     L"\xfffd"
	     L"5n\xfffd",
	     4);
	/* direction marks, joiners, BOM, tags */
	fits("a\xe2\x80\xae"
	     "b\xe2\x80\x8b\xef\xbb\xbf\xf3\xa0\x80\xa1",
	     20,
	     L"a\xfffd"
	     L"b\xfffd\xfffd\xfffd",
	     6);
	/* ill-formed */
	fits("\xff\xc3(", 20, L"\xfffd\xfffd(", 3);
	/* wide characters are never cut in two */
	fits("\xe4\xb8\xad\xe6\x96\x87", 4, L"\x4e2d\x6587", 4);
	fits("\xe4\xb8\xad\xe6\x96\x87", 3, L"\x4e2d+", 3);
	fits("\xe4\xb8\xad\xe6\x96\x87", 2, L"+", 1);
	/* an accent of its own takes no column */
	fits("e\xcc\x81x", 2, L"e\x301x", 2);
	assert_int_equal(live_text_width("e\xcc\x81\xe4\xb8\xad\x1b"), 4);
	assert_int_equal(live_text_width(""), 0);
}

static void test_text_room(void **state)
{
	char s[200];
	wchar_t got[64];

	(void)state;
	memset(s, 'x', sizeof(s) - 1);
	s[sizeof(s) - 1] = '\0';
	assert_true(live_text_fit(s, 150, got, ARRAY_SIZE(got)) < ARRAY_SIZE(got));
	assert_true(wcslen(got) < ARRAY_SIZE(got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),	     cmocka_unit_test(test_filter),
		cmocka_unit_test(test_cells),	     cmocka_unit_test(test_keys),
		cmocka_unit_test(test_filter_typed), cmocka_unit_test(test_interval_typed),
		cmocka_unit_test(test_scrolling),    cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_room),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
