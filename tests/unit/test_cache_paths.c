/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of files from the components the kernel told; the source is compiled in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cache_paths.c"

static const struct cache_key nowhere = {.id = 7, .dev = 4095u << 20 | 5};

/* Adds a file with these components; the record's length may lie. */
static void take(struct cache_paths *p, const char *names, uint32_t len, size_t record,
		 uint32_t cut)
{
	struct cache_path_event e = {.key = nowhere, .len = len, .cut = cut, .mode = S_IFREG};

	memcpy(e.names, names, len);
	assert_int_equal(cache_paths_take(p, &e, record), 0);
}

static void expect(const char *names, uint32_t len, uint32_t cut, const char *want)
{
	struct cache_paths *p = cache_paths_new();
	_cleanup_free_ char *got = NULL;

	take(p, names, len, CACHE_PATH_HEADER + len, cut);
	got = cache_paths_find(p, &nowhere);
	assert_string_equal(got, want);
	cache_paths_free(p);
}

static void test_names(void **state)
{
	(void)state;
	expect("c\0b\0a", 6, 0, "[4095:5]/a/b/c");
	expect("file", 5, 0, "[4095:5]/file");
	expect("c\0b", 4, 1, "[4095:5].../b/c");
	expect("", 0, 0, "[4095:5]:7 (unlinked)");
}

static void test_short_records(void **state)
{
	struct cache_paths *p = cache_paths_new();
	_cleanup_free_ char *got = NULL;

	(void)state;
	take(p, "abc\0de", 7, CACHE_PATH_HEADER + 2, 0);
	got = cache_paths_find(p, &nowhere);
	assert_string_equal(got, "[4095:5]/ab");
	take(p, "abc", 4, 3, 0);
	cache_paths_free(p);
}

static void test_unknown(void **state)
{
	struct cache_paths *p = cache_paths_new();
	_cleanup_free_ char *got = cache_paths_find(p, &nowhere);

	(void)state;
	assert_string_equal(got, "[4095:5]:7");
	cache_paths_free(p);
}

static void expect_mount(const char *root, const char *at, const char *path, const char *want)
{
	_cleanup_free_ char *got = mount_path(root, at, path);

	if (want)
		assert_string_equal(got, want);
	else
		assert_null(got);
}

/* A bind mount shows only what is below its root. */
static void test_mounts(void **state)
{
	(void)state;
	expect_mount("/", "/", "/etc/x", "/etc/x");
	expect_mount("/", "/mnt", "/etc/x", "/mnt/etc/x");
	expect_mount("/sub", "/mnt", "/sub/x", "/mnt/x");
	expect_mount("/sub", "/mnt", "/subway/x", NULL);
	expect_mount("/sub/file", "/etc/hosts", "/sub/file", "/etc/hosts");
	expect_mount("/other", "/mnt", "/sub/x", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_short_records),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_mounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
