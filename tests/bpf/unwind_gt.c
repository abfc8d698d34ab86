/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind_gt - the ground truth comparison for any program:
 *
 *	unwind_gt [-m exact_percent] [-n max] build/victims/gt_preload.so PROGRAM [ARG...]
 *
 *	python3: 41230 stacks, 41215 exact (99.96 %), 0 different, 0 longer, 15 shorter, ...
 *
 * Fails on a wrong frame, and below -m percent exact to the end among the stacks that
 * fit into the frame limit.
 */
#include "ground_truth.h"

#include <limits.h>

int main(int argc, char **argv)
{
	struct harness h = {
		.function = "gt_probe",
		.program = "every_enter",
		.mode = UNWIND_DWARF,
		.follow_maps = true,
	};
	double min_exact = 99.9;
	char preload[PATH_MAX];
	struct gt_report r;
	int c, err;

	while ((c = getopt(argc, argv, "+m:n:")) != -1) {
		if (c == 'm')
			min_exact = strtod(optarg, NULL);
		else if (c == 'n')
			setenv("GT_MAX", optarg, 1);
		else
			return 2;
	}
	if (argc - optind < 2 || !realpath(argv[optind], preload))
		return 2;
	h.preload = h.object = preload;
	h.argv = argv + optind + 1;
	err = gt_run(&h, &r);
	if (err)
		fprintf(stderr, "unwind_gt: %s\n", errno_name(err));
	else
		gt_print(&h, &r);
	harness_stop(&h);
	return err || !r.counts[GT_EXACT] || r.counts[GT_DIFFERENT] || r.counts[GT_LONGER] ||
	       r.counts[GT_MISSING] || r.exact < min_exact;
}
