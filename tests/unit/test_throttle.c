/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control loop of --max-overhead against programs that are only formulas. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sample.h"
#include "trace/throttle.h"

#define WINDOW_NS 250000000ULL

/* A program under trace: mallocs a second of one size, as many frees. */
struct program {
	double mallocs_per_s, size;
	double hit_ns, trap_ns; /* of one call that is not recorded */
	double record_ns;	/* of one that is */
};

static double sampled(uint64_t first, uint32_t step, double size)
{
	uint64_t interval = sample_interval_of(first, step);

	return interval ? -expm1(-size / (double)interval) : 1;
}

/* One window, as long as the clock says. */
static struct throttle_window run(const struct throttle *t, const struct program *p, uint64_t ns)
{
	double n = p->mallocs_per_s * (double)ns / 1e9;
	double recorded = n * sampled(t->first, t->step, p->size);

	return (struct throttle_window){
		.ns = ns,
		.run_ns = 2 * n * p->hit_ns + recorded * p->record_ns,
		.trap_ns = 2 * n * p->trap_ns,
		.calls = (uint64_t)(2 * n),
		.recorded = (uint64_t)recorded,
	};
}

/* Number of changes of the step in n windows. */
static int go_on(struct throttle *t, const struct program *p, int n)
{
	int changes = 0;

	for (int i = 0; i < n; i++) {
		struct throttle_window w = run(t, p, WINDOW_NS);

		changes += throttle_take(t, &w);
	}
	return changes;
}

static const struct program light = {1000, 100, 200, 600, 4000};   /* 0.56 % */
static const struct program heavy = {10000, 100, 200, 600, 20000}; /* 21.6 %; floor 1.6 % */
static const struct program storm = {1e6, 100, 200, 600, 4000};	   /* floor 160 % */

static void under_the_bound_nothing_happens(void **state)
{
	struct throttle t = {.bound = 0.01};

	(void)state;
	assert_int_equal(go_on(&t, &light, 100), 0);
	assert_true(!t.step && !t.raised && !t.over && !t.floor_over);
	assert_true(fabs(t.ratio - 0.0056) < 1e-9);
}

static void over_the_bound_it_settles_soon(void **state)
{
	struct throttle t = {.bound = 0.03};

	(void)state;
	assert_true(go_on(&t, &heavy, 8) > 0); /* two seconds */
	assert_true(t.step > 0 && t.raised > 0 && !t.over && !t.floor_over);
	assert_true(t.ratio <= 0.03);
	/* It does not swing. */
	assert_int_equal(go_on(&t, &heavy, 400), 0);
	/* And does not give away more than it must: two steps less would be over. */
	t.step -= 2;
	go_on(&t, &heavy, 1);
	assert_true(t.ratio > 0.9 * 0.03);
}

static void a_given_interval_is_where_it_starts(void **state)
{
	struct throttle t = {.bound = 0.03, .first = 4096};

	(void)state;
	assert_int_equal(go_on(&t, &heavy, 10), 0);
	assert_int_equal(sample_interval_of(t.first, t.step), 4096);
	t.first = 50;
	assert_true(go_on(&t, &heavy, 10) > 0);
	assert_int_equal(sample_interval_of(t.first, t.step), 50ULL << t.step);
}

static void what_no_interval_helps_is_said(void **state)
{
	struct throttle t = {.bound = 0.01};
	uint32_t step;

	(void)state;
	go_on(&t, &storm, 20);
	assert_true(t.over && t.floor_over);
	/* One call in 256 is recorded: it stops there, with something left to see. */
	step = t.step;
	assert_in_range(sample_interval_of(0, step), 100 * 64, 100 * 128 * 16);
	assert_int_equal(go_on(&t, &storm, 100), 0);
	assert_int_equal(t.step, step);
	/* The storm is over. */
	assert_true(go_on(&t, &light, 1000) > 0);
	assert_true(!t.over && !t.floor_over);
}

static void it_comes_down_slowly(void **state)
{
	struct throttle t = {.bound = 0.03};
	int changes;

	(void)state;
	go_on(&t, &heavy, 20);
	assert_true(t.step >= 3);
	changes = (int)t.step;
	assert_int_equal(go_on(&t, &light, 19), 0);
	assert_int_equal(go_on(&t, &light, 1), 1);
	assert_int_equal(go_on(&t, &light, 20 * (changes - 1)), changes - 1);
	assert_int_equal(t.step, 0);
	assert_int_equal(go_on(&t, &light, 100), 0);
}

/* However loads follow upon each other, a load that lasts ends under the bound. */
static void any_sequence_settles(void **state)
{
	(void)state;
	srandom(1);
	for (int i = 0; i < 500; i++) {
		struct throttle t = {.bound = 0.02, .first = i % 2 ? 1024 : 0};

		for (int j = 0; j < 20; j++) {
			struct program p = {(double)(random() % 100000), (double)(random() % 9999),
					    200, 600, (double)(random() % 50000)};

			go_on(&t, &p, (int)(random() % 30));
		}
		go_on(&t, &heavy, 20);
		assert_true(t.ratio <= 0.02 && !t.over && t.step < SAMPLE_STEPS);
	}
}

static void odd_windows(void **state)
{
	struct throttle t = {.bound = 0.01};
	const struct throttle_window none = {0};
	const struct throttle_window others = {.ns = WINDOW_NS, .run_ns = 1e8, .trap_ns = 1e8};
	const struct throttle_window endless = {WINDOW_NS, 1e300, 0, 1000, 1000};

	(void)state;
	assert_false(throttle_take(&t, &none));
	/* Only hits of processes that are not traced: sampling does not help. */
	assert_false(throttle_take(&t, &others));
	assert_true(t.floor_over);
	for (int i = 0; i < 100; i++)
		throttle_take(&t, &endless);
	assert_int_equal(t.step, SAMPLE_STEPS - 1);
	assert_true(t.floor_over);
	/* An interval that is at its largest from the beginning. */
	t = (struct throttle){.bound = 0.01, .first = SAMPLE_LARGEST};
	assert_false(throttle_take(&t, &endless));
	assert_true(t.floor_over && !t.step);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(under_the_bound_nothing_happens),
		cmocka_unit_test(over_the_bound_it_settles_soon),
		cmocka_unit_test(a_given_interval_is_where_it_starts),
		cmocka_unit_test(what_no_interval_helps_is_said),
		cmocka_unit_test(it_comes_down_slowly),
		cmocka_unit_test(any_sequence_settles),
		cmocka_unit_test(odd_windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
