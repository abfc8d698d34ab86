/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/stacks.h"

#include <errno.h>
#include <string.h>

struct slot {
	uint64_t site;
	struct stack *stack; /* NULL: empty */
	bool alias;	     /* the stack is another slot's */
};

/* Open addressing; site ids are hashes already. Never more than half full. */
struct stacks {
	struct slot *slots;
	size_t n, cap;
	size_t bytes;
};

struct stacks *stacks_new(void)
{
	return calloc(1, sizeof(struct stacks));
}

void stacks_free(struct stacks *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->cap; i++)
		if (!s->slots[i].alias)
			free(s->slots[i].stack);
	free(s->slots);
	free(s);
}

static struct slot *slot_of(const struct stacks *s, uint64_t site)
{
	size_t i = site & (s->cap - 1);

	while (s->slots[i].stack && s->slots[i].site != site)
		i = (i + 1) & (s->cap - 1);
	return &s->slots[i];
}

static int grow(struct stacks *s)
{
	struct stacks old = *s;

	s->cap = old.cap ? old.cap * 2 : 1024;
	s->slots = calloc(s->cap, sizeof(*s->slots));
	if (!s->slots) {
		*s = old;
		return -ENOMEM;
	}
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].stack)
			*slot_of(s, old.slots[i].site) = old.slots[i];
	free(old.slots);
	return 0;
}

/* The slot of a site, empty if the site is new; NULL without memory. */
static struct slot *slot_for(struct stacks *s, uint64_t site)
{
	if (s->n * 2 >= s->cap && grow(s))
		return NULL;
	return slot_of(s, site);
}

int stacks_add(struct stacks *s, const struct stack_event *ev)
{
	size_t n = MIN(ev->n, ABI_MAX_FRAMES), bytes;
	struct slot *slot = slot_for(s, ev->site);
	struct stack *st;

	if (!slot)
		return -ENOMEM;
	if (slot->stack)
		return 0;
	bytes = sizeof(*st) + n * sizeof(st->pcs[0]);
	st = malloc(bytes);
	if (!st)
		return -ENOMEM;
	st->site = ev->site;
	st->proc_key = ev->ev.proc_key;
	st->tid = ev->ev.tid;
	st->kind = ev->kind;
	st->status = ev->status;
	st->flags = ev->flags;
	st->n = (uint16_t)n;
	memcpy(st->pcs, ev->pcs, n * sizeof(st->pcs[0]));
	*slot = (struct slot){ev->site, st, false};
	s->n++;
	s->bytes += bytes;
	return 0;
}

int stacks_add_alias(struct stacks *s, uint64_t alias, uint64_t site)
{
	struct slot *slot = slot_for(s, alias);
	struct stack *st;

	if (!slot)
		return -ENOMEM;
	if (slot->stack)
		return 0;
	st = slot_of(s, site)->stack;
	if (!st)
		return 0;
	*slot = (struct slot){alias, st, true};
	s->n++;
	return 0;
}

int stacks_drop(struct stacks *s, bool (*fn)(const struct stack *st, void *arg), void *arg)
{
	struct stacks kept = {.cap = s->cap, .slots = calloc(s->cap + 1, sizeof(*s->slots))};

	if (!kept.slots)
		return -ENOMEM;
	for (size_t i = 0; i < s->cap; i++) {
		const struct slot *slot = &s->slots[i];

		if (!slot->stack || fn(slot->stack, arg))
			continue;
		*slot_of(&kept, slot->site) = *slot;
		kept.n++;
		if (!slot->alias)
			kept.bytes +=
				sizeof(*slot->stack) + slot->stack->n * sizeof(slot->stack->pcs[0]);
	}
	/* Those not kept: their aliases went too, as fn sees the same stack. */
	for (size_t i = 0; i < s->cap; i++)
		if (s->slots[i].stack && !s->slots[i].alias &&
		    !slot_of(&kept, s->slots[i].site)->stack)
			free(s->slots[i].stack);
	free(s->slots);
	*s = kept;
	return 0;
}

const struct stack *stacks_find(const struct stacks *s, uint64_t site)
{
	return s->cap ? slot_of(s, site)->stack : NULL;
}

uint64_t stacks_site(const struct stacks *s, uint64_t site)
{
	const struct stack *st = stacks_find(s, site);

	return st ? st->site : site;
}

size_t stacks_bytes(const struct stacks *s)
{
	return s->bytes + s->cap * sizeof(*s->slots);
}
