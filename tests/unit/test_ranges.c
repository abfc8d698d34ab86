/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "trace/ranges.h"

#define PAGE 4096ULL
#define BASE 0x7f0000000000ULL

static uint64_t at(uint64_t page)
{
	return BASE + page * PAGE;
}

/* Compares the table with {start page, end page, site} triples, ended by an empty one. */
static void assert_ranges(const struct ranges *r, const uint64_t (*want)[3])
{
	size_t n = 0;

	for (; want[n][1]; n++) {
		assert_true(n < ranges_count(r));
		assert_int_equal(ranges_at(r, n)->start, at(want[n][0]));
		assert_int_equal(ranges_at(r, n)->end, at(want[n][1]));
		assert_int_equal(ranges_at(r, n)->site, want[n][2]);
	}
	assert_int_equal(ranges_count(r), n);
}

static void test_partial_unmap(void **state)
{
	struct ranges *r = ranges_new();

	(void)state;
	assert_int_equal(ranges_map(r, at(0), 16 * PAGE, 7, 1), 0);
	assert_int_equal(ranges_unmap(r, 1, at(8), 8 * PAGE), 0); /* the upper half */
	assert_ranges(r, (uint64_t[][3]){{0, 8, 7}, {0}});
	assert_int_equal(ranges_unmap(r, 1, at(2), 1), 0); /* a hole; length rounds up */
	assert_ranges(r, (uint64_t[][3]){{0, 2, 7}, {3, 8, 7}, {0}});
	assert_int_equal(ranges_at(r, 1)->first, at(0)); /* still one allocation */
	ranges_free(r);
}

static void test_unmap_spans(void **state)
{
	struct ranges *r = ranges_new();

	(void)state;
	ranges_map(r, at(0), 4 * PAGE, 1, 1);
	ranges_map(r, at(4), 4 * PAGE, 2, 1);
	ranges_map(r, at(10), 4 * PAGE, 3, 1);
	assert_int_equal(ranges_unmap(r, 1, at(2), 10 * PAGE), 0);
	assert_ranges(r, (uint64_t[][3]){{0, 2, 1}, {12, 14, 3}, {0}});
	ranges_free(r);
}

static void test_fixed_overlay(void **state)
{
	struct ranges *r = ranges_new();

	(void)state;
	ranges_map(r, at(0), 10 * PAGE, 1, 1);
	ranges_map(r, at(4), 2 * PAGE, RANGE_UNCOUNTED, 2);
	assert_ranges(r, (uint64_t[][3]){{0, 4, 1}, {4, 6, 0}, {6, 10, 1}, {0}});
	ranges_map(r, at(0), 10 * PAGE, 3, 3);
	assert_ranges(r, (uint64_t[][3]){{0, 10, 3}, {0}});
	ranges_free(r);
}

static void test_failed_unmap_is_undone(void **state)
{
	struct ranges *r = ranges_new();

	(void)state;
	ranges_map(r, at(0), 10 * PAGE, 1, 1);
	ranges_unmap(r, 5, at(3), 2 * PAGE);
	ranges_undo(r, 6); /* another thread's failure is not ours */
	assert_ranges(r, (uint64_t[][3]){{0, 3, 1}, {5, 10, 1}, {0}});
	ranges_undo(r, 5);
	assert_ranges(r, (uint64_t[][3]){{0, 3, 1}, {3, 5, 1}, {5, 10, 1}, {0}});
	ranges_undo(r, 5); /* once only */
	assert_int_equal(ranges_count(r), 3);
	ranges_free(r);
}

static void test_invalid_unmap_changes_nothing(void **state)
{
	struct ranges *r = ranges_new();

	(void)state;
	ranges_map(r, at(0), 2 * PAGE, 1, 1);
	ranges_unmap(r, 1, at(0) + 1, PAGE);
	ranges_unmap(r, 1, at(0), 0);
	ranges_unmap(r, 1, at(0), UINT64_MAX);
	assert_ranges(r, (uint64_t[][3]){{0, 2, 1}, {0}});
	ranges_free(r);
}

