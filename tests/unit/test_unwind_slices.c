/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slices of the mappings array: shared, given back, and reused only after a wait. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "trace/slices.h"

#define MAX_ELEMENTS 100

static struct unwind_mapping array[MAX_ELEMENTS];
static struct unwind_mapping content[MAX_ELEMENTS];

static struct slices make(void)
{
	memset(array, 0, sizeof(array));
	return (struct slices){.array = array, .max = MAX_ELEMENTS};
}

/* n mappings that differ by seed. */
static const struct unwind_mapping *mappings(uint32_t seed, size_t n)
{
	for (size_t i = 0; i < n; i++)
		content[i] = (struct unwind_mapping){
			.start = seed * 0x100000ULL + i * 0x1000,
			.end = seed * 0x100000ULL + i * 0x1000 + 0x1000,
			.block = seed,
		};
	return content;
}

static void test_same_content_is_shared(void **state)
{
	struct slices s = make();
	struct unwind_slice a, b, c;

	(void)state;
	assert_int_equal(slices_get(&s, mappings(1, 10), 10, &a), 0);
	assert_int_equal(slices_get(&s, mappings(2, 10), 10, &b), 0);
	assert_int_equal(slices_get(&s, mappings(1, 10), 10, &c), 0);
	assert_memory_equal(&a, &c, sizeof(a));
	assert_int_not_equal(a.lo, b.lo);
	assert_int_equal(s.used, 20);
	assert_true(slices_equal(&s, &a, mappings(1, 10), 10));
	assert_false(slices_equal(&s, &a, mappings(1, 10), 9));
	assert_false(slices_equal(&s, &a, mappings(2, 10), 10));

	slices_put(&s, &a); /* c still holds it */
	assert_int_equal(slices_get(&s, mappings(1, 10), 10, &a), 0);
	assert_memory_equal(&a, &c, sizeof(a));
	slices_deinit(&s);
}

static void test_given_back_is_not_reused_at_once(void **state)
{
	struct slices s = make();
	struct unwind_slice a, b;

	(void)state;
	assert_int_equal(slices_get(&s, mappings(1, 40), 40, &a), 0);
	slices_put(&s, &a);
	assert_int_equal(slices_get(&s, mappings(2, 40), 40, &b), 0);
	assert_int_not_equal(a.lo, b.lo);
	assert_memory_equal(array + a.lo, mappings(1, 40), 40 * sizeof(*array));
	/* not revived either: a new slice with the old content gets a place of its own */
	slices_put(&s, &b);
	assert_int_equal(slices_get(&s, mappings(1, 20), 20, &b), 0);
	assert_int_not_equal(a.lo, b.lo);
	slices_deinit(&s);
}

static void test_full(void **state)
{
	struct slices s = make();
	struct unwind_slice a, b, c = {7, 7};

	(void)state;
	assert_int_equal(slices_get(&s, mappings(1, 60), 60, &a), 0);
	assert_int_equal(slices_get(&s, mappings(2, 40), 40, &b), 0);
	assert_int_equal(slices_get(&s, mappings(3, 1), 1, &c), -ENOSPC);
	assert_int_equal(c.lo, 7); /* untouched */
	assert_int_equal(slices_get(&s, mappings(0, 0), 0, &c), 0);
	assert_int_equal(c.n, 0);
	slices_put(&s, &c); /* nothing to give back */
	assert_int_equal(s.used, 100);

	slices_put(&s, &a);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		print_message("reuse after a grace period skipped: one CPU\n");
	} else {
		assert_int_equal(slices_get(&s, mappings(3, 59), 59, &c), 0);
		assert_int_equal(c.lo, 0);
		assert_memory_equal(array + b.lo, mappings(2, 40), 40 * sizeof(*array));
	}
	slices_deinit(&s);
}

/* Gaps of all sizes: no slice ever overlaps a live one. */
static void test_churn(void **state)
{
	struct slices s = make();
	struct unwind_slice live[8] = {0};
	uint32_t seed[8] = {0};

	(void)state;
	for (uint32_t i = 1; i < 400; i++) {
		size_t k = i * 7 % ARRAY_SIZE(live), n = 1 + i * 13 % 9;

		slices_put(&s, &live[k]);
		assert_int_equal(slices_get(&s, mappings(i, n), n, &live[k]), 0);
		seed[k] = i;
		for (size_t j = 0; j < ARRAY_SIZE(live); j++)
			assert_true(slices_equal(&s, &live[j], mappings(seed[j], live[j].n),
						 live[j].n));
	}
	slices_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_content_is_shared),
		cmocka_unit_test(test_given_back_is_not_reused_at_once),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_churn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
