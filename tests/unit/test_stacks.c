/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "trace/stacks.h"

static struct stack_event event(uint64_t site, uint16_t n)
{
	struct stack_event ev = {.ev = {.tid = 7, .proc_key = 0x500000001}, .site = site, .n = n};

	for (uint16_t i = 0; i < n && i < ABI_MAX_FRAMES; i++)
		ev.pcs[i] = site + i;
	return ev;
}

static void test_found_again(void **state)
{
	struct stacks *s = stacks_new();

	(void)state;
	assert_null(stacks_find(s, 1));
	for (uint64_t site = 1; site <= 20000; site++) {
		struct stack_event ev = event(site, site % 5);

		assert_int_equal(stacks_add(s, &ev), 0);
	}
	for (uint64_t site = 1; site <= 20000; site++) {
		const struct stack *st = stacks_find(s, site);

		assert_non_null(st);
		assert_int_equal(st->site, site);
		assert_int_equal(st->n, site % 5);
		for (uint16_t i = 0; i < st->n; i++)
			assert_int_equal(st->pcs[i], site + i);
	}
	assert_null(stacks_find(s, 20001));
	stacks_free(s);
}

/* Ids that collide in the table, and the id 0. */
static void test_collisions(void **state)
{
	struct stacks *s = stacks_new();

	(void)state;
	for (uint64_t i = 0; i < 600; i++) {
		struct stack_event ev = event(i << 32, 1);

		assert_int_equal(stacks_add(s, &ev), 0);
	}
	for (uint64_t i = 0; i < 600; i++)
		assert_int_equal(stacks_find(s, i << 32)->site, i << 32);
	stacks_free(s);
}

/* Two CPUs may send the same stack; the first one stays. */
static void test_first_one_stays(void **state)
{
	struct stacks *s = stacks_new();
	struct stack_event ev = event(9, 3);
	size_t bytes;

	(void)state;
	stacks_add(s, &ev);
	bytes = stacks_bytes(s);
	ev.n = 1;
	stacks_add(s, &ev);
	assert_int_equal(stacks_find(s, 9)->n, 3);
	assert_int_equal(stacks_bytes(s), bytes);
	stacks_free(s);
}

/* A length from the ring is not believed beyond what a record can hold. */
static void test_length_is_bounded(void **state)
{
	struct stacks *s = stacks_new();
	struct stack_event ev = event(9, 0xffff);

	(void)state;
	stacks_add(s, &ev);
	assert_int_equal(stacks_find(s, 9)->n, ABI_MAX_FRAMES);
	stacks_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_again),
		cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_first_one_stays),
		cmocka_unit_test(test_length_is_bounded),
	};

	return cmocka_run_group_tests_name("stacks", tests, NULL, NULL);
}
