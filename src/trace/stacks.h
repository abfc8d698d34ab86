/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stacks.h - the frames of each site, as they came out of the event ring: user space keeps
 * them in exact size, so that the kernel needs no table of full-length stacks.
 */
#ifndef MEMTALLY_STACKS_H
#define MEMTALLY_STACKS_H

#include "lib/lib.h"
#include "abi.h"

struct stack {
	uint64_t site;
	uint64_t proc_key;
	uint32_t tid;
	uint8_t kind;	/* enum alloc_kind */
	uint8_t status; /* enum walk_status */
	uint8_t flags;	/* WALK_FLAG_* */
	uint16_t n;
	uint64_t pcs[]; /* leaf first */
};

struct stacks;

struct stacks *stacks_new(void);
void stacks_free(struct stacks *s);
/* Adds a stack unless its site is known. 0 or -ENOMEM. */
int stacks_add(struct stacks *s, const struct stack_event *ev);
/* Another site with the stack of a known one: of a call that was finished late. 0 or -ENOMEM. */
int stacks_add_alias(struct stacks *s, uint64_t alias, uint64_t site);
/* The site that has the stack under its own name; unknown ones are their own. */
uint64_t stacks_site(const struct stacks *s, uint64_t site);
/* NULL if unknown. Valid until stacks_free(). */
const struct stack *stacks_find(const struct stacks *s, uint64_t site);
/* Frees the stacks that fn says so of, and their aliases. 0 or -ENOMEM (nothing was freed). */
int stacks_drop(struct stacks *s, bool (*fn)(const struct stack *st, void *arg), void *arg);
size_t stacks_bytes(const struct stacks *s);

#endif
