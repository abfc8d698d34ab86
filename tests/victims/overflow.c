/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table that is too small: a million small blocks come first, then the large leak.
 * --temporary N then makes N blocks that are all freed: no trace of them may remain.
 */
#include <stdlib.h>

#include "victim.h"

NOINLINE static void small_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = malloc(16);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(small)

NOINLINE static void large_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = malloc(4096);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(large)

#define BATCH 1000
static void *batch[BATCH];

NOINLINE static void temporary_leaf(long n)
{
	for (long i = 0; i < n; i += BATCH) {
		for (long j = 0; j < BATCH; j++)
			batch[j] = malloc(64);
		for (long j = 0; j < BATCH; j++)
			free(batch[j]);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(temporary)

int main(int argc, char **argv)
{
	long small, large;

	victim_init(argc, argv);
	small = victim_option("small", 1000000);
	large = victim_option("large", 50000);
	victim_go();
	small_top(small);
	large_top(large);
	temporary_top(victim_option("temporary", 0));
	victim_chain("small", "malloc", small * 16, small);
	victim_chain("large", "malloc", large * 4096, large);
	victim_chain("temporary", "malloc", 0, 0);
	return victim_ready();
}
