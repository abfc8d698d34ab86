/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of `memtally cachestat` and `cachetop`: defaults, words, targets, and the manual
 * that they share. Runs in the top directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cache_opts.c"
#include "opts_manual.h"

#define MANUAL "docs/memtally-cachestat.1"

static int parse(const struct opts_spec *s, const char *a, const char *b, struct cache_opts *o)
{
	const char *argv[] = {s->command, a, b, NULL};
	_cleanup_free_ char *msg = NULL;
	int argc = 1, err;

	while (argv[argc])
		argc++;
	err = opts_parse(s, argc, (char **)argv, o, &msg);
	if (err)
		assert_non_null(msg);
	return err;
}

static void test_defaults(void **state)
{
	struct cache_opts o;

	(void)state;
	assert_int_equal(parse(&cachestat_spec, NULL, NULL, &o), 0);
	assert_int_equal(o.common.by, CACHE_BY_TOTAL);
	assert_int_equal(o.common.sort, CACHE_SORT_ACCESSES);
	assert_int_equal(o.common.top, 20);
	assert_int_equal(o.method, CACHE_METHOD_AUTO);
	assert_false(o.timestamps);
	opts_deinit(&cachestat_spec, &o);
	assert_int_equal(parse(&cachetop_spec, NULL, NULL, &o), 0);
	assert_int_equal(o.common.by, CACHE_BY_PROCESS);
	opts_deinit(&cachetop_spec, &o);
}

/* -T is a time for cachestat's users and a number of rows for cachetop's. */
static void test_short_t(void **state)
{
	struct cache_opts o;

	(void)state;
	assert_int_equal(parse(&cachestat_spec, "-T", "0.5", &o), 0);
	assert_true(o.timestamps);
	assert_int_equal(o.common.interval_ns, 500000000);
	opts_deinit(&cachestat_spec, &o);
	assert_int_equal(parse(&cachetop_spec, "-T", "5", &o), 0);
	assert_int_equal(o.common.top, 5);
	opts_deinit(&cachetop_spec, &o);
}

static void test_words_match_enums(void **state)
{
	struct cache_opts o;

	(void)state;
	assert_int_equal(parse(&cachestat_spec, "--by=cgroup", "--sort=direct", &o), 0);
	assert_int_equal(o.common.by, CACHE_BY_CGROUP);
	assert_int_equal(o.common.sort, CACHE_SORT_DIRECT);
	opts_deinit(&cachestat_spec, &o);
	assert_int_equal(parse(&cachestat_spec, "--by=file", "--method=tracepoints", &o), 0);
	assert_int_equal(o.common.by, CACHE_BY_FILE);
	assert_int_equal(o.method, CACHE_METHOD_TRACEPOINTS);
	opts_deinit(&cachestat_spec, &o);
}

static void test_mistakes(void **state)
{
	struct cache_opts o;

	(void)state;
	assert_int_equal(parse(&cachestat_spec, "-p1", "--all", &o), -EINVAL);
	assert_int_equal(parse(&cachetop_spec, "--by=total", NULL, &o), -EINVAL);
	assert_int_equal(parse(&cachestat_spec, "--by=inode", NULL, &o), -EINVAL);
	assert_int_equal(parse(&cachestat_spec, "--folded=x", NULL, &o), -EINVAL);
}

static void test_manual(void **state)
{
	struct cache_opts o = {.timestamps = false};

	(void)state;
	assert_manual_of_two(&cachestat_spec, &cachetop_spec, &o, MANUAL, true);
	assert_manual_of_two(&cachetop_spec, &cachestat_spec, &o, MANUAL, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_short_t),
		cmocka_unit_test(test_words_match_enums),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
