/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An allocator of its own kind: the pointer comes through an argument, the return value
 * tells success by 0. And one in the shape of a pool: malloc's, with other names.
 */
#include <stdint.h>

#include "victim.h"

int fakecudaMalloc(void **p, size_t n);
int fakecudaFree(void *p);
void *pool_take(void *pool, size_t count, size_t size);
void pool_give(void *pool, void *p);

static char memory[64 << 20];
static size_t used;

static void *take(size_t n)
{
	void *p = memory + used;

	if (n > sizeof(memory) - used)
		return NULL;
	used += (n + 63) & ~(size_t)63;
	return p;
}

NOINLINE int fakecudaMalloc(void **p, size_t n)
{
	void *q = take(n);

	if (!q)
		return 2;
	*p = q;
	return 0;
}

NOINLINE int fakecudaFree(void *p)
{
	OPAQUE(p);
	return 0;
}

NOINLINE void *pool_take(void *pool, size_t count, size_t size)
{
	OPAQUE(pool);
	return take(count * size);
}

NOINLINE void pool_give(void *pool, void *p)
{
	OPAQUE(pool);
	OPAQUE(p);
}
