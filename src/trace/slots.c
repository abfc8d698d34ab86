/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/slots.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* As many elements as a page has bytes are a whole number of pages. */
static size_t window_elements(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t to_pages(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) & ~(page - 1);
}

void slots_deinit(struct slots *s)
{
	if (s->window)
		munmap(s->window, s->bytes);
	s->window = NULL;
}

static int window_move(struct slots *s, size_t first)
{
	size_t n = MIN(window_elements(), s->n - first);
	void *v;

	slots_deinit(s);
	s->first = first;
	s->bytes = to_pages(n * s->element);
	v = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd,
		 (off_t)(first * s->element));
	if (v == MAP_FAILED)
		return -errno;
	s->window = v;
	return 0;
}

/* The i-th element, valid until the next call; *ret is untouched on failure. */
static int slot_at(struct slots *s, size_t i, void *ret)
{
	size_t first = i / window_elements() * window_elements();
	int err = s->window && s->first == first ? 0 : window_move(s, first);

	if (!err)
		*(void **)ret = s->window + (i - first) * s->element;
	return err;
}

/* Copies a block if it stays the same meanwhile. */
static bool block_read(const struct block_slot *slot, struct block_key *key, struct block_value *b)
{
	key->proc_key = __atomic_load_n(&slot->proc_key, __ATOMIC_ACQUIRE);
	key->address = slot->address;
	*b = slot->block;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return key->proc_key &&
	       key->proc_key == __atomic_load_n(&slot->proc_key, __ATOMIC_RELAXED) &&
	       key->address == __atomic_load_n(&slot->address, __ATOMIC_RELAXED);
}

int slots_each_block(struct slots *s, int (*fn)(const void *key, const void *value, void *arg),
		     void *arg)
{
	struct block_slot *slot;
	struct block_value b;
	struct block_key key;
	int err = 0;

	for (uint32_t i = 0; i < s->n && !err; i++) {
		err = slot_at(s, i, &slot);
		if (!err && block_read(slot, &key, &b))
			err = fn(&key, &b, arg);
	}
	return err;
}

struct site_walk {
	struct slots *slots;
	int (*fn)(const void *key, const void *value, void *arg);
	void *arg;
	struct site_slot *twins; /* what the hash table has of sites that a slot has too */
	size_t n, cap;
};

/* Not through the window: these are few, and anywhere. */
static bool has_slot(const struct slots *s, uint64_t id)
{
	uint32_t i = site_slot_of(id, s->n);
	struct site_slot slot;

	return s->n && !bpf_map_lookup_elem(s->fd, &i, &slot) && slot.id == id &&
	       slot.site.proc_key;
}

static int on_hash_site(const void *key, const void *value, void *arg)
{
	const uint64_t *id = key;
	struct site_walk *w = arg;
	int err;

	if (!has_slot(w->slots, *id))
		return w->fn(key, value, w->arg);
	err = array_reserve(&w->twins, &w->cap, w->n + 1, sizeof(*w->twins));
	if (!err)
		w->twins[w->n++] = (struct site_slot){*id, *(const struct site *)value};
	return err;
}

static void add_twin(const struct site_walk *w, uint64_t id, struct site *site)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct site *twin = &w->twins[i].site;

		if (w->twins[i].id != id)
			continue;
		site->bytes += twin->bytes;
		site->extra += twin->extra;
		site->allocs += twin->allocs;
		site->frees += twin->frees;
		site->born_sum += twin->born_sum;
	}
}

static int each_slot_site(const struct site_walk *w)
{
	struct site_slot *slot;
	struct site site;
	int err = 0;

	for (uint32_t i = 0; i < w->slots->n && !err; i++) {
		err = slot_at(w->slots, i, &slot);
		if (err || !__atomic_load_n(&slot->site.proc_key, __ATOMIC_ACQUIRE))
			continue; /* nobody's, or being made */
		site = slot->site;
		add_twin(w, slot->id, &site);
		err = w->fn(&slot->id, &site, w->arg);
	}
	return err;
}

int slots_each_site(struct slots *s, const struct collect_map *hash,
		    int (*fn)(const void *key, const void *value, void *arg), void *arg)
{
	struct site_walk w = {.slots = s, .fn = fn, .arg = arg};
	int err = collect_each(hash, on_hash_site, &w);

	if (!err)
		err = each_slot_site(&w);
	free(w.twins);
	return err;
}

/* In the order of bpf/slots.bpf.h. */
int slots_drop_block(struct slots *s, const struct block_key *key)
{
	struct block_slot *slot;
	__typeof__(slot->proc_key) owner = key->proc_key;
	int err = slot_at(s, block_slot_of(key, s->n), &slot);

	if (err || slot->address != key->address ||
	    !__atomic_compare_exchange_n(&slot->proc_key, &owner, 0, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return err;
	__atomic_store_n(&slot->address, 0, __ATOMIC_RELEASE);
	return 0;
}

int slots_drop_site(struct slots *s, uint64_t id)
{
	struct site_slot *slot;
	int err = slot_at(s, site_slot_of(id, s->n), &slot);

	if (err || slot->id != id)
		return err;
	slot->site = (struct site){0};
	__atomic_store_n(&slot->id, 0, __ATOMIC_RELEASE);
	return 0;
}

int slots_unspill(struct slots *s, const struct block_key *key)
{
	struct block_slot *slot;
	int err = slot_at(s, block_slot_of(key, s->n), &slot);

	if (!err)
		__atomic_fetch_sub(&slot->spilled, 1, __ATOMIC_RELAXED);
	return err;
}
