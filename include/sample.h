/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sample.h - what a sampled block stands for; arithmetic shared by BPF and user space.
 *
 * Poisson sampling by bytes with mean distance R takes an allocation of s bytes with
 * probability 1 - exp(-s/R), so it stands for 1/(1 - exp(-s/R)) allocations of its size
 * (jemalloc, doc_internal/PROFILING_INTERNALS.md: unbias each sample, then sum). With
 * x = s/R: below 1 the series 1/x + 1/2 + x/12 is good to 0.14 %, above a table serves.
 *
 * R may change at any moment: each block keeps the step it was sampled with, so it is
 * weighed by the R of its own time, and sums stay unbiased. A step doubles R.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <linux/types.h>

#define SAMPLE_UNIT    1024u /* weights, and bytes and counts while sampling, are in 1/1024 */
#define SAMPLE_STEP    64u   /* steps of the weight table for each R of size */
#define SAMPLE_WEIGHTS 512u  /* up to x = 8, where the weight is 1.0003 */
#define SAMPLE_LOGS    1024u /* -ln(u) in 1/65536, in steps of u */
#define SAMPLE_STEPS   32u   /* steps are below this */
#define SAMPLE_LARGEST (1ULL << 36) /* bytes; nothing overflows */
#define SAMPLE_FIRST   32u /* bytes; doubled by step 1 where step 0 takes every allocation */

/* R at a step, in bytes; first is that of step 0 (0: every allocation). */
static inline __u64 sample_interval_of(__u64 first, __u32 step)
{
	step &= SAMPLE_STEPS - 1;
	return !step ? first : (first ? first : SAMPLE_FIRST) << step;
}

/* In SAMPLE_UNITs; an interval of 0 takes every allocation. */
static inline __u64 sample_weight_of(__u64 size, __u64 interval, const volatile __u32 *weights)
{
	__u64 i;

	if (size / 8 >= interval)
		return SAMPLE_UNIT;
	if (size < interval)
		return size ? interval * SAMPLE_UNIT / size + SAMPLE_UNIT / 2 +
				       size * SAMPLE_UNIT / 12 / interval
			    : SAMPLE_UNIT;
	i = size * SAMPLE_STEP / interval;
	return weights[i & (SAMPLE_WEIGHTS - 1)];
}

#endif
