/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sample.h - what a sampled block stands for; arithmetic shared by BPF and user space.
 *
 * Poisson sampling by bytes with mean distance R takes an allocation of s bytes with
 * probability 1 - exp(-s/R), so it stands for 1/(1 - exp(-s/R)) allocations of its size
 * (jemalloc, doc_internal/PROFILING_INTERNALS.md: unbias each sample, then sum). With
 * x = s/R: below 1 the series 1/x + 1/2 + x/12 is good to 0.14 %, above a table serves.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <linux/types.h>

#define SAMPLE_UNIT    1024u /* weights, and bytes and counts while sampling, are in 1/1024 */
#define SAMPLE_STEP    64u   /* steps of the weight table for each R of size */
#define SAMPLE_WEIGHTS 512u  /* up to x = 8, where the weight is 1.0003 */
#define SAMPLE_LOGS    1024u /* -ln(u) in 1/65536, in steps of u */

static inline __u64 sample_weight_of(__u64 size, __u64 interval, const volatile __u32 *weights)
{
	__u64 i;

	if (!interval)
		return 1;
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
