/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jemalloc's own functions. --lib FILE names the library. With --late it is loaded after
 * `go`, and the program pokes it once per step until a step other than "poke" comes (any
 * line that starts with g): the tracer needs a moment to notice a new allocator.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "victim.h"

static void *(*je_mallocx)(size_t size, int flags);
static void *(*je_rallocx)(void *p, size_t size, int flags);
static size_t (*je_xallocx)(void *p, size_t size, size_t extra, int flags);
static void (*je_dallocx)(void *p, int flags);
static void (*je_sdallocx)(void *p, size_t size, int flags);
static long xallocx_bytes;

static void load(void)
{
	void *lib = dlopen(victim_text("lib"), RTLD_NOW | RTLD_LOCAL);

	if (!lib)
		abort();
	*(void **)&je_mallocx = dlsym(lib, "mallocx");
	*(void **)&je_rallocx = dlsym(lib, "rallocx");
	*(void **)&je_xallocx = dlsym(lib, "xallocx");
	*(void **)&je_dallocx = dlsym(lib, "dallocx");
	*(void **)&je_sdallocx = dlsym(lib, "sdallocx");
	if (!je_mallocx || !je_rallocx || !je_xallocx || !je_dallocx || !je_sdallocx)
		abort();
}

NOINLINE static void mallocx_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = je_mallocx(150, 0);

		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(mallocx)

NOINLINE static void rallocx_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = je_mallocx(100, 0);

		OPAQUE(p);
		p = je_rallocx(p, 3000, 0);
		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(rallocx)

/* Grows in place or not at all, told by the usable size. As with malloc, asked bytes count. */
NOINLINE static void xallocx_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = je_mallocx(20000, 0);

		OPAQUE(p);
		xallocx_bytes += je_xallocx(p, 24000, 0, 0) >= 24000 ? 24000 : 20000;
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(xallocx)

NOINLINE static void dallocx_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		void *p = je_mallocx(70, 0);

		OPAQUE(p);
		je_dallocx(p, 0);
		p = je_mallocx(90, 0);
		OPAQUE(p);
		je_sdallocx(p, 90, 0);
	}
	NO_TAIL_CALL();
}
VICTIM_CHAIN(dallocx)

NOINLINE static void poke_leaf(long n)
{
	void *p = je_mallocx(n, 0);

	OPAQUE(p);
	NO_TAIL_CALL();
}
VICTIM_CHAIN(poke)

static long poke_until_go(void)
{
	char line[64];
	long pokes = 0;

	do {
		poke_top(8);
		pokes++;
		if (write(STDOUT_FILENO, "{\"state\": \"poked\"}\n", 19) != 19 ||
		    read(STDIN_FILENO, line, sizeof(line)) <= 0)
			abort();
	} while (line[0] != 'g');
	return pokes;
}

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	if (!victim_text("late"))
		load();
	victim_go();
	if (victim_text("late")) {
		load();
		victim_note("pokes", poke_until_go());
	}
	mallocx_top(400);
	rallocx_top(30);
	xallocx_top(25);
	dallocx_top(200);
	victim_chain("mallocx", "malloc", 60000, 400);
	victim_chain("rallocx", "malloc", 90000, 30);
	victim_chain("xallocx", "malloc", xallocx_bytes, 25); /* stays with its mallocx() */
	victim_chain("dallocx", "malloc", 0, 0);
	return victim_ready();
}
