/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "trace/sampling.h"

struct tables {
	uint32_t weights[SAMPLE_WEIGHTS], logs[SAMPLE_LOGS];
};

static int setup(void **state)
{
	static struct tables t;

	sampling_fill(t.weights, t.logs);
	*state = &t;
	return 0;
}

/* Within 1 % of the formula at every size, from one byte to far above the interval. */
static void test_weight_is_the_inverse_probability(void **state)
{
	static const uint64_t intervals[] = {4096, 100000, 512 << 10, 1 << 30};
	struct tables *t = *state;

	for (size_t i = 0; i < sizeof(intervals) / sizeof(intervals[0]); i++) {
		for (uint64_t size = 1; size < intervals[i] * 20; size += size / 7 + 1) {
			double x = (double)size / (double)intervals[i];
			double want = SAMPLE_UNIT / -expm1(-x);
			double got = (double)sample_weight_of(size, intervals[i], t->weights);

			assert_true(fabs(got - want) <= want * 0.01);
		}
	}
}

static void test_no_sampling_has_weight_one(void **state)
{
	struct tables *t = *state;

	assert_int_equal(sample_weight_of(0, 0, t->weights), SAMPLE_UNIT);
	assert_int_equal(sample_weight_of(UINT64_MAX, 0, t->weights), SAMPLE_UNIT);
}

static void test_extremes_do_not_overflow(void **state)
{
	struct tables *t = *state;

	assert_int_equal(sample_weight_of(UINT64_MAX, 1, t->weights), SAMPLE_UNIT);
	assert_int_equal(sample_weight_of(0, 4096, t->weights), SAMPLE_UNIT);
	assert_true(sample_weight_of(1, 1ULL << 40, t->weights) > 1ULL << 49);
}

/* The draws are exponential with mean 1: mean and variance of the table. */
static void test_draws_have_the_right_mean(void **state)
{
	struct tables *t = *state;
	double sum = 0, squares = 0;

	for (size_t i = 0; i < SAMPLE_LOGS; i++) {
		double v = t->logs[i] / 65536.0;

		sum += v;
		squares += v * v;
	}
	assert_true(fabs(sum / SAMPLE_LOGS - 1) < 0.001);
	assert_true(fabs(squares / SAMPLE_LOGS - 2) < 0.02);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weight_is_the_inverse_probability),
		cmocka_unit_test(test_no_sampling_has_weight_one),
		cmocka_unit_test(test_extremes_do_not_overflow),
		cmocka_unit_test(test_draws_have_the_right_mean),
	};

	return cmocka_run_group_tests_name("sampling", tests, setup, NULL);
}
