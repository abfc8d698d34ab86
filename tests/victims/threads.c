/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Four threads that leak 20000 blocks of 88 bytes each, between malloc/free pairs; then
 * thirty short threads that leak nothing, each with a stack mapped by the C library and
 * an arena of its own: neither is a leak of the program.
 */
#include <pthread.h>
#include <stdlib.h>

#include "victim.h"

#define MAX_THREADS 200
#define STACK_BYTES (128 << 10)

static int zeroed; /* --zeroed: calloc instead of malloc */
static char stacks[MAX_THREADS][STACK_BYTES] __attribute__((aligned(4096)));
static pthread_barrier_t barrier;

NOINLINE static void leak_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = zeroed ? calloc(8, 11) : malloc(88);

		OPAQUE(p);
		if (i % (n / 20))
			continue;
		p = malloc(1000);
		OPAQUE(p);
		free(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(leak)

NOINLINE static void short_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = malloc(200);

		OPAQUE(p);
		free(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(short)

NOINLINE static void *leaking_thread(void *arg)
{
	pthread_barrier_wait(&barrier); /* all alive at once: an arena each */
	leak_top(*(long *)arg);
	NO_TAIL_CALL();
	return NULL;
}

NOINLINE static void *short_thread(void *arg)
{
	short_top(*(long *)arg);
	NO_TAIL_CALL();
	return NULL;
}

static void run(long threads, void *(*body)(void *), long loops, int own_stacks)
{
	pthread_t ids[MAX_THREADS];

	for (long i = 0; i < threads; i++) {
		pthread_attr_t attr;

		pthread_attr_init(&attr);
		if (own_stacks)
			pthread_attr_setstack(&attr, stacks[i], STACK_BYTES);
		if (pthread_create(&ids[i], &attr, body, &loops))
			abort();
		pthread_attr_destroy(&attr);
	}
	for (long i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
}

int main(int argc, char **argv)
{
	long threads, loops, short_threads;

	victim_init(argc, argv);
	threads = victim_option("threads", 4);
	loops = victim_load("loops", 20000);
	zeroed = victim_text("zeroed") != NULL;
	short_threads = victim_option("short", 30);
	pthread_barrier_init(&barrier, NULL, threads ? threads : 1);
	victim_go();
	if (threads)
		run(threads, leaking_thread, loops, 1);
	/* --mapped: stacks from mmap, which stay in the C library's cache. */
	run(short_threads, short_thread, 100, !victim_text("mapped"));
	victim_site(&(struct victim_truth){.name = "leak",
					   .chain = "leak_leaf leak_mid leak_top leaking_thread",
					   .bytes = threads * loops * 88,
					   .count = threads * loops});
	victim_chain("short", "malloc", 0, 0);
	return victim_ready();
}
