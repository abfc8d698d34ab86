/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of `memtally kmem` against its manual: names, defaults and words must not
 * drift. Runs in the top directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "cmd_kmem_opts.c"
#include "opts_manual.h"

#define MANUAL "docs/memtally-kmem.1"

static int parse(const char *a, const char *b, const char *c, struct kmem_opts *o)
{
	const char *argv[] = {"kmem", a, b, c, NULL};
	_cleanup_free_ char *msg = NULL;
	int argc = 1;

	while (argv[argc])
		argc++;
	return opts_parse(&kmem_spec, argc, (char **)argv, o, &msg);
}

static void test_defaults(void **state)
{
	struct kmem_opts o;

	(void)state;
	assert_int_equal(parse(NULL, NULL, NULL, &o), 0);
	assert_int_equal(o.what, WHAT_DEFAULT);
	assert_int_equal(o.sample, 16);
	assert_int_equal(o.max_stacks, 16384);
	assert_int_equal(o.common.by, KMEM_BY_STACK);
	assert_false(o.full || o.watch || o.account || o.no_check);
	opts_deinit(&kmem_spec, &o);
}

static void test_word_comes_first_or_not_at_all(void **state)
{
	struct kmem_opts o;

	(void)state;
	assert_int_equal(parse("percpu", "2", "3", &o), 0);
	assert_int_equal(o.what, WHAT_PERCPU);
	assert_int_equal(o.common.interval_ns, 2000000000);
	assert_int_equal(o.common.count, 3);
	opts_deinit(&kmem_spec, &o);
	assert_int_equal(parse("all", "--by=site", "--sort=rate", &o), 0);
	assert_int_equal(o.what, WHAT_ALL);
	assert_int_equal(o.common.by, KMEM_BY_SITE);
	opts_deinit(&kmem_spec, &o);
	assert_int_equal(parse("2", "slab", NULL, &o), -EINVAL);
	assert_int_equal(parse("slab", "slab", NULL, &o), -EINVAL);
	assert_int_equal(parse("slabs", NULL, NULL, &o), -EINVAL);
}

static void test_rules(void **state)
{
	struct kmem_opts o;

	(void)state;
	assert_int_equal(parse("--full", "--watch", NULL, &o), -EINVAL);
	assert_int_equal(parse("--account", "--watch", NULL, &o), -EINVAL);
	assert_int_equal(parse("-p1", "--cgroup=/x", NULL, &o), -EINVAL);
	assert_int_equal(parse("-s", "24", NULL, &o), -EINVAL);
	assert_int_equal(parse("pages", "--cache=dentry", NULL, &o), -EINVAL);
	assert_int_equal(parse("-a", "--by=cache", NULL, &o), -EINVAL);
	assert_int_equal(parse("--user-stack", "--by=site", NULL, &o), -EINVAL);
	assert_int_equal(parse("--user-stack", "--watch", NULL, &o), -EINVAL);
	assert_int_equal(parse("-z2", "-Z1", NULL, &o), -EINVAL);
	assert_int_equal(parse("--folded=-", "--by=process", NULL, &o), -EINVAL);
	assert_int_equal(parse("slab", "--cache=dentry", "-s64", &o), 0);
	opts_deinit(&kmem_spec, &o);
}

static void test_manual(void **state)
{
	_cleanup_free_ char *manual = NULL;
	struct kmem_opts o = {0};

	(void)state;
	assert_manual_is_true(&kmem_spec, &o, MANUAL, false);
	assert_int_equal(read_file(MANUAL, &manual, NULL), 0);
	for (size_t i = 0; what_words[i]; i++)
		assert_non_null(strstr(manual, what_words[i]));
}

static void test_help_shows_the_word(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_int_equal(opts_help(&kmem_spec, f), 0);
	fclose(f);
	assert_non_null(strstr(text, " [default|slab|pages|vmalloc|percpu|all] [INTERVAL"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_word_comes_first_or_not_at_all),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_help_shows_the_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
