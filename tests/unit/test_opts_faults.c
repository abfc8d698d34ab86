/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of `memtally faults`: defaults, rules, and its manual, which refers to
 * memtally(1) for what all commands have. Runs in the top directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "faults_opts.c"
#include "opts_manual.h"

#define MANUAL "docs/memtally-faults.1"

static int parse(const char *a, const char *b, const char *c, struct faults_opts *o)
{
	const char *argv[] = {"faults", a, b, c, NULL};
	_cleanup_free_ char *msg = NULL;
	int argc = 1, err;

	while (argv[argc])
		argc++;
	err = opts_parse(&faults_spec, argc, (char **)argv, o, &msg);
	assert_int_equal(!err, !msg);
	return err;
}

static void test_defaults(void **state)
{
	struct faults_opts o;

	(void)state;
	assert_int_equal(parse(NULL, NULL, NULL, &o), 0);
	assert_string_equal(o.by, "process");
	assert_int_equal(o.detail, FAULTS_DETAIL_FULL);
	assert_int_equal(o.common.sort, FAULTS_SORT_COUNT);
	assert_int_equal(o.range_bytes, 2 << 20);
	assert_int_equal(o.sample, 1);
	assert_int_equal(o.max_rows, 65536);
	assert_false(o.major || o.minor || o.hist || o.bad || o.rss);
	opts_deinit(&faults_spec, &o);
}

static void test_rules(void **state)
{
	struct faults_opts o;

	(void)state;
	assert_int_equal(parse("--bad", "--rss", NULL, &o), -EINVAL);
	assert_int_equal(parse("--detail=count", "--hist", NULL, &o), -EINVAL);
	assert_int_equal(parse("--detail=time", "--by=cause", NULL, &o), -EINVAL);
	assert_int_equal(parse("--detail=count", "--sort=time", NULL, &o), -EINVAL);
	assert_int_equal(parse("--sample=2", NULL, NULL, &o), -EINVAL);
	assert_int_equal(parse("--rss", "--sample=3", NULL, &o), -EINVAL);
	assert_int_equal(parse("--range-size=5000", NULL, NULL, &o), -EINVAL);
	assert_int_equal(parse("--folded=x", NULL, NULL, &o), -EINVAL);
	assert_int_equal(parse("-p1", "--all", NULL, &o), -EINVAL);
	assert_int_equal(parse("--by=process,", NULL, NULL, &o), -EINVAL);
}

static void test_views(void **state)
{
	_cleanup_free_ char *msg = NULL;
	unsigned int by = 0;

	(void)state;
	assert_int_equal(faults_views_parse("mapping,cause", &by, &msg), 0);
	assert_int_equal(by, FAULTS_BY_MAPPING | FAULTS_BY_CAUSE);
	assert_int_equal(faults_views_parse("address-range", &by, &msg), 0);
	assert_int_equal(by, FAULTS_BY_RANGE);
	assert_int_equal(faults_views_parse("map", &by, &msg), -EINVAL);
	assert_non_null(strstr(msg, "'map'"));
	assert_int_equal(by, FAULTS_BY_RANGE);
}

static void test_manual(void **state)
{
	_cleanup_free_ char *manual = NULL;
	struct faults_opts o = {0};

	(void)state;
	assert_manual_is_true(&faults_spec, &o, MANUAL, true);
	assert_int_equal(read_file(MANUAL, &manual, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(views); i++)
		assert_non_null(strstr(manual, views[i].word));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
