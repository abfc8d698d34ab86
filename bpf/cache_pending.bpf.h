/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache_pending.bpf.h - one bit per page that was put into the cache since tracing began
 * and was not used yet, of all processes. Its first use is a read-ahead hit; a bit still
 * set when the page leaves is a page fetched for nothing.
 *
 * Bits live in chunks of 512 pages. Words change by atomic operations and what counts is
 * the value before, so of two readers only one takes a page. A table of counters says of
 * every chunk's bucket how many bits are set in it; most reads find 0 there and are done.
 * A bit is announced there before it is set, so 0 is never wrong.
 */
#ifndef CACHE_PENDING_BPF_H
#define CACHE_PENDING_BPF_H

#include "common.bpf.h"
#include "cache_abi.h"

const volatile struct cache_cfg cache_cfg;

/* Kernels before v6.1 want the tables of programs on kprobes to be allocated in advance. */
#ifdef CACHE_CALLS
#define PENDING_MAX 65536
#define ROWS_MAX    4096
#define TABLE_FLAGS 0
#else
#define PENDING_MAX 262144
#define ROWS_MAX    16384
#define TABLE_FLAGS BPF_F_NO_PREALLOC
#endif

#define CHUNK_SHIFT	9
#define CHUNK_WORDS	8
#define HINTS		16384
#define RANGE_CHUNKS	(1 << 20)
#define CHUNKS_UNROLLED 64 /* 128 MiB of a file */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CACHE_STAT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} cache_stats SEC(".maps");

/* Programs on functions can be preempted, on tracepoints where they have turns. */
#ifdef CACHE_CALLS
#define COUNTS_ATOMIC 1
#else
#define COUNTS_ATOMIC (cache_cfg.turns && !cfg.hold)
#endif

#define ADD(counter, by)                                            \
	do {                                                        \
		if (COUNTS_ATOMIC)                                  \
			__sync_fetch_and_add(counter, (__u64)(by)); \
		else                                                \
			*(counter) += (__u64)(by);                  \
	} while (0)

static __always_inline void cache_count(__u32 id, __u64 by)
{
	__u64 *n = bpf_map_lookup_elem(&cache_stats, &id);

	if (n)
		ADD(n, by);
}

struct pending_key {
	__u64 ino;
	__u32 dev;
	__u32 chunk;
};

struct pending_chunk {
	__u64 words[CHUNK_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PENDING_MAX);
	__uint(map_flags, TABLE_FLAGS);
	__type(key, struct pending_key);
	__type(value, struct pending_chunk);
} pending SEC(".maps");

__u32 pending_hints[HINTS];

enum pending_op { PENDING_SET, PENDING_TAKE, PENDING_REMOVE };

/* Pages [lo, hi) of a file; n: how many bits were set before. */
struct pending_walk {
	struct pending_key key;
	__u32 op;
	__u32 pad;
	__u64 lo, hi;
	__u64 n;
};

static __always_inline __u32 *pending_hint(const struct pending_key *key)
{
	__u64 h = hash_mix(hash_mix(key->ino, key->dev), key->chunk);

	return &pending_hints[h & (HINTS - 1)];
}

/* The bits of word w of the chunk that are in [lo, hi). */
static __always_inline __u64 word_mask(const struct pending_walk *p, __u64 first)
{
	__u64 lo = p->lo > first ? p->lo - first : 0;
	__u64 hi = p->hi > first ? p->hi - first : 0;

	if (lo >= 64 || !hi)
		return 0;
	return (~0ULL << lo) & (hi >= 64 ? ~0ULL : (1ULL << (hi & 63)) - 1);
}

static __always_inline __u32 bits_in(__u64 v)
{
	v -= (v >> 1) & 0x5555555555555555ULL;
	v = (v & 0x3333333333333333ULL) + ((v >> 2) & 0x3333333333333333ULL);
	v = (v + (v >> 4)) & 0x0F0F0F0F0F0F0F0FULL;
	return v * 0x0101010101010101ULL >> 56;
}

/*
 * Each gives the bits there were. Before v5.12 (5ca419f2864a "bpf: Add BPF_FETCH field / create
 * atomic_fetch_add instruction") BPF cannot fetch and change at once: two CPUs in the same 64
 * pages at the same instant may take a page twice, or forget one.
 */
static __always_inline __u64 word_or(__u64 *word, __u64 mask)
{
#ifdef CACHE_CALLS
	__u64 old = *(volatile __u64 *)word;

	*(volatile __u64 *)word = old | mask;
	return old;
#else
	return __sync_fetch_and_or(word, mask);
#endif
}

static __always_inline __u64 word_clear(__u64 *word, __u64 mask)
{
#ifdef CACHE_CALLS
	__u64 old = *(volatile __u64 *)word;

	*(volatile __u64 *)word = old & ~mask;
	return old;
#else
	return __sync_fetch_and_and(word, ~mask);
#endif
}

static __always_inline __u32 word_set(__u64 *word, __u64 mask, __u32 *hint)
{
	__u64 old;

	__sync_fetch_and_add(hint, bits_in(mask));
	old = word_or(word, mask);
	if (old & mask)
		__sync_fetch_and_add(hint, -bits_in(old & mask));
	return 0;
}

