/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmap as ranges: what is left of a mapping after parts of it were unmapped, replaced,
 * moved or resized. All numbers in pages of 4096. A hole makes two ranges of one
 * mapping: they count as one allocation.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "victim.h"

#define PAGE 4096
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static int file_fd;
static char *fixed_at, *span_at, *moved[20], *regrown[20], *before;

static inline __attribute__((always_inline)) char *map(void *at, long pages, int flags)
{
	char *p = mmap(at, pages * PAGE, RW, ANON | flags, -1, 0);

	OPAQUE(p);
	if (p == MAP_FAILED)
		abort();
	return p;
}

#define must(call)               \
	do {                     \
		if (call)        \
			abort(); \
	} while (0)

NOINLINE static void half_leaf(long n)
{
	for (long i = 0; i < n; i++)
		must(munmap(map(NULL, 16, 0) + 8 * PAGE, 8 * PAGE));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(half)

NOINLINE static void head_leaf(long n)
{
	for (long i = 0; i < n; i++)
		must(munmap(map(NULL, 16, 0), 100)); /* rounded up to one page */
	NO_TAIL_CALL();
}
VICTIM_CHAIN(head)

NOINLINE static void hole_leaf(long n)
{
	for (long i = 0; i < n; i++)
		must(munmap(map(NULL, 16, 0) + 4 * PAGE, 4 * PAGE));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(hole)

NOINLINE static void pieces_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		char *p = map(NULL, 16, 0);

		for (int part = 15; part >= 0; part -= 2)
			must(munmap(p + part * PAGE, PAGE));
		for (int part = 0; part < 16; part += 2)
			must(munmap(p + part * PAGE, PAGE));
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(pieces)

NOINLINE static void under_leaf(long n)
{
	fixed_at = map(NULL, n, 0);
	NO_TAIL_CALL();
}
VICTIM_CHAIN(under)

/* Replaces four pages in the middle of under_leaf()'s mapping. */
NOINLINE static void overlay_leaf(long n)
{
	map(fixed_at + 4 * PAGE, n, MAP_FIXED);
	NO_TAIL_CALL();
}
VICTIM_CHAIN(overlay)

/* Replaces the last four pages by a file: gone, and a file is no heap. */
NOINLINE static void file_leaf(long n)
{
	char *p = mmap(fixed_at + 12 * PAGE, n * PAGE, RW, MAP_PRIVATE | MAP_FIXED, file_fd, 0);

	OPAQUE(p);
	must(p == MAP_FAILED);
	must(mmap(NULL, n * PAGE, PROT_READ, MAP_SHARED, file_fd, 0) == MAP_FAILED);
	NO_TAIL_CALL();
}
VICTIM_CHAIN(file)

NOINLINE static void reserve_leaf(long n)
{
	span_at = mmap(NULL, n * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
	OPAQUE(span_at);
	must(span_at == MAP_FAILED);
	NO_TAIL_CALL();
}
VICTIM_CHAIN(reserve)

NOINLINE static void span_a_leaf(long n)
{
	map(span_at, n, MAP_FIXED);
	NO_TAIL_CALL();
}
VICTIM_CHAIN(span_a)

NOINLINE static void span_b_leaf(long n)
{
	map(span_at + 16 * PAGE, n, MAP_FIXED);
	NO_TAIL_CALL();
}
VICTIM_CHAIN(span_b)

NOINLINE static void source_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		moved[i] = map(NULL, 16, 0);
		regrown[i] = map(NULL, 64, 0);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(source)

/* Like realloc: what mremap returned belongs to its caller. */
NOINLINE static void grow_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		moved[i] = mremap(moved[i], 16 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
		OPAQUE(moved[i]);
		must(moved[i] == MAP_FAILED);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(grow)

NOINLINE static void shrink_leaf(long n)
{
	for (long i = 0; i < n; i++)
		must(mremap(regrown[i], 64 * PAGE, 16 * PAGE, 0) != regrown[i]);
	NO_TAIL_CALL();
}
VICTIM_CHAIN(shrink)

/* The last four pages of a grown mapping go elsewhere, the rest stays. */
NOINLINE static void move_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		char *p = mremap(moved[i] + 60 * PAGE, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);

		OPAQUE(p);
		must(p == MAP_FAILED);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(move)

/* Mapped before the tracer came: only the growth is news. */
NOINLINE static void before_leaf(long n)
{
	before = mremap(before, 16 * PAGE, n * PAGE, MREMAP_MAYMOVE);
	OPAQUE(before);
	must(before == MAP_FAILED);
	NO_TAIL_CALL();
}
VICTIM_CHAIN(before)

/* None of these changes anything. */
NOINLINE static void failed_leaf(long n)
{
	long zero = 0, odd = 1;

	OPAQUE(zero);
	OPAQUE(odd);
	for (long i = 0; i < n; i++) {
		must(mmap(NULL, zero, RW, ANON, -1, 0) != MAP_FAILED);
		must(mmap((char *)PAGE + odd, PAGE, RW, ANON | MAP_FIXED, -1, 0) != MAP_FAILED);
		must(mmap(NULL, PAGE, RW, MAP_PRIVATE, 9999, 0) != MAP_FAILED);
		must(!munmap(fixed_at + odd, PAGE));
		must(!munmap(fixed_at, zero));
		must(mremap(moved[0] + odd, PAGE, 2 * PAGE, MREMAP_MAYMOVE) != MAP_FAILED);
		must(mremap(moved[0], 16 * PAGE, 1L << 46, MREMAP_MAYMOVE) != MAP_FAILED);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(failed)

static void site(const char *name, long pages, long count)
{
	victim_chain(name, "mmap", pages * PAGE, count);
}

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	file_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	must(file_fd < 0);
	before = map(NULL, 16, 0);
	victim_go();
	half_top(10);
	head_top(10);
	hole_top(10);
	pieces_top(10);
	under_top(16);
	overlay_top(4);
	file_top(4);
	reserve_top(64);
	span_a_top(16);
	span_b_top(16);
	must(munmap(span_at + 8 * PAGE, 16 * PAGE)); /* the end of a, the beginning of b */
	source_top(20);
	grow_top(10);
	shrink_top(10);
	move_top(5);
	before_top(24);
	failed_top(20);
	site("half", 10 * 8, 10);
	site("head", 10 * 15, 10);
	site("hole", 10 * 12, 10);
	site("pieces", 0, 0);
	site("under", 4 + 4, 1);
	site("overlay", 4, 1);
	site("file", 0, 0);
	site("reserve", 32, 1);
	site("span_a", 8, 1);
	site("span_b", 8, 1);
	site("source", 10 * 16 + 10 * 64, 20);
	site("grow", 10 * 64 - 5 * 4, 10);
	site("shrink", 10 * 16, 10);
	site("move", 5 * 8, 5);
	site("before", 8, 1);
	site("failed", 0, 0);
	return victim_ready();
}
