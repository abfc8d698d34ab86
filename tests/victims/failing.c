/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls that fail allocate nothing. The result pointer of posix_memalign() holds the
 * address of a living block before the call, which must not be taken for its result.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#include "victim.h"

static void must_fail(void *p)
{
	OPAQUE(p);
	if (p)
		abort();
}

NOINLINE static void live_leaf(long n)
{
	size_t odd = 3;

	OPAQUE(odd);
	for (long i = 0; i < n; i++) {
		void *p = malloc(60), *result = p;

		OPAQUE(p);
		if (!posix_memalign(&result, odd, 1000) || result != p)
			abort();
		OPAQUE(result);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(live)

NOINLINE static void failing_leaf(long n)
{
	size_t huge = SIZE_MAX / 2 + 1, all = SIZE_MAX;

	OPAQUE(huge);
	OPAQUE(all);
	for (long i = 0; i < n; i++) {
		void *result = NULL;

		must_fail(malloc(all));
		must_fail(malloc(huge));
		must_fail(calloc(huge, 2));
		must_fail(calloc(huge, 4));
		must_fail(realloc(NULL, all));
		must_fail(reallocarray(NULL, huge, 2));
		must_fail(aligned_alloc(64, huge));
		must_fail(memalign(64, huge));
		if (!posix_memalign(&result, 64, huge))
			abort();
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(failing)

/* Nothing comes of free(NULL), and malloc(0) is a block of no bytes. */
NOINLINE static void empty_leaf(long n)
{
	size_t zero = 0;

	OPAQUE(zero);
	for (long i = 0; i < n; i++) {
		void *p = malloc(zero), *null = NULL;

		OPAQUE(p);
		OPAQUE(null);
		free(null);
		if (!p)
			abort();
		if (i % 2)
			free(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(empty)

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	victim_go();
	live_top(100);
	failing_top(100);
	empty_top(100);
	victim_chain("live", "malloc", 6000, 100);
	victim_chain("failing", "malloc", 0, 0);
	victim_chain("empty", "malloc", 0, 50);
	return victim_ready();
}
