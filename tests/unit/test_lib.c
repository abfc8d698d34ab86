/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/caps.h"
#include "lib/lib.h"

/* What a failed parse must leave alone. */
#define UNTOUCHED 0x5a5a5a5a5a5a5a5aULL

struct number_case {
	const char *text;
	int err;
	uint64_t value;
};

static void numbers(int (*parse)(const char *, uint64_t *), const struct number_case *cases,
		    size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t got = UNTOUCHED, want = cases[i].err ? UNTOUCHED : cases[i].value;
		int err = parse(cases[i].text, &got);

		if (err != cases[i].err || got != want)
			fail_msg("'%s': %d %llu", cases[i].text ? cases[i].text : "NULL", err,
				 (unsigned long long)got);
	}
}

static int parse_any(const char *s, uint64_t *ret)
{
	return parse_u64(s, 0, UINT64_MAX, ret);
}

static int parse_3_to_9(const char *s, uint64_t *ret)
{
	return parse_u64(s, 3, 9, ret);
}

static void test_u64(void **state)
{
	static const struct number_case any[] = {
		{"0", 0, 0},
		{"007", 0, 7},
		{"0x1F", 0, 31},
		{"0Xff", 0, 255},
		{"18446744073709551615", 0, UINT64_MAX},
		{"0xffffffffffffffff", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"0x10000000000000000", -ERANGE, 0},
		{NULL, -EINVAL, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"1x", -EINVAL, 0},
		{"0x", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
	};
	static const struct number_case bounded[] = {
		{"2", -ERANGE, 0}, {"3", 0, 3}, {"9", 0, 9}, {"10", -ERANGE, 0}};

	(void)state;
	numbers(parse_any, any, ARRAY_SIZE(any));
	numbers(parse_3_to_9, bounded, ARRAY_SIZE(bounded));
}

static void test_size(void **state)
{
	static const struct number_case cases[] = {
		{"0", 0, 0},
		{"4096", 0, 4096},
		{"0x1000", 0, 4096},
		{"1K", 0, 1 << 10},
		{"1k", 0, 1 << 10},
		{"3M", 0, 3 << 20},
		{"2G", 0, 2ULL << 30},
		{"16777215T", 0, 16777215ULL << 40},
		{"16777216T", -ERANGE, 0},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551615K", -ERANGE, 0},
		{"99999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{NULL, -EINVAL, 0},
		{"K", -EINVAL, 0},
		{"1.5K", -EINVAL, 0},
		{"1KB", -EINVAL, 0},
		{"1 K", -EINVAL, 0},
		{"12x", -EINVAL, 0},
		{"-1K", -EINVAL, 0},
		{"0x1K", -EINVAL, 0},
		{"00000000000000000000000000000000001", -EINVAL, 0},
	};

	(void)state;
	numbers(parse_size, cases, ARRAY_SIZE(cases));
}

static void test_seconds(void **state)
{
	static const struct number_case cases[] = {
		{"0", 0, 0},
		{"1", 0, 1000000000},
		{"0.25", 0, 250000000},
		{"0.000000001", 0, 1},
		{"0.0000000019", 0, 1},
		{"1.999999999", 0, 1999999999},
		{"316224000", 0, 316224000ULL * 1000000000},
		{"316224001", -ERANGE, 0},
		{"99999999999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{NULL, -EINVAL, 0},
		{".5", -EINVAL, 0},
		{"1.", -EINVAL, 0},
		{"1.5.5", -EINVAL, 0},
		{"1,5", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"1s", -EINVAL, 0},
		{"nan", -EINVAL, 0},
	};

	(void)state;
	numbers(parse_seconds, cases, ARRAY_SIZE(cases));
}

static void test_pids(void **state)
{
	static const struct {
		const char *text;
		int err;
	} bad[] = {
		{"", -EINVAL},	 {NULL, -EINVAL},   {",", -EINVAL},   {"1,", -EINVAL},
		{",1", -EINVAL}, {"1,,2", -EINVAL}, {"1 2", -EINVAL}, {"self", -EINVAL},
		{"0", -ERANGE},	 {"1,0", -ERANGE},  {"-1", -EINVAL},  {"2147483648", -ERANGE},
	};
	_cleanup_free_ int *pids = NULL;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_pids(bad[i].text, &pids, &n), bad[i].err);
		assert_null(pids);
		assert_int_equal(n, 0);
	}
	assert_int_equal(parse_pids("1,2147483647,42", &pids, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(pids[0], 1);
	assert_int_equal(pids[1], 2147483647);
	assert_int_equal(pids[2], 42);
}

static void test_array(void **state)
{
	_cleanup_free_ uint64_t *v = NULL;
	size_t cap = 0;

	(void)state;
	assert_int_equal(array_reserve(&v, &cap, 1, sizeof(*v)), 0);
	assert_true(cap >= 1);
	v[0] = 7;
	assert_int_equal(array_reserve(&v, &cap, 1000, sizeof(*v)), 0);
	assert_true(cap >= 1000);
	v[999] = 8;
	assert_int_equal(v[0], 7);
	assert_int_equal(array_reserve(&v, &cap, SIZE_MAX, sizeof(*v)), -EOVERFLOW);
	assert_int_equal(array_reserve(&v, &cap, SIZE_MAX / 4, sizeof(*v)), -EOVERFLOW);
	assert_int_equal(v[0], 7);
}

static void test_errno_name(void **state)
{
	(void)state;
	assert_string_equal(errno_name(ENOENT), "ENOENT");
	assert_string_equal(errno_name(-ENOENT), "ENOENT");
	assert_string_equal(errno_name(99999), "unknown error");
}

static void test_read_file(void **state)
{
	_cleanup_free_ char *text = NULL;
	char path[] = "/tmp/test_lib_XXXXXX";
	_cleanup_close_ int fd = mkstemp(path);
	size_t len = 0;

	(void)state;
	assert_int_equal(read_file("/nonexistent", &text, &len), -ENOENT);
	assert_int_equal(read_file("/", &text, &len), -EISDIR);
	assert_null(text);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 100000), 0);
	assert_int_equal(pwrite(fd, "x", 1, 99999), 1);
	assert_int_equal(read_file(path, &text, &len), 0);
	unlink(path);
	assert_int_equal(len, 100000);
	assert_int_equal(text[99999], 'x');
	assert_int_equal(text[100000], 0);
}

static void test_caps(void **state)
{
	static const uint64_t bpf = 1ULL << 39, perfmon = 1ULL << 38, admin = 1ULL << 21,
			      ptrace = 1ULL << 19;
	char buf[64];
	uint64_t set;

	(void)state;
	assert_int_equal(caps_missing(~0ULL, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	assert_int_equal(caps_missing(admin | ptrace, buf, sizeof(buf)), 0);
	assert_int_equal(caps_missing(bpf | perfmon | ptrace, buf, sizeof(buf)), 0);
	assert_int_equal(caps_missing(bpf, buf, sizeof(buf)), 2);
	assert_string_equal(buf, "CAP_PERFMON, CAP_SYS_PTRACE");
	assert_int_equal(caps_missing(0, buf, 10), 3); /* too small a buffer: cut, not overrun */
	assert_string_equal(buf, "CAP_BPF, ");
	assert_int_equal(caps_effective(&set), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),	  cmocka_unit_test(test_size),
		cmocka_unit_test(test_seconds),	  cmocka_unit_test(test_pids),
		cmocka_unit_test(test_array),	  cmocka_unit_test(test_errno_name),
		cmocka_unit_test(test_read_file), cmocka_unit_test(test_caps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
