/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The eleven leaking sites of the ground truth, each a chain of its own, and sites that
 * give everything back. --threads N runs all of them in N threads, one after the other
 * in each: every number times N.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "victim.h"

#define MAX_THREADS 16
#define STACK_BYTES (256 << 10)

static void *keep(void *p)
{
	OPAQUE(p);
	if (!p)
		abort();
	return p;
}

NOINLINE static void l1_leaf(long n)
{
	for (long i = 0; i < n; i++)
		keep(malloc(100));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(l1)

NOINLINE static void l2_leaf(long n)
{
	for (long i = 0; i < n; i++)
		keep(calloc(4, 60));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(l2)

NOINLINE static void l3_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = NULL;

		for (size_t size = 64; size <= 1024; size *= 2)
			p = keep(realloc(p, size));
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(l3)

NOINLINE static void l4_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = NULL;

		if (posix_memalign(&p, 64, 300))
			abort();
		keep(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(l4)

/* Over the mmap threshold: the allocator maps it, the program called malloc. */
NOINLINE static void l5_leaf(long n)
{
	for (long i = 0; i < n; i++)
		keep(malloc(1 << 20));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(l5)

NOINLINE static void l6_leaf(long n)
{
	for (long i = 0; i < n; i++)
		keep(aligned_alloc(64, 512));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(l6)

NOINLINE static void l7_leaf(long n)
{
	for (long i = 0; i < n; i++)
		keep(memalign(32, 700));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(l7)

NOINLINE static void l8_leaf(long n)
{
	const char *text = "forty characters, and then the last byte";

	OPAQUE(text);
	for (long i = 0; i < n; i++)
		keep(strdup(text));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(l8)

NOINLINE static void l9_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		if (p == MAP_FAILED || munmap(p + 32768, 32768))
			abort();
		keep(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(l9)

/* A realloc that fails leaves the old block where it was. */
NOINLINE static void l10_leaf(long n)
{
	size_t huge = SIZE_MAX / 2;

	OPAQUE(huge);
	for (long i = 0; i < n; i++) {
		void *p = keep(malloc(123));

		if (realloc(p, huge))
			abort();
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(l10)

NOINLINE static void l11_leaf(long n)
{
	for (long i = 0; i < n; i++)
		keep(reallocarray(NULL, 31, 10));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(l11)

NOINLINE static void f1_leaf(long n)
{
	for (long i = 0; i < n; i++)
		free(keep(malloc(100)));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(f1)

NOINLINE static void f2_leaf(long n)
{
	for (long i = 0; i < n; i++)
		free(keep(realloc(keep(calloc(2, 50)), 3000)));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(f2)

NOINLINE static void f3_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = NULL;

		if (posix_memalign(&p, 4096, 5000))
			abort();
		free(keep(p));
		free(keep(aligned_alloc(128, 256)));
		free(keep(memalign(16, 99)));
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(f3)

NOINLINE static void f4_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED || munmap(p, 65536))
			abort();
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(f4)

NOINLINE static void f5_leaf(long n)
{
	for (long i = 0; i < n; i++)
		free(keep(malloc(1 << 20)));
	NO_TAIL_CALL();
}
VICTIM_CHAIN(f5)

static const struct {
	const char *name, *kind, *via;
	void (*run)(long n);
	long loops, bytes_each, counted;
} table[] = {
	{"l1", "malloc", "", l1_top, 1000, 100, 1},
	{"f1", "malloc", "", f1_top, 1000, 0, 0},
	{"l2", "malloc", "", l2_top, 500, 240, 1},
	{"f2", "malloc", "", f2_top, 500, 0, 0},
	{"l3", "malloc", "", l3_top, 200, 1024, 1},
	{"l4", "malloc", "", l4_top, 100, 300, 1},
	{"f3", "malloc", "", f3_top, 100, 0, 0},
	{"l5", "malloc", "", l5_top, 20, 1 << 20, 1},
	{"f5", "malloc", "", f5_top, 20, 0, 0},
	{"l6", "malloc", "", l6_top, 50, 512, 1},
	{"l7", "malloc", "", l7_top, 30, 700, 1},
	{"l8", "malloc", "strdup", l8_top, 60, 41, 1},
	{"l9", "mmap", "", l9_top, 10, 32768, 1},
	{"f4", "mmap", "", f4_top, 50, 0, 0},
	{"l10", "malloc", "", l10_top, 40, 123, 1},
	/* Without an own reallocarray, the C library's one calls the allocator. */
	{"l11", "malloc", "reallocarray", l11_top, 25, 310, 1},
};

NOINLINE static void *run_sites(void *arg)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		table[i].run(table[i].loops);
	NO_TAIL_CALL();
	return arg;
}

/* Stacks of our own: pthread_create() then maps nothing. */
static char stacks[MAX_THREADS][STACK_BYTES] __attribute__((aligned(4096)));

static void run_threads(long n)
{
	pthread_t threads[MAX_THREADS];
	pthread_attr_t attr;

	for (long i = 0; i < n; i++) {
		pthread_attr_init(&attr);
		pthread_attr_setstack(&attr, stacks[i], STACK_BYTES);
		if (pthread_create(&threads[i], &attr, run_sites, NULL))
			abort();
		pthread_attr_destroy(&attr);
	}
	for (long i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	long threads;

	victim_init(argc, argv);
	threads = victim_option("threads", 0);
	victim_go();
	if (threads)
		run_threads(threads);
	else
		run_sites(NULL);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		long n = table[i].loops * table[i].counted * (threads ? threads : 1);
		char chain[64];

		strcpy(chain, table[i].name);
		for (int part = 0; part < 3; part++) {
			static const char *const parts[] = {"leaf", "mid", "top"};

			if (part)
				strcat(strcat(chain, " "), table[i].name);
			strcat(strcat(chain, "_"), parts[part]);
		}
		strcat(chain, " run_sites");
		victim_site(&(struct victim_truth){.name = table[i].name,
						   .chain = chain,
						   .kind = table[i].kind,
						   .via = table[i].via,
						   .bytes = n * table[i].bytes_each,
						   .count = n});
	}
	return victim_ready();
}
