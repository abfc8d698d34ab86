/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of `memtally resident`: defaults, mistakes, its manual. Runs in the top directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "resident_opts.c"
#include "opts_manual.h"

static int parse(const char *a, const char *b, struct resident_opts *o)
{
	const char *argv[] = {"resident", a, b, NULL};
	_cleanup_free_ char *msg = NULL;
	int argc = 1, err;

	while (argv[argc])
		argc++;
	err = opts_parse(&resident_spec, argc, (char **)argv, o, &msg);
	if (err)
		assert_non_null(msg);
	return err;
}

static void test_defaults(void **state)
{
	struct resident_opts o;

	(void)state;
	assert_int_equal(parse("a", "b", &o), 0);
	assert_int_equal(o.common.top, 20);
	assert_int_equal(o.common.sort, 0);
	assert_int_equal(o.files.n, 2);
	assert_false(o.map);
	opts_deinit(&resident_spec, &o);
}

static void test_mistakes(void **state)
{
	struct resident_opts o;

	(void)state;
	assert_int_equal(parse("-p1", "file", &o), -EINVAL);
	assert_int_equal(parse("--sort=age", NULL, &o), -EINVAL);
	assert_int_equal(parse("--top=0", NULL, &o), -EINVAL);
}

static void test_manual(void **state)
{
	struct resident_opts o = {.map = false};

	(void)state;
	assert_manual_is_true(&resident_spec, &o, "docs/memtally-resident.1", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
