/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocates at a steady rate until it is told to stop: --rate blocks a millisecond (0: as
 * fast as it can), from --depth calls deep. Every second block is kept, --keep of them at
 * most; the others are freed 64 blocks later, all of them by the end.
 */
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "victim.h"

#define SLOTS 64

static void *slots[SLOTS];
static long made, kept, kept_bytes, keep;

static size_t size_of(long i)
{
	return 40 + i % 400;
}

NOINLINE static void keep_leaf(long i)
{
	void *p = malloc(size_of(i));

	OPAQUE(p);
	kept++;
	kept_bytes += size_of(i);
	NO_TAIL_CALL();
}

NOINLINE static void drop_leaf(long i)
{
	void **slot = &slots[i / 2 % SLOTS];

	free(*slot);
	*slot = malloc(size_of(i));
	NO_TAIL_CALL();
}

NOINLINE static void dig(long depth, long i)
{
	OPAQUE(depth);
	if (depth)
		dig(depth - 1, i);
	else if (i % 2 && kept < keep)
		keep_leaf(i);
	else
		drop_leaf(i);
	NO_TAIL_CALL();
}

static int told_to_stop(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&p, 1, 0) != 0;
}

int main(int argc, char **argv)
{
	struct timespec next;
	long rate, depth;

	victim_init(argc, argv);
	rate = victim_option("rate", 2);
	depth = victim_option("depth", 50);
	keep = victim_option("keep", 1L << 62);
	victim_go();
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!told_to_stop()) {
		for (long i = 0; i < (rate ? rate : 1000); i++)
			dig(depth, made++);
		next.tv_nsec += 1000000;
		next.tv_sec += next.tv_nsec / 1000000000;
		next.tv_nsec %= 1000000000;
		if (rate)
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	for (int i = 0; i < SLOTS; i++)
		free(slots[i]);
	victim_site(&(struct victim_truth){
		.name = "keep", .chain = "keep_leaf dig", .bytes = kept_bytes, .count = kept});
	victim_site(&(struct victim_truth){.name = "drop", .chain = "drop_leaf dig"});
	victim_note("calls", 2 * made - kept + SLOTS); /* of malloc and free */
	victim_step("stopped");
	return victim_ready();
}
