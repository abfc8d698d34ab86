/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/sampling.h"

#include <math.h>

void sampling_fill(uint32_t weights[SAMPLE_WEIGHTS], uint32_t logs[SAMPLE_LOGS])
{
	/* The middle of each step, so that rounding favours neither side. */
	for (size_t i = 0; i < SAMPLE_WEIGHTS; i++) {
		double x = ((double)i + 0.5) / SAMPLE_STEP;

		weights[i] = (uint32_t)lround(SAMPLE_UNIT / -expm1(-x));
	}
	for (size_t i = 0; i < SAMPLE_LOGS; i++)
		logs[i] = (uint32_t)lround(65536 * -log(((double)i + 0.5) / SAMPLE_LOGS));
}
