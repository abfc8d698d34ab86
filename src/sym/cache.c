/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sym/cache.h"

#include <errno.h>
#include <string.h>

struct sym_cache {
	struct sym_cached *slots;
	size_t n, mask; /* number of slots - 1 */
	struct frame *frames;
	size_t n_frames, cap_frames;
};

struct sym_cache *sym_cache_new(void)
{
	struct sym_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->mask = 1023;
	c->slots = calloc(c->mask + 1, sizeof(*c->slots));
	if (!c->slots) {
		free(c);
		return NULL;
	}
	return c;
}

void sym_cache_free(struct sym_cache *c)
{
	if (!c)
		return;
	free(c->slots);
	free(c->frames);
	free(c);
}

/* Multiplication by 2^64 / golden ratio; the high bits are the mixed ones. */
static size_t slot_of(const struct sym_key *key, size_t mask)
{
	uint64_t h = key->vaddr ^ (uint64_t)key->object << 40 ^ (uint64_t)key->is_return << 63;

	return (size_t)(h * 0x9e3779b97f4a7c15ULL >> 32) & mask;
}

static bool same_key(const struct sym_key *a, const struct sym_key *b)
{
	return a->vaddr == b->vaddr && a->object == b->object && a->is_return == b->is_return;
}

/* The slot of the key, or the free one where it belongs. */
static struct sym_cached *probe(struct sym_cached *slots, size_t mask, const struct sym_key *key)
{
	size_t i = slot_of(key, mask);

	while (slots[i].n && !same_key(&slots[i].key, key))
		i = (i + 1) & mask;
	return &slots[i];
}

static int grow(struct sym_cache *c)
{
	size_t i, mask = c->mask * 2 + 1;
	struct sym_cached *slots = calloc(mask + 1, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (i = 0; i <= c->mask; i++) {
		if (c->slots[i].n)
			*probe(slots, mask, &c->slots[i].key) = c->slots[i];
	}
	free(c->slots);
	c->slots = slots;
	c->mask = mask;
	return 0;
}

const struct sym_cached *sym_cache_find(const struct sym_cache *c, const struct sym_key *key)
{
	const struct sym_cached *e = probe(c->slots, c->mask, key);

	return e->n ? e : NULL;
}

const struct sym_cached *sym_cache_add(struct sym_cache *c, const struct sym_cached *add,
				       const struct frame *frames)
{
	struct sym_cached *e;

	if ((c->n >= c->mask / 2 && grow(c)) ||
	    array_reserve(&c->frames, &c->cap_frames, c->n_frames + add->n, sizeof(*frames)))
		return NULL;
	memcpy(c->frames + c->n_frames, frames, add->n * sizeof(*frames));
	e = probe(c->slots, c->mask, &add->key);
	*e = *add;
	e->first = c->n_frames;
	c->n_frames += add->n;
	c->n++;
	return e;
}

const struct frame *sym_cache_frames(const struct sym_cache *c, const struct sym_cached *e)
{
	return c->frames + e->first;
}

size_t sym_cache_count(const struct sym_cache *c)
{
	return c->n;
}
