/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "view/rank.h"

#define SECOND 1000000000ULL

static size_t tick(struct rank *r, struct row *rows, size_t n, uint64_t now_ns)
{
	size_t lead = SIZE_MAX;

	assert_int_equal(rank_tick(r, rows, n, now_ns, &lead), 0);
	assert_true(lead <= n);
	return lead;
}

/* A small generator, so that a failure repeats. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

enum { RANDOM_ROWS = 500 };

static void random_rows(struct row *rows, uint32_t seed)
{
	static const char *const kinds[] = {"malloc", "mmap"};

	for (size_t i = 0; i < RANDOM_ROWS; i++)
		rows[i] = (struct row){.pid = 1 + (int)(next_random(&seed) % 3),
				       .tid = 1 + (int)(next_random(&seed) % 4),
				       .kind = kinds[next_random(&seed) % 2],
				       .stack_id = next_random(&seed) % 20,
				       .bytes = next_random(&seed) % 8,
				       .count = next_random(&seed) % 4,
				       .age_mean_ns = next_random(&seed) % 5,
				       .allocs = next_random(&seed) % 100,
				       .frees = next_random(&seed) % 50};
}

static uint64_t total_bytes(const struct row *rows, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += rows[i].bytes;
	return sum;
}

static uint64_t total_count(const struct row *rows, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += rows[i].count;
	return sum;
}

static bool same_identity(const struct row *a, const struct row *b, unsigned int identity)
{
	return (!(identity & RANK_PID) || a->pid == b->pid) &&
	       (!(identity & RANK_TID) || a->tid == b->tid) &&
	       (!(identity & RANK_STACK) || a->stack_id == b->stack_id) &&
	       (!(identity & RANK_KIND) || strcmp(a->kind, b->kind) == 0);
}

static double key_of(const struct row *r, enum rank_key key)
{
	switch (key) {
	case RANK_BYTES:
		return (double)r->bytes;
	case RANK_COUNT:
		return (double)r->count;
	case RANK_AGE:
		return (double)(r->has_ages ? r->age_max_ns : r->age_mean_ns);
	default:
		return r->alloc_rate - r->free_rate;
	}
}

static const unsigned int identities[] = {RANK_BY_STACK, RANK_BY_THREAD, RANK_BY_PROCESS};

/* For every identity and key: sums are kept, identities are unique, keys descend. */
static void test_properties(void **state)
{
	static struct row rows[RANDOM_ROWS];

	(void)state;
	for (size_t id = 0; id < ARRAY_SIZE(identities); id++)
		for (enum rank_key key = RANK_BYTES; key <= RANK_RATE; key++) {
			struct rank *r = rank_new(identities[id], key, 0);
			uint64_t bytes, count;
			size_t n;

			random_rows(rows, (uint32_t)id * 4 + key);
			bytes = total_bytes(rows, RANDOM_ROWS);
			count = total_count(rows, RANDOM_ROWS);
			n = tick(r, rows, RANDOM_ROWS, SECOND);
			assert_int_equal(total_bytes(rows, n), bytes);
			assert_int_equal(total_count(rows, n), count);
			for (size_t i = 0; i < n; i++)
				for (size_t k = i + 1; k < n; k++) {
					assert_false(
						same_identity(&rows[i], &rows[k], identities[id]));
					assert_true(key_of(&rows[i], key) >= key_of(&rows[k], key));
				}
			rank_free(r);
		}
}

/* The result does not depend on the order of the input. */
static void test_order_independent(void **state)
{
	static struct row forth[RANDOM_ROWS], back[RANDOM_ROWS];

	(void)state;
	for (enum rank_key key = RANK_BYTES; key <= RANK_RATE; key++) {
		struct rank *a = rank_new(RANK_BY_THREAD, key, 0);
		struct rank *b = rank_new(RANK_BY_THREAD, key, 0);
		size_t n;

		random_rows(forth, 99);
		for (size_t i = 0; i < RANDOM_ROWS; i++)
			back[RANDOM_ROWS - 1 - i] = forth[i];
		n = tick(a, forth, RANDOM_ROWS, SECOND);
		assert_int_equal(tick(b, back, RANDOM_ROWS, SECOND), n);
		for (size_t i = 0; i < n; i++) {
			assert_true(same_identity(&forth[i], &back[i], RANK_BY_THREAD));
			assert_int_equal(forth[i].bytes, back[i].bytes);
			assert_int_equal(forth[i].allocs, back[i].allocs);
		}
		rank_free(a);
		rank_free(b);
	}
}

/* Every owned pointer that went in is in the array afterwards, once. */
static void test_no_row_dropped(void **state)
{
	static struct row rows[RANDOM_ROWS];
	static uint64_t owned[RANDOM_ROWS];
	struct rank *r = rank_new(RANK_BY_PROCESS, RANK_BYTES, 0);

	(void)state;
	random_rows(rows, 5);
	for (size_t i = 0; i < RANDOM_ROWS; i++)
		rows[i].addresses = &owned[i];
	tick(r, rows, RANDOM_ROWS, SECOND);
	for (size_t i = 0; i < RANDOM_ROWS; i++)
		++*rows[i].addresses;
	for (size_t i = 0; i < RANDOM_ROWS; i++)
		assert_int_equal(owned[i], 1);
	rank_free(r);
}

static struct row site(uint64_t id, uint64_t bytes, uint64_t allocs, uint64_t frees)
{
	return (struct row){.pid = 1,
			    .kind = "malloc",
			    .stack_id = id,
			    .bytes = bytes,
			    .count = allocs - frees,
			    .allocs = allocs,
			    .frees = frees};
}

