/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * victim.h - a program with a known answer.
 *
 * Protocol, one JSON object a line on stdout:
 *
 *   {"state": "start", "pid": 17}            waits for a line on stdin (`go`)
 *   {"state": "NAME", "pid": 17}             a step: waits for a line again
 *   {"state": "ready", "pid": 17, "sites": {"l1": {"function": "l1_leaf", ...}}}
 *                                            waits for a line or the end of stdin, exits
 *
 * The tracer attaches between start and go, so that the truth is the whole truth: a
 * victim calls no allocator between `go` and `ready` but for its sites. Hence no stdio
 * here, every line comes from a static buffer.
 *
 * Options of all victims: --no-wait (never reads stdin), --truth FILE (the lines go
 * there, stdout stays empty), --status N (exit status), --comm NAME (process name),
 * --kill N (raises signal N in place of exiting).
 */
#ifndef VICTIM_H
#define VICTIM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noipa))
#endif

/* After a call: keeps it from becoming a jump, which would drop the caller's frame. */
#define NO_TAIL_CALL() __asm__ volatile("" ::: "memory")

/* Makes a value unknown to the compiler: no unrolled loop, no elided malloc. */
#define OPAQUE(x) __asm__ volatile("" : "+r"(x)::"memory")

/*
 * NAME_top() calls NAME_mid() calls NAME_leaf(): one chain of three frames. The leaf does
 * not know n, so that no compiler makes several call sites of one loop.
 */
#define VICTIM_CHAIN(name)                      \
	NOINLINE static void name##_mid(long n) \
	{                                       \
		OPAQUE(n);                      \
		name##_leaf(n);                 \
		NO_TAIL_CALL();                 \
	}                                       \
	NOINLINE static void name##_top(long n) \
	{                                       \
		name##_mid(n);                  \
		NO_TAIL_CALL();                 \
	}

/* The value of `--name N`, or `fallback`; victim_text() is for strings. */
long victim_option(const char *name, long fallback);

/* The same where the fallback only makes a load longer: its E2E_PART-th part (conftest.py). */
long victim_load(const char *name, long fallback);
const char *victim_text(const char *name);

/* Remembers the options. First call of main(). */
void victim_init(int argc, char **argv);
/* Prints the start line and waits for `go`. */
void victim_go(void);
/* From here on allocations count; part of victim_go(), alone for an image after exec. */
void victim_count(void);
/* Prints a state line and waits for a line. */
void victim_step(const char *name);

/*
 * What is outstanding at a site: its functions leaf first (separated by blanks), bytes
 * and count; 0 and 0 say that the site must not show. A negative count is not checked.
 * kind is "malloc", "mmap" or "custom"; via names the library functions that may stand
 * between the allocator and the leaf ("" for none).
 */
struct victim_truth {
	const char *name, *chain, *kind, *via;
	long bytes, count;
};
void victim_site(const struct victim_truth *t);
/* The usual one: chain is NAME_leaf NAME_mid NAME_top. */
void victim_chain(const char *name, const char *kind, long bytes, long count);

/* Prints the truth, waits, returns the exit status for main(). */
int victim_ready(void);
/* Adds "key": value to the ready line. */
void victim_note(const char *key, long value);

#ifdef __cplusplus
}
#endif

#endif
