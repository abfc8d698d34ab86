/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Five sites, and each is first by another key: `aged` by age (it comes a step earlier
 * than the rest), `big` by bytes, `many` by count, `fast` by rate (the only one that
 * grows in the last step), and `small` by none.
 */
#include <stdlib.h>

#include "victim.h"

#define LEAKS(name, size)                        \
	NOINLINE static void name##_leaf(long n) \
	{                                        \
		for (long i = 0; i < n; i++) {   \
			void *p = malloc(size);  \
			OPAQUE(p);               \
		}                                \
		NO_TAIL_CALL();                  \
	}                                        \
	VICTIM_CHAIN(name)

LEAKS(aged, 300)
LEAKS(big, 1000000)
LEAKS(many, 16)
LEAKS(small, 24)

LEAKS(fast, 8)

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	victim_go();
	aged_top(3);
	victim_step("aged");
	big_top(2);
	many_top(5000);
	small_top(5);
	victim_step("grown");
	fast_top(1000);
	victim_chain("aged", "malloc", 900, 3);
	victim_chain("big", "malloc", 2000000, 2);
	victim_chain("many", "malloc", 80000, 5000);
	victim_chain("small", "malloc", 120, 5);
	victim_chain("fast", "malloc", 8000, 1000);
	return victim_ready();
}
