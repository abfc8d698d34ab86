/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --stacks N unique stacks (8000), ten allocations of 32 bytes in each: stack i goes
 * through bit0() or bit1() as the bits of i say, --bits of them, lowest first. --deep N
 * adds one stack of N frames of deep(), under deep_leaf().
 */
#include <stdlib.h>

#include "victim.h"

NOINLINE static void stack_leaf(void)
{
	for (int i = 0; i < 10; i++) {
		void *p = malloc(32);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}

static void next(unsigned long bits, int left);

NOINLINE static void bit0(unsigned long bits, int left)
{
	next(bits, left);
	NO_TAIL_CALL();
}

NOINLINE static void bit1(unsigned long bits, int left)
{
	next(bits, left);
	NO_TAIL_CALL();
}

NOINLINE static void next(unsigned long bits, int left)
{
	if (!left)
		stack_leaf();
	else if (bits & 1)
		bit1(bits >> 1, left - 1);
	else
		bit0(bits >> 1, left - 1);
	NO_TAIL_CALL();
}

NOINLINE static void deep_leaf(void)
{
	void *p = malloc(48);

	OPAQUE(p);
	NO_TAIL_CALL();
}

NOINLINE static void deep(long n)
{
	if (n > 1)
		deep(n - 1);
	else
		deep_leaf();
	NO_TAIL_CALL();
}

int main(int argc, char **argv)
{
	long stacks, frames;
	int bits;

	victim_init(argc, argv);
	stacks = victim_option("stacks", 8000);
	bits = victim_option("bits", 13);
	frames = victim_option("deep", 0);
	victim_go();
	for (long i = 0; i < stacks; i++)
		next(i, bits);
	if (frames)
		deep(frames);
	victim_note("stacks", stacks);
	victim_note("bits", bits);
	victim_site(&(struct victim_truth){.name = "stack",
					   .chain = "stack_leaf next",
					   .bytes = stacks * 320,
					   .count = stacks * 10});
	victim_site(&(struct victim_truth){.name = "deep",
					   .chain = "deep_leaf deep",
					   .bytes = frames ? 48 : 0,
					   .count = frames ? 1 : 0});
	return victim_ready();
}
