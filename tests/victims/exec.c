/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A chain of execs: stage 1 leaks 70 blocks and executes itself again, --stages N times;
 * only the blocks of the last stage still exist. --exec FILE: the last stage executes
 * FILE with the remaining options in place of leaking.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "victim.h"

NOINLINE static void early_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = malloc(111);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(early)

NOINLINE static void last_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = malloc(222);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(last)

static void exec_next(int argc, char **argv, long stages)
{
	static char number[32], name[] = "--stages";
	static char *args[64];
	int n = 0;

	snprintf(number, sizeof(number), "%ld", stages - 1);
	args[n++] = argv[0];
	args[n++] = name; /* the first wins */
	args[n++] = number;
	for (int i = 1; i < argc && n < 63; i++)
		args[n++] = argv[i];
	execv("/proc/self/exe", args);
	abort();
}

int main(int argc, char **argv)
{
	long stages;

	victim_init(argc, argv);
	stages = victim_option("stages", 3);
	if (stages == victim_option("first", 3))
		victim_go();
	else
		victim_count();
	if (stages > 1) {
		early_top(70);
		exec_next(argc, argv, stages);
	}
	if (victim_text("exec")) {
		early_top(70);
		execl(victim_text("exec"), victim_text("exec"), (char *)NULL);
		abort();
	}
	last_top(90);
	victim_chain("early", "malloc", 0, 0);
	victim_chain("last", "malloc", 19980, 90);
	return victim_ready();
}
