/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocator calls inside allocator calls: over the mmap threshold malloc maps, realloc
 * remaps, free unmaps; the first malloc of a thread maps an arena. One charge each, to
 * the function that the program called.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "victim.h"

#define THREADS	    8
#define STACK_BYTES (128 << 10)

static char stacks[THREADS][STACK_BYTES] __attribute__((aligned(4096)));
static pthread_barrier_t barrier;
static long giants;

static void *keep(void *p)
{
	OPAQUE(p);
	if (!p)
		abort();
	return p;
}

NOINLINE static void large_leaf(long n)
{
	for (long i = 0; i < n; i++)
		keep(malloc(200 << 10));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(large)

NOINLINE static void zeroed_leaf(long n)
{
	for (long i = 0; i < n; i++)
		keep(calloc(1, 300 << 10));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(zeroed)

NOINLINE static void aligned_leaf(long n)
{
	for (long i = 0; i < n; i++)
		keep(memalign(1 << 16, 5 << 20));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(aligned)

NOINLINE static void resized_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = keep(malloc(6 << 20));

		for (long mib = 7; mib <= 12; mib++)
			p = keep(realloc(p, mib << 20));
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(resized)

/*
 * Two times 5 GiB is no overflow. Untouched, so it costs address space only (not calloc:
 * tcmalloc would write it).
 */
NOINLINE static void giant_leaf(long n)
{
	size_t count = 2, bytes = 5UL << 30;

	OPAQUE(count);
	OPAQUE(bytes);
	for (long i = 0; i < n; i++) {
		void *p = reallocarray(NULL, count, bytes), *q = malloc(bytes);

		OPAQUE(p);
		OPAQUE(q);
		giants += p != NULL; /* a small machine may refuse */
		free(q);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(giant)

NOINLINE static void freed_leaf(long n)
{
	for (long i = 0; i < n; i++)
		free(keep(malloc(33 << 20)));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(freed)

NOINLINE static void arena_leaf(long n)
{
	for (long i = 0; i < n; i++)
		keep(malloc(100));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(arena)

/* Maps memory of its own, deeper in the stack than a call of malloc just before. */
NOINLINE static void *map_deeper(long depth)
{
	void *p;

	OPAQUE(depth);
	if (depth)
		p = map_deeper(depth - 1);
	else
		p = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NO_TAIL_CALL();
	return p;
}

NOINLINE static void mapped_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *small = keep(malloc(80)), *p = map_deeper(3);

		if (p == MAP_FAILED)
			abort();
		free(small);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(mapped)

NOINLINE static void *thread(void *arg)
{
	pthread_barrier_wait(&barrier);
	arena_top(100);
	pthread_barrier_wait(&barrier);
	NO_TAIL_CALL();
	return arg;
}

static void run_threads(void)
{
	pthread_t ids[THREADS];

	for (int i = 0; i < THREADS; i++) {
		pthread_attr_t attr;

		pthread_attr_init(&attr);
		pthread_attr_setstack(&attr, stacks[i], STACK_BYTES);
		if (pthread_create(&ids[i], &attr, thread, NULL))
			abort();
		pthread_attr_destroy(&attr);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(ids[i], NULL);
}

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	pthread_barrier_init(&barrier, NULL, THREADS);
	victim_go();
	large_top(100);
	zeroed_top(50);
	aligned_top(4);
	resized_top(4);
	freed_top(10);
	giant_top(1);
	mapped_top(20);
	run_threads();
	victim_chain("large", "malloc", 100 * (200L << 10), 100);
	victim_chain("zeroed", "malloc", 50 * (300L << 10), 50);
	victim_chain("aligned", "malloc", 4 * (5L << 20), 4);
	victim_chain("resized", "malloc", 4 * (12L << 20), 4);
	victim_chain("freed", "malloc", 0, 0);
	victim_chain("giant", "malloc", giants * 10 * (1L << 30), giants);
	victim_site(&(struct victim_truth){
		.name = "mapped",
		.chain = "map_deeper map_deeper map_deeper map_deeper mapped_leaf mapped_mid",
		.kind = "mmap",
		.bytes = 20 * 65536,
		.count = 20});
	victim_chain("arena", "malloc", THREADS * 100L * 100, THREADS * 100L);
	return victim_ready();
}