static void test_remap_moves_and_charges_anew(void **state)
{
	struct ranges *r = ranges_new();

	(void)state;
	ranges_map(r, at(0), 2 * PAGE, 1, 1);
	ranges_unmap(r, 9, at(0), 2 * PAGE);
	ranges_remap(r, 9, at(50), 6 * PAGE, 2, 3);
	assert_ranges(r, (uint64_t[][3]){{50, 56, 2}, {0}});
	ranges_free(r);
}

static void test_remap_failed(void **state)
{
	struct ranges *r = ranges_new();

	(void)state;
	ranges_map(r, at(0), 2 * PAGE, 1, 1);
	ranges_unmap(r, 9, at(0), 2 * PAGE);
	ranges_undo(r, 9);
	assert_ranges(r, (uint64_t[][3]){{0, 2, 1}, {0}});
	ranges_free(r);
}

/* What was there before us, or is a file, grows by what it grew, wherever it goes. */
static void test_remap_of_uncounted(void **state)
{
	struct ranges *r = ranges_new();

	(void)state;
	ranges_map(r, at(0), 2 * PAGE, RANGE_UNCOUNTED, 0);
	ranges_unmap(r, 9, at(0), 2 * PAGE);
	ranges_remap(r, 9, at(50), 6 * PAGE, 2, 3);
	assert_ranges(r, (uint64_t[][3]){{50, 52, 0}, {52, 56, 2}, {0}});
	ranges_unmap(r, 9, at(50), 6 * PAGE);
	ranges_remap(r, 9, at(50), PAGE, 4, 3); /* shrunk into the uncounted part */
	assert_ranges(r, (uint64_t[][3]){{50, 51, 0}, {0}});
	ranges_free(r);
}

/* Random operations against one byte per page. */
static void test_against_model(void **state)
{
	enum { PAGES = 256 };
	uint8_t model[PAGES] = {0};
	struct ranges *r = ranges_new();
	uint32_t seed = 12345;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint64_t first, n;
		uint8_t site;

		seed = seed * 1664525 + 1013904223;
		first = seed >> 24;
		n = 1 + (seed >> 12 & 31);
		site = 1 + (seed >> 4 & 63);
		n = first + n > PAGES ? PAGES - first : n;
		if (seed >> 3 & 1) {
			assert_int_equal(ranges_map(r, at(first), n * PAGE, site, 1), 0);
			memset(model + first, site, n);
		} else {
			assert_int_equal(ranges_unmap(r, 1, at(first), n * PAGE), 0);
			if (seed >> 20 & 1)
				ranges_undo(r, 1);
			else
				memset(model + first, 0, n);
		}
	}
	for (size_t i = 0; i < ranges_count(r); i++) {
		const struct range *v = ranges_at(r, i);

		assert_true(!i || v[0].start >= ranges_at(r, i - 1)->end);
		for (uint64_t a = v->start; a < v->end; a += PAGE) {
			assert_int_equal(model[(a - BASE) / PAGE], v->site);
			model[(a - BASE) / PAGE] = 0;
		}
	}
	for (int i = 0; i < PAGES; i++)
		assert_int_equal(model[i], 0);
	ranges_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_partial_unmap),
		cmocka_unit_test(test_unmap_spans),
		cmocka_unit_test(test_fixed_overlay),
		cmocka_unit_test(test_failed_unmap_is_undone),
		cmocka_unit_test(test_invalid_unmap_changes_nothing),
		cmocka_unit_test(test_remap_moves_and_charges_anew),
		cmocka_unit_test(test_remap_failed),
		cmocka_unit_test(test_remap_of_uncounted),
		cmocka_unit_test(test_against_model),
	};

	return cmocka_run_group_tests_name("ranges", tests, NULL, NULL);
}
