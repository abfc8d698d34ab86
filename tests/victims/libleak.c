/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A library that leaks; dlopen.c loads it after the tracer attached. */
#include <stdlib.h>

#include "victim.h"

void libleak_top(long n);

NOINLINE static void libleak_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = malloc(52);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}

NOINLINE static void libleak_mid(long n)
{
	libleak_leaf(n);
	NO_TAIL_CALL();
}

NOINLINE void libleak_top(long n)
{
	libleak_mid(n);
	NO_TAIL_CALL();
}
