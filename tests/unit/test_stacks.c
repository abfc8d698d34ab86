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

/* Calls that were finished late, each with a site of its own. */
static void test_alias(void **state)
{
	struct stacks *s = stacks_new();
	struct stack_event ev = event(9, 3);

	(void)state;
	assert_int_equal(stacks_site(s, 1000), 1000);
	assert_int_equal(stacks_add_alias(s, 5, 9), 0); /* of nothing: nothing */
	assert_null(stacks_find(s, 5));
	stacks_add(s, &ev);
	for (uint64_t alias = 1000; alias < 4000; alias++)
		assert_int_equal(stacks_add_alias(s, alias, 9), 0);
	for (uint64_t alias = 1000; alias < 4000; alias++)
		assert_int_equal(stacks_site(s, alias), 9);
	assert_ptr_equal(stacks_find(s, 2000), stacks_find(s, 9));
	ev = event(10, 1);
	stacks_add(s, &ev);
	stacks_add_alias(s, 10, 9); /* a site with a stack keeps it */
	assert_int_equal(stacks_site(s, 10), 10);
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

static bool is_odd(const struct stack *st, void *arg)
{
	++*(size_t *)arg;
	return st->site & 1;
}

static void test_drop(void **state)
{
	struct stacks *s = stacks_new();
	size_t asked = 0, bytes;

	(void)state;
	assert_int_equal(stacks_drop(s, is_odd, &asked), 0);
	bytes = stacks_bytes(s);
	for (uint64_t site = 1; site <= 2000; site++) {
		struct stack_event ev = event(site << 20 | (site & 1), 3);

		assert_int_equal(stacks_add(s, &ev), 0);
	}
	stacks_add_alias(s, 5001, 1 << 20 | 1); /* of one that goes */
	stacks_add_alias(s, 5003, 2 << 20);	/* of one that stays */
	assert_int_equal(stacks_drop(s, is_odd, &asked), 0);
	assert_int_equal(asked, 2002);
	for (uint64_t site = 1; site <= 2000; site++) {
		const struct stack *st = stacks_find(s, site << 20 | (site & 1));

		assert_int_equal(!st, site & 1);
		assert_true(!st || (st->n == 3 && st->pcs[2] == st->site + 2));
	}
	assert_null(stacks_find(s, 5001));
	assert_int_equal(stacks_site(s, 5003), 2 << 20);
	assert_true(stacks_bytes(s) > bytes);
	stacks_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_again),
		cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_first_one_stays),
		cmocka_unit_test(test_length_is_bounded),
		cmocka_unit_test(test_drop),
	};

	return cmocka_run_group_tests_name("stacks", tests, NULL, NULL);
}
