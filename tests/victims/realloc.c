/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What realloc does to the books is decided by its result. The truth of realloc(p, 0)
 * is what this allocator makes of it.
 */
#include <stdint.h>
#include <stdlib.h>

#include "victim.h"

#define PRE 40

static void *pre[2 * PRE], *grown[60];
static long zero_blocks;

static void *keep(void *p)
{
	OPAQUE(p);
	return p;
}

NOINLINE static void pre_leaf(long n)
{
	for (long i = 0; i < n; i++)
		pre[i] = keep(malloc(444));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(pre)

/* Blocks from before the tracer: one half freed, one half reallocated. */
NOINLINE static void adopted_leaf(long n)
{
	for (long i = 0; i < n; i++)
		pre[i] = keep(realloc(pre[i], 555));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(adopted)

NOINLINE static void failed_leaf(long n)
{
	size_t huge = SIZE_MAX / 2;

	OPAQUE(huge);
	for (long i = 0; i < n; i++) {
		void *p = keep(malloc(200));

		if (realloc(p, huge) || reallocarray(p, huge, 16))
			abort();
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(failed)

NOINLINE static void zero_leaf(long n)
{
	size_t zero = 0;

	OPAQUE(zero);
	for (long i = 0; i < n; i++)
		zero_blocks += !!keep(realloc(keep(malloc(333)), zero));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(zero)

NOINLINE static void null_leaf(long n)
{
	void *null = NULL;

	OPAQUE(null);
	for (long i = 0; i < n; i++)
		keep(realloc(null, 77));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(null)

NOINLINE static void shrink_leaf(long n)
{
	for (long i = 0; i < n; i++)
		keep(realloc(keep(malloc(1000)), 100));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(shrink)

/* Allocated here, grown elsewhere: the block belongs to who asked last. */
NOINLINE static void origin_leaf(long n)
{
	for (long i = 0; i < n; i++)
		grown[i] = keep(malloc(50));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(origin)

NOINLINE static void grower_leaf(long n)
{
	for (long i = 0; i < n; i++)
		grown[i] = keep(realloc(grown[i], 5000 + i));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(grower)

/* Over the mmap threshold the allocator calls mremap. */
NOINLINE static void mapped_leaf(long n)
{
	for (long i = 0; i < n; i++)
		keep(realloc(keep(realloc(keep(malloc(200000)), 400000)), 3000000));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(mapped)

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	pre_top(2 * PRE);
	victim_go();
	for (int i = PRE; i < 2 * PRE; i++)
		free(pre[i]);
	adopted_top(PRE);
	failed_top(50);
	zero_top(60);
	null_top(70);
	shrink_top(80);
	origin_top(60);
	grower_top(30);
	mapped_top(5);
	victim_chain("pre", "malloc", 0, 0);
	victim_chain("adopted", "malloc", PRE * 555, PRE);
	victim_chain("failed", "malloc", 10000, 50);
	victim_chain("zero", "malloc", 0, zero_blocks);
	victim_chain("null", "malloc", 5390, 70);
	victim_chain("shrink", "malloc", 8000, 80);
	victim_chain("origin", "malloc", 1500, 30);
	victim_chain("grower", "malloc", 30 * 5000 + 29 * 15, 30);
	victim_chain("mapped", "malloc", 15000000, 5);
	return victim_ready();
}
