/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kstack_learn.bpf.h - how a walked stack is remembered: the places of its return addresses.
 * Part of kstack.bpf.h.
 */
#ifndef KSTACK_LEARN_BPF_H
#define KSTACK_LEARN_BPF_H

/* Notes which frames have this return address; 0 if none has. */
static __always_inline int kstack_note(struct kstack *k, __u64 pc)
{
	__u64 other;
	__u32 f;

	/*
	 * Into the map: a sum in a register is a state of its own for the verifier. Without a
	 * branch: v6.1's walks both ways of each frame's on their own, a million steps.
	 */
	k->hits = 0;
	for (f = 0; f < KSTACK_PLACES && f < k->ev.n; f++) {
		other = k->ev.pcs[f] ^ pc;
		asm volatile("" : "+r"(other));
		other = ~(other | -other) >> 63; /* 1 if it was 0 */
		asm volatile("" : "+r"(other));
		k->found |= other << f;
		k->hits |= other;
	}
	return k->hits;
}

static __always_inline void kstack_add(struct kstack *k, __u32 place, __u64 pc)
{
	k->places[INDEX(k->n, KSTACK_PLACES)] = place;
	k->pcs[INDEX(k->n, KSTACK_PLACES)] = pc;
	k->n++;
}

static long kstack_word(__u32 i, struct kstack **arg)
{
	struct kstack *k = *arg;
	__u64 v;

	if (i >= k->n_words || k->n >= KSTACK_PLACES)
		return 1;
	v = k->words[INDEX(i, KSTACK_WORDS)];
	if (v - k->low <= k->span && kstack_note(k, v))
		kstack_add(k, i, v);
	return 0;
}

/* All frames have a place but those of the program itself, which are below its context. */
static __always_inline int kstack_covered(const struct kstack *k)
{
	__u64 missing = ~k->found & ((1ULL << (k->ev.n & 63)) - 1);

	/* No bits, and then all. */
	return k->n && k->n < KSTACK_PLACES && (missing & (missing + 1)) == 0;
}

/* Reads the stack up to its end, or as much as has room. */
static __always_inline int kstack_read_all(struct kstack *k)
{
	__u64 words = k->below / 8 + KSTACK_TOP;

	return kstack_read(k, words < KSTACK_WORDS ? words : KSTACK_WORDS);
}

/* Finds where the walk's return addresses are; 1 if they are. */
static __always_inline int kstack_places(struct kstack *k)
{
	__u64 high = 0, f;

	if (!k->ev.n || k->ev.n >= KSTACK_PLACES || !kstack_read_all(k))
		return 0;
	k->low = k->ev.pcs[0];
	for (f = 0; f < KSTACK_PLACES && f < k->ev.n; f++) {
		k->low = k->ev.pcs[f] < k->low ? k->ev.pcs[f] : k->low;
		high = k->ev.pcs[f] > high ? k->ev.pcs[f] : high;
	}
	k->span = high - k->low;
	k->found = k->n = 0;
	bpf_loop(KSTACK_WORDS, kstack_word, &k, 0);
	return kstack_covered(k);
}

struct kstack_keeping {
	struct kstack *k;
	struct kstack_seen *seen;
};

static long kstack_keep_one(__u32 i, struct kstack_keeping *arg)
{
	struct kstack *k = arg->k;
	__u32 place;
	__u64 pc;

	if (i >= KSTACK_PLACES || i >= arg->seen->n)
		return 1;
	place = arg->seen->places[INDEX(i, KSTACK_PLACES)];
	pc = arg->seen->pcs[INDEX(i, KSTACK_PLACES)];
	if (place < k->n_words && k->words[INDEX(place, KSTACK_WORDS)] == pc && kstack_note(k, pc))
		kstack_add(k, place, pc);
	return 0;
}

/* Of the places of the same walk before, those that hold what they held; 1 if that is enough. */
static __always_inline int kstack_keep(struct kstack *k, struct kstack_seen *seen)
{
	struct kstack_keeping arg = {k, seen};

	if (!kstack_read_all(k))
		return 0;
	k->found = k->n = 0;
	bpf_loop(KSTACK_PLACES, kstack_keep_one, &arg, 0);
	return kstack_covered(k);
}

static __always_inline void kstack_fill(struct kstack *k, struct kstack_seen *seen, int known)
{
	__u32 last;

	seen->key = k->key;
	seen->hash = k->hash;
	seen->whole = k->whole;
	seen->skip = KSTACK_SKIP;
	seen->words = 0;
	if (!known)
		return;
	last = k->places[INDEX(k->n - 1, KSTACK_PLACES)];
	seen->n = k->n;
	seen->words = last < KSTACK_TOP ? KSTACK_TOP + 1 : last + 1;
	__builtin_memcpy(seen->places, k->places, sizeof(seen->places));
	__builtin_memcpy(seen->pcs, k->pcs, sizeof(seen->pcs));
}

/* Whether this is the stack that was walked, recognised or not. */
static __always_inline int kstack_is(const struct kstack *k, const struct kstack_seen *seen)
{
	return seen->key == k->key && seen->whole == k->whole;
}

/* Where the walk came out as before, what differs now is none of its places. */
static __always_inline void kstack_learn(struct kstack *k, struct kstack_seen *seen)
{
	int known = kstack_is(k, seen) && seen->words && kstack_keep(k, seen);

	if (!known)
		known = kstack_places(k);
	if (seen->seq & 1)
		return;
	seen->seq++;
	asm volatile("" ::: "memory");
	kstack_fill(k, seen, known);
	asm volatile("" ::: "memory");
	seen->seq++;
}

/* One that could not be remembered is not tried again at once. */
static __always_inline int kstack_skipped(const struct kstack *k, struct kstack_seen *seen)
{
	if (seen->words || !kstack_is(k, seen) || !seen->skip)
		return 0;
	seen->skip--;
	return 1;
}

/* Where in a bucket a walked stack belongs: in its own place, else in any. */
static __always_inline struct kstack_seen *kstack_way(const struct kstack *k,
						      struct kstack_bucket *b)
{
	__u32 i;

	for (i = 0; i < KSTACK_WAYS; i++)
		if (kstack_is(k, &b->ways[i]))
			return &b->ways[i];
	return &b->ways[INDEX(bpf_get_prandom_u32(), KSTACK_WAYS)];
}

#endif
