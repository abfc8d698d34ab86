/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slots.bpf.h - the arrays of include/slots_abi.h: most blocks and sites are found there by one
 * access, without the hash, the lock and the free list of a hash table. Part of
 * outstanding.bpf.h, for programs that define OUTSTANDING_SLOTS and are built with -mcpu=v3;
 * not with COMPAT_OLD, as compare-and-exchange came with v5.12 (5ffa25502b5a "bpf: Add
 * instructions for atomic_[cmp]xchg"). This header carries maps.
 *
 * Order of accesses to a block's slot:
 *   put   claims the address (compare-and-exchange with 0), fills in the block, publishes
 *         proc_key;
 *   take  takes proc_key back (compare-and-exchange with 0: one of many wins), copies the
 *         block, gives the address up.
 * So a key that matches in both words is whole, and the words of two owners are never seen
 * together. A free on another CPU follows upon the return of its allocation, that is after
 * put; programs of kernels before v6.18 have no ordered loads and stores, so that on
 * machines that reorder stores (aarch64) publishing is an exchange.
 *
 * A site's slot is claimed by compare-and-exchange too and becomes nobody's only when user
 * space drops it, its process having ended. In this moment another site can come into both
 * tables: one thread saw the slot taken and puts the site into the hash table; a second one,
 * which had looked there before, sees the slot free and claims it. No order of accesses
 * helps, as each of them may be interrupted between look and change. It does no harm: each
 * change of the site is made to one of its two elements, and its totals are the sum of both,
 * of which one alone may be negative. Readers add them up (slots_each_site() of
 * src/trace/slots.h).
 */
#ifndef SLOTS_BPF_H
#define SLOTS_BPF_H

#include "slots_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* sized before load: cfg.block_slots */
	__type(key, __u32);
	__type(value, struct block_slot);
} block_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* sized before load: cfg.site_slots */
	__type(key, __u32);
	__type(value, struct site_slot);
} site_slots SEC(".maps");

#ifdef COMPAT_OLD /* the maps alone, so that both objects have the same */
#define SLOTS_EXCHANGE(p, old, new) (*(p))
#define SLOTS_PUBLISH(p, v)
#define SLOTS_ON 0
#else
#define SLOTS_EXCHANGE(p, old, new) __sync_val_compare_and_swap(p, old, new)
#if defined(__TARGET_ARCH_x86)
#define SLOTS_PUBLISH(p, v)                    \
	do {                                   \
		asm volatile("" ::: "memory"); \
		*(volatile __u64 *)(p) = (v);  \
	} while (0)
#else
#define SLOTS_PUBLISH(p, v) __sync_lock_test_and_set(p, v)
#endif
#define SLOTS_ON 1
#endif

static __always_inline struct block_slot *block_slot(const struct block_key *key)
{
	__u32 i;

	if (!SLOTS_ON || !cfg.block_slots)
		return NULL;
	i = block_slot_of(key, cfg.block_slots);
	return bpf_map_lookup_elem(&block_slots, &i);
}

/*
 * 1: the block was there, *ret is its copy. Between the look and the exchange the slot may
 * have come to another block of the process only if two threads free the same one; that
 * block is put back.
 */
static __always_inline int block_slot_take(struct block_slot *s, const struct block_key *key,
					   struct block_value *ret)
{
	if (s->address != key->address || s->proc_key != key->proc_key ||
	    SLOTS_EXCHANGE(&s->proc_key, key->proc_key, 0) != key->proc_key)
		return 0;
	if (*(volatile __u64 *)&s->address != key->address) {
		SLOTS_PUBLISH(&s->proc_key, key->proc_key);
		return 0;
	}
	*ret = s->block;
	SLOTS_PUBLISH(&s->address, 0);
	return 1;
}

/* 1 if the slot was nobody's and has the block now. */
static __always_inline int block_slot_put(struct block_slot *s, const struct block_key *key,
					  const struct block_value *b)
{
	if (s->address || SLOTS_EXCHANGE(&s->address, 0, key->address))
		return 0;
	s->block = *b;
	SLOTS_PUBLISH(&s->proc_key, key->proc_key);
	return 1;
}

/* The slot of a site; NULL if it belongs to another one. */
static __always_inline struct site_slot *site_slot(__u64 id)
{
	struct site_slot *s;
	__u32 i;

	if (!SLOTS_ON || !cfg.site_slots || !id)
		return NULL;
	i = site_slot_of(id, cfg.site_slots);
	s = bpf_map_lookup_elem(&site_slots, &i);
	return s && (!s->id || s->id == id) ? s : NULL;
}

/*
 * Gives a site the slot that was nobody's, unless another one has come first. Sums may
 * change at once; readers pass over a site whose proc_key is not there yet.
 */
static __always_inline struct site *site_slot_claim(struct site_slot *slot, __u64 id,
						    const struct site *fresh)
{
	__u64 owner = SLOTS_EXCHANGE(&slot->id, 0, id);

	if (owner && owner != id)
		return NULL;
	if (!owner) {
		slot->site.tid = fresh->tid;
		slot->site.kind = fresh->kind;
		slot->site.status = fresh->status;
		slot->site.sent = fresh->sent;
		SLOTS_PUBLISH(&slot->site.proc_key, fresh->proc_key);
	}
	return &slot->site;
}

#endif