static void rates_are(const struct row *r, double alloc, double free_rate, double growth)
{
	assert_true(r->alloc_rate == alloc);
	assert_true(r->free_rate == free_rate);
	assert_true(r->growth_rate == growth);
}

static void test_rates(void **state)
{
	struct rank *r = rank_new(RANK_BY_STACK, RANK_BYTES, 10 * SECOND);
	struct row first[] = {site(1, 300, 10, 4), site(2, 200, 2, 0)};
	struct row second[] = {site(3, 50, 4, 2), site(1, 100, 20, 18), site(2, 400, 4, 0)};
	struct row third[] = {site(1, 64, 1, 0)};

	(void)state;
	/* Tick 0: since counting began, 2 s ago. */
	tick(r, first, 2, 12 * SECOND);
	rates_are(&first[0], 5, 2, 150);
	rates_are(&first[1], 1, 0, 100);
	/* Half a second later; site 3 is new. */
	tick(r, second, 3, 12 * SECOND + SECOND / 2);
	rates_are(&second[0], 4, 0, 400);
	rates_are(&second[1], 20, 28, -400);
	rates_are(&second[2], 8, 4, 100);
	/* Its counters went down: the site was made anew. */
	tick(r, third, 1, 13 * SECOND + SECOND / 2);
	rates_are(&third[0], 1, 0, -36);
	/* No time between two ticks: no rate rather than infinity. */
	tick(r, third, 1, 13 * SECOND + SECOND / 2);
	rates_are(&third[0], 0, 0, 0);
	rank_free(r);
}

static void test_sort_by_rate(void **state)
{
	struct rank *r = rank_new(RANK_BY_STACK, RANK_RATE, 0);
	struct row rows[] = {site(1, 900, 100, 90), site(2, 10, 20, 5), site(3, 5, 16, 0)};

	(void)state;
	tick(r, rows, 3, SECOND);
	assert_int_equal(rows[0].stack_id, 3);
	assert_int_equal(rows[1].stack_id, 2);
	assert_int_equal(rows[2].stack_id, 1);
	rank_free(r);
}

static void test_merge_numbers(void **state)
{
	struct rank *r = rank_new(RANK_BY_PROCESS, RANK_BYTES, 0);
	struct row rows[] = {
		{.pid = 1,
		 .tid = 7,
		 .kind = "malloc",
		 .stack_id = 4,
		 .bytes = 100,
		 .count = 1,
		 .has_ages = true,
		 .age_max_ns = 50,
		 .age_p50_ns = 40,
		 .age_mean_ns = 40,
		 .status = STACK_DEPTH,
		 .n_addresses = 3,
		 .n_frames = 2},
		{.pid = 1,
		 .tid = 8,
		 .kind = "mmap",
		 .stack_id = 4,
		 .bytes = UINT64_MAX - 50,
		 .count = 3,
		 .has_ages = true,
		 .age_max_ns = 90,
		 .age_p50_ns = 80,
		 .age_mean_ns = 80,
		 .estimated = true},
	};

	(void)state;
	assert_int_equal(tick(r, rows, 2, SECOND), 1);
	assert_true(rows[0].bytes == UINT64_MAX); /* capped, not wrapped */
	assert_int_equal(rows[0].count, 4);
	assert_true(rows[0].estimated && rows[0].has_ages);
	assert_int_equal(rows[0].age_max_ns, 90);
	assert_int_equal(rows[0].age_mean_ns, 70);
	assert_true(rows[0].age_p50_ns == AGE_UNKNOWN);
	assert_string_equal(rows[0].kind, "all");
	assert_int_equal(rows[0].tid, 0);
	assert_int_equal(rows[0].stack_id, 0);
	assert_int_equal(rows[0].n_addresses, 0);
	assert_int_equal(rows[0].n_frames, 0);
	assert_int_equal(rows[0].status, STACK_COMPLETE);
	rank_free(r);
}

static struct block *blocks_of(uint64_t address, size_t n)
{
	struct block *b = calloc(n, sizeof(*b));

	assert_non_null(b);
	for (size_t i = 0; i < n; i++)
		b[i].address = address + i;
	return b;
}

static void test_merge_blocks(void **state)
{
	struct rank *r = rank_new(RANK_BY_STACK, RANK_BYTES, 0);
	struct row rows[] = {site(1, 1, 1, 0), site(2, 9, 1, 0), site(1, 1, 1, 0),
			     site(1, 1, 1, 0)};
	uint64_t sum = 0;

	(void)state;
	rows[0].blocks = blocks_of(100, rows[0].n_blocks = 2);
	rows[2].blocks = blocks_of(200, rows[2].n_blocks = 1);
	assert_int_equal(tick(r, rows, 4, SECOND), 2);
	assert_int_equal(rows[1].stack_id, 1);
	assert_int_equal(rows[1].n_blocks, 3);
	for (size_t i = 0; i < 3; i++)
		sum += rows[1].blocks[i].address;
	assert_int_equal(sum, 100 + 101 + 200);
	for (size_t i = 0; i < 4; i++)
		free(rows[i].blocks);
	rank_free(r);
}

static void test_empty(void **state)
{
	struct rank *r = rank_new(RANK_BY_STACK, RANK_BYTES, 0);

	(void)state;
	assert_int_equal(tick(r, NULL, 0, SECOND), 0);
	assert_int_equal(tick(r, NULL, 0, 2 * SECOND), 0);
	rank_free(r);
	rank_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_properties),     cmocka_unit_test(test_order_independent),
		cmocka_unit_test(test_no_row_dropped), cmocka_unit_test(test_rates),
		cmocka_unit_test(test_sort_by_rate),   cmocka_unit_test(test_merge_numbers),
		cmocka_unit_test(test_merge_blocks),   cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
