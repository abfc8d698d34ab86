/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slots_abi.h - direct-mapped arrays in front of the hash tables of blocks and sites: what lies
 * where. Both sides read and change them, by atomic operations on the first word of a slot.
 *
 * A key has one slot. Where that is taken by another key it spills into the hash table; a
 * slot knows how many of its blocks did, so that a look-up that ends at a slot with none
 * need not go on. Nothing is ever moved: a block is in one of the two tables as long as it is
 * in any. A site may be in both (bpf/slots.bpf.h); what counts is the sum.
 */
#ifndef SLOTS_ABI_H
#define SLOTS_ABI_H

#include "abi.h"

struct block_slot {
	__u64 address;	/* 0: nobody's */
	__u64 proc_key; /* 0: being filled or emptied; written last, taken back first */
	struct block_value block;
	__u32 spilled; /* blocks of this slot in the hash table; may be too high, never too low */
	__u32 pad;
};

/* A line of the cache each. */
struct site_slot {
	__u64 id; /* 0: nobody's; the site's sums are 0 then */
	struct site site;
};

_Static_assert(sizeof(struct block_slot) == 48, "block_slot");
_Static_assert(sizeof(struct site_slot) == 64, "site_slot");

/*
 * A slot for every four keys that there is to be room for. Four keys a slot, spread by
 * chance, leave exp(-4) = 1.8 % of the slots empty: so many the hash table has room for
 * besides, and some for chance. Tables that are far from full, as is usual, have nearly
 * everything in the slots: n keys in m slots all but n / 2m of it.
 */
static inline __u32 slots_count(__u32 keys)
{
	return keys / 4;
}

static inline __u32 slots_spill_room(__u32 keys)
{
	return keys - slots_count(keys) + keys / 128 + 8;
}

/* From the high half of x to [0, n). */
static inline __u32 slot_scale(__u64 x, __u32 n)
{
	return (x >> 32) * n >> 32;
}

/* Multiplicative hash: Knuth, The Art of Computer Programming, volume 3, section 6.4. */
static inline __u32 block_slot_of(const struct block_key *k, __u32 n)
{
	return slot_scale(
		(k->address + k->proc_key * 0x9fb21c651e98df25ULL) * 0x9e3779b97f4a7c15ULL, n);
}

/* A site's id is a hash already. */
static inline __u32 site_slot_of(__u64 id, __u32 n)
{
	return slot_scale(id, n);
}

#endif
