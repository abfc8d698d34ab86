/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle.h - holds the cost of tracing under a bound (--max-overhead) by its one lever:
 * how many allocations are recorded. What a probe hit itself costs stays, recorded or
 * not (but for returns that session links skip), so there is a floor that no interval can go under;
 * then that is said.
 *
 * Pure: it is told what a window of time cost and answers with a sampling step
 * (include/sample.h). It raises at once by as much as the excess asks for, and lowers a
 * step only when tracing would have stayed well under the bound for a while.
 */
#ifndef MEMTALLY_THROTTLE_H
#define MEMTALLY_THROTTLE_H

#include "lib/lib.h"

struct throttle {
	double bound;	/* share of one CPU */
	uint64_t first; /* interval of step 0, bytes */
	uint32_t step;
	uint32_t raised; /* times */
	unsigned int calm;
	double ratio;	 /* of the last window */
	bool over;	 /* it was over the bound ... */
	bool floor_over; /* ... and nothing is gained by sampling less */
};

struct throttle_window {
	uint64_t ns;
	double run_ns;	/* in our programs: what sampling can save */
	double trap_ns; /* of the probes themselves */
	uint64_t calls, recorded;
};

/* True if the step has changed. */
bool throttle_take(struct throttle *t, const struct throttle_window *w);

#endif
