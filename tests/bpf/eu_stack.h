/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eu_stack.h - elfutils' eu-stack as the reference for stacks of a stopped process.
 */
#ifndef MEMTALLY_TESTS_EU_STACK_H
#define MEMTALLY_TESTS_EU_STACK_H

#include "lib/lib.h"

#define EU_STACK_FRAMES 300

struct eu_thread {
	pid_t tid;
	size_t n;
	bool cut;		       /* it said that it could not go on */
	uint64_t pcs[EU_STACK_FRAMES]; /* leaf first; return addresses as they are */
};

/* Skips the test, with the reason, where there is no eu-stack. */
void eu_stack_need(void);
/* What eu-stack says of all threads; how many there were room for. */
size_t eu_stack(pid_t pid, struct eu_thread *ret, size_t max);
/* NULL if eu-stack said nothing of it. */
const struct eu_thread *eu_stack_find(const struct eu_thread *threads, size_t n, pid_t tid);

/* Job control stopped it (not a tracer). */
bool is_stopped(pid_t pid, pid_t tid);
void print_pcs(const char *who, const uint64_t *pcs, size_t n);

#endif