static __always_inline __u32 word_take(__u64 *word, __u64 mask, __u32 *hint)
{
	__u32 n;

	if (!(*word & mask))
		return 0;
	n = bits_in(word_clear(word, mask) & mask);
	__sync_fetch_and_add(hint, -n);
	return n;
}

#ifdef CACHE_CALLS
#define PENDING_WORDS static __always_inline
#else
#define PENDING_WORDS __noinline
#endif

/*
 * Does p's op on the words of one chunk, whose first page is `first`; how many bits were
 * taken. A global function: the verifier looks at it once, not once per caller and loop.
 */
PENDING_WORDS __u32 pending_words(struct pending_chunk *c, struct pending_walk *p, __u64 first)
{
	__u32 *hint, n = 0;

	if (!c || !p)
		return 0;
	hint = pending_hint(&p->key);
	for (int w = 0; w < CHUNK_WORDS; w++) {
		__u64 mask = word_mask(p, first + w * 64);

		if (mask)
			n += p->op == PENDING_SET ? word_set(&c->words[w], mask, hint)
						  : word_take(&c->words[w], mask, hint);
	}
	return n;
}

static __always_inline struct pending_chunk *chunk_find(const struct pending_walk *p)
{
	struct pending_chunk *c = bpf_map_lookup_elem(&pending, &p->key);
	struct pending_chunk blank = {};

	if (c || p->op != PENDING_SET)
		return c;
	bpf_map_update_elem(&pending, &p->key, &blank, BPF_NOEXIST);
	return bpf_map_lookup_elem(&pending, &p->key);
}

/*
 * A chunk whose last page leaves the cache goes. Another CPU that sets a bit in it at this
 * instant would lose that bit; the page would have to enter the cache in the 2 MiB that is
 * just being emptied.
 */
static __always_inline void chunk_drop(const struct pending_walk *p, struct pending_chunk *c)
{
	__u64 any = 0;

	for (int i = 0; i < CHUNK_WORDS; i++)
		any |= c->words[i];
	if (!any)
		bpf_map_delete_elem(&pending, &p->key);
}

static long pending_one(__u32 i, struct pending_walk *p)
{
	__u64 first = ((p->lo >> CHUNK_SHIFT) + i) << CHUNK_SHIFT;
	struct pending_chunk *c;
	__u32 *hint;

	p->key.chunk = first >> CHUNK_SHIFT;
	hint = pending_hint(&p->key);
	if (p->op == PENDING_TAKE && !*(volatile __u32 *)hint)
		return 0;
	c = chunk_find(p);
	if (!c) {
		if (p->op == PENDING_SET)
			cache_count(CACHE_STAT_PENDING_FULL, 1);
		return 0;
	}
	p->n += pending_words(c, p, first);
	if (p->op == PENDING_REMOVE)
		chunk_drop(p, c);
	return 0;
}

#ifdef CACHE_CALLS
/*
 * Before v5.12 (e5069b9c23b3 "bpf: Support pointers in global func args") global functions take
 * numbers only; what: the op and the device. [lo, hi) is in one chunk.
 */
__noinline __u64 pending_chunk_do(__u64 ino, __u64 what, __u64 lo, __u64 hi)
{
	struct pending_walk w = {
		.key = {.ino = ino, .dev = what}, .op = what >> 32, .lo = lo, .hi = hi};

	pending_one(0, &w);
	return w.n;
}

/* No bpf_loop (v5.17, e6f2dd0f8067): what is beyond a limit is a loss. */
__noinline __u64 pending_range_do(__u64 ino, __u64 what, __u64 lo, __u64 hi)
{
	__u64 n = 0;

	for (int i = 0; i < CHUNKS_UNROLLED && lo < hi; i++) {
		__u64 end = ((lo >> CHUNK_SHIFT) + 1) << CHUNK_SHIFT;

		n += pending_chunk_do(ino, what, lo, end < hi ? end : hi);
		lo = end;
	}
	if (lo < hi)
		cache_count(CACHE_STAT_PENDING_FULL, 1);
	return n;
}

static __always_inline __u64 pending_do(const struct pending_walk *p)
{
	return pending_range_do(p->key.ino, (__u64)p->op << 32 | p->key.dev, p->lo, p->hi);
}
#else
/* Does op on [lo, hi); how many bits were taken. */
__noinline __u64 pending_do(const struct pending_walk *p)
{
	struct pending_walk w;
	__u64 chunks;

	if (!p || p->lo >= p->hi)
		return 0;
	w = *p; /* a loop's context must be on the stack */
	w.n = 0;
	chunks = ((w.hi - 1) >> CHUNK_SHIFT) - (w.lo >> CHUNK_SHIFT) + 1;
	if (chunks == 1)
		pending_one(0, &w);
	else
		bpf_loop(chunks < RANGE_CHUNKS ? chunks : RANGE_CHUNKS, pending_one, &w, 0);
	return w.n;
}
#endif

/* One page's worth of work for the common case: nothing is pending around there. */
static __always_inline __u64 pending_take(const struct pending_key *file, __u64 lo, __u64 hi)
{
	struct pending_walk p = {.key = *file, .op = PENDING_TAKE, .lo = lo, .hi = hi};

	p.key.chunk = lo >> CHUNK_SHIFT;
	if ((hi - 1) >> CHUNK_SHIFT == lo >> CHUNK_SHIFT &&
	    !*(volatile __u32 *)pending_hint(&p.key))
		return 0;
	return pending_do(&p);
}

#endif
