/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sym/strings.h"

#include <errno.h>
#include <string.h>

#define CHUNK_BYTES (64 * 1024)

struct chunk {
	struct chunk *next;
	size_t used, size;
	char data[];
};

struct slot {
	uint64_t hash;
	const char *s; /* NULL: free */
};

struct sym_strings {
	struct chunk *chunks;
	struct slot *slots;
	size_t n, mask; /* number of slots - 1; 0: none yet */
};

struct sym_strings *sym_strings_new(void)
{
	return calloc(1, sizeof(struct sym_strings));
}

void sym_strings_free(struct sym_strings *t)
{
	struct chunk *c, *next;

	if (!t)
		return;
	for (c = t->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	free(t->slots);
	free(t);
}

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t hash_bytes(const char *s, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	while (len--)
		h = (h ^ (unsigned char)*s++) * 0x100000001b3ULL;
	return h ^ h >> 32;
}

static int grow(struct sym_strings *t)
{
	size_t i, j, mask = t->mask ? t->mask * 2 + 1 : 1023;
	struct slot *slots = calloc(mask + 1, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (i = 0; t->slots && i <= t->mask; i++) {
		if (!t->slots[i].s)
			continue;
		for (j = t->slots[i].hash & mask; slots[j].s; j = (j + 1) & mask)
			;
		slots[j] = t->slots[i];
	}
	free(t->slots);
	t->slots = slots;
	t->mask = mask;
	return 0;
}

static char *room_for(struct sym_strings *t, size_t bytes)
{
	struct chunk *c = t->chunks;

	if (!c || c->size - c->used < bytes) {
		size_t size = MAX((size_t)CHUNK_BYTES, bytes);

		c = malloc(sizeof(*c) + size);
		if (!c)
			return NULL;
		*c = (struct chunk){.next = t->chunks, .size = size};
		t->chunks = c;
	}
	c->used += bytes;
	return c->data + c->used - bytes;
}

const char *sym_strings_keep(struct sym_strings *t, const char *s, size_t len)
{
	uint64_t hash = hash_bytes(s, len);
	char *copy;
	size_t i;

	if (t->n >= t->mask / 2 && grow(t))
		return NULL;
	for (i = hash & t->mask; t->slots[i].s; i = (i + 1) & t->mask) {
		const char *have = t->slots[i].s;

		if (t->slots[i].hash == hash && !strncmp(have, s, len) && !have[len])
			return have;
	}
	copy = room_for(t, len + 1);
	if (!copy)
		return NULL;
	memcpy(copy, s, len);
	copy[len] = '\0';
	t->slots[i] = (struct slot){hash, copy};
	t->n++;
	return copy;
}
