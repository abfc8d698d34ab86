/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls the allocators of libfakecuda.so, which only --alloc and --free make known. */
#include <stdint.h>
#include <stdlib.h>

#include "victim.h"

int fakecudaMalloc(void **p, size_t n);
int fakecudaFree(void *p);
void *pool_take(void *pool, size_t count, size_t size);
void pool_give(void *pool, void *p);

static int pool;

NOINLINE static void cuda_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = NULL;

		if (fakecudaMalloc(&p, 3000))
			abort();
		if (i % 4)
			fakecudaFree(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(cuda)

/* Fails, with an address in the result pointer that means nothing. */
NOINLINE static void refused_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = &pool;

		if (!fakecudaMalloc(&p, SIZE_MAX / 2))
			abort();
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(refused)

NOINLINE static void pool_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = pool_take(&pool, 7, 11);

		OPAQUE(p);
		if (i % 2)
			pool_give(&pool, p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(pool)

NOINLINE static void heap_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = malloc(19);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(heap)

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	victim_go();
	cuda_top(400);
	refused_top(50);
	pool_top(300);
	heap_top(10);
	victim_chain("cuda", "custom", 300000, 100);
	victim_chain("refused", "custom", 0, 0);
	victim_chain("pool", "custom", 150 * 77, 150);
	victim_chain("heap", "malloc", 190, 10);
	return victim_ready();
}
