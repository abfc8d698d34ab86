/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks made in one thread and freed in another, 20000 per pair (--loops); every
 * hundredth is forgotten. Addresses are handed out again all the time, in other threads.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "victim.h"

#define PAIRS	    4
#define SLOTS	    64
#define STACK_BYTES (128 << 10)

static char stacks[2 * PAIRS][STACK_BYTES] __attribute__((aligned(4096)));
static _Atomic(void *) slots[PAIRS][SLOTS];
static long loops;

NOINLINE static void produce_leaf(long pair)
{
	for (long i = 0; i < loops; i++) {
		void *p = malloc(40 + i % 400), *empty = NULL;

		while (!atomic_compare_exchange_weak(&slots[pair][i % SLOTS], &empty, p)) {
			empty = NULL;
			sched_yield();
		}
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(produce)

static void consume(long pair)
{
	for (long i = 0; i < loops; i++) {
		void *p;

		while (!(p = atomic_exchange(&slots[pair][i % SLOTS], NULL)))
			sched_yield();
		if (i % 100)
			free(p);
	}
}

static void *producer(void *arg)
{
	produce_top((long)arg);
	NO_TAIL_CALL();
	return NULL;
}

static void *consumer(void *arg)
{
	consume((long)arg);
	return NULL;
}

static void start(pthread_t *id, void *stack, void *(*body)(void *), long pair)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, STACK_BYTES);
	if (pthread_create(id, &attr, body, (void *)pair))
		abort();
	pthread_attr_destroy(&attr);
}

int main(int argc, char **argv)
{
	pthread_t ids[2 * PAIRS];
	long bytes = 0, count = 0;

	victim_init(argc, argv);
	loops = victim_load("loops", 20000);
	victim_go();
	for (long i = 0; i < PAIRS; i++) {
		start(&ids[2 * i], stacks[2 * i], producer, i);
		start(&ids[2 * i + 1], stacks[2 * i + 1], consumer, i);
	}
	for (int i = 0; i < 2 * PAIRS; i++)
		pthread_join(ids[i], NULL);
	for (long i = 0; i < loops; i += 100) {
		bytes += PAIRS * (40 + i % 400);
		count += PAIRS;
	}
	victim_chain("produce", "malloc", bytes, count);
	return victim_ready();
}
