/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ground_truth.h - compares every stack that BPF takes at malloc with what libgcc found
 * inside the process (tests/victims/gt_preload.c), frame by frame.
 */
#ifndef MEMTALLY_TESTS_GROUND_TRUTH_H
#define MEMTALLY_TESTS_GROUND_TRUTH_H

#include "harness.h"

enum gt_result {
	GT_EXACT,
	GT_SHORTER, /* ends early, right as far as it goes */
	GT_DEPTH,   /* the same, at the frame limit */
	GT_LONGER,
	GT_DIFFERENT, /* a wrong frame */
	GT_MISSING,   /* BPF saw no such malloc */
	GT_UNKNOWN,   /* libgcc stopped at the uretprobe trampoline of some other tool */
	GT_RESULTS,
};

struct gt_report {
	uint64_t counts[GT_RESULTS];
	uint64_t fit; /* stacks within the frame limit */
	double exact; /* per cent of them */
};

/* Runs the program of *h to its end and compares. Prints the first of each difference. */
int gt_run(struct harness *h, struct gt_report *ret);
void gt_print(const struct harness *h, const struct gt_report *r);

#endif
