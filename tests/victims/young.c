/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks that live 200 ms: a ring of 100, the oldest of which is replaced every 2 ms, so
 * that at any time 99 or 100 are there and none is older than about 200 ms. And 50 old
 * blocks, made once. The ring turns until stdin has a line (--turns N: N blocks).
 */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "victim.h"

#define RING 100

static void *ring[RING];

NOINLINE static void old_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = malloc(500);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(old)

NOINLINE static void young_leaf(long n)
{
	void *p = malloc(1000);

	OPAQUE(p);
	ring[n % RING] = p;
	NO_TAIL_CALL();
}
VICTIM_CHAIN(young)

static int stdin_ready(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&p, 1, 2) != 0;
}

int main(int argc, char **argv)
{
	long turns;

	victim_init(argc, argv);
	turns = victim_option("turns", -1);
	victim_go();
	old_top(50);
	for (long i = 0; turns < 0 ? !stdin_ready() : i < turns; i++) {
		if (turns >= 0)
			poll(NULL, 0, 2);
		free(ring[i % RING]);
		young_top(i);
	}
	for (int i = 0; i < RING; i++)
		free(ring[i]);
	victim_chain("old", "malloc", 25000, 50);
	victim_chain("young", "malloc", 0, 0);
	return victim_ready();
}
