/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kstack.bpf.h - kernel stacks: walked once, recognised afterwards. This header carries maps.
 *
 * A walk by the kernel (bpf_get_stack(), ORC tables) takes one to two microseconds, more than
 * all else of an allocation's record. But a walk is a function of the words it reads: the
 * program counter it is at says where on the stack the next return address lies. So where
 * the same return addresses lie at the same places above the same call, the walk is the same.
 * A walked stack is therefore remembered with the places of its return addresses; a later
 * one of the same call site and system call is read as plain memory and compared. Every word
 * that equals one of the return addresses is compared, so that it does not matter which of
 * two equal ones the walk used. One that differs although a walk came out the same was left
 * there by an earlier call: it is no longer compared.
 *
 * Places count from the program's context, those of the top of the stack from there: between
 * the two is the random offset of a system call (39218ff4c625 "stack: Optionally randomize
 * kernel stack offset each syscall").
 *
 * Interrupts and softirqs run on a stack of their CPU. Where its last word says how the stack
 * of the task goes on (x86-64, arch/x86/include/asm/irq_stack.h), the two are read as one.
 *
 * Not remembered, but walked each time: stacks that go on otherwise, that are too long, or
 * whose return addresses are not plainly there (arm64 signs them, a function tracer replaces
 * them).
 *
 * What is remembered belongs to the CPU. Where programs are preemptible (v7.x) or an
 * interrupt comes, `seq` is odd while someone writes and another afterwards.
 */
#ifndef KSTACK_BPF_H
#define KSTACK_BPF_H

#include "common.bpf.h"

#define KSTACK_BYTES   16384 /* of a task's stack; where it is larger, its upper part is walked */
#define KSTACK_TOP     22    /* words of the top: first return address, user's registers */
#define KSTACK_ORIG_AX 16    /* of these, on x86-64: the system call */
#define KSTACK_WORDS   512   /* compared, the top among them */
#define KSTACK_PAGES   4     /* of a CPU's stack for interrupts, at most */
#define KSTACK_PLACES  64
#define KSTACK_BUCKETS 256 /* of stacks, per CPU */
#define KSTACK_WAYS    4   /* stacks in one; a power of two */
#define KSTACK_SKIP    64  /* walks of one that cannot be remembered until the next try */
#define KSTACK_LEAVES  16  /* frames of the tracing itself, at most */

/* A bound that the compiler cannot prove needless and drop; n: a power of two. */
#define INDEX(i, n)                                                   \
	({                                                            \
		__u64 index_ = (i);                                   \
		asm volatile("%0 &= %1" : "+r"(index_) : "i"((n)-1)); \
		index_;                                               \
	})

/* A stack that was walked. */
struct kstack_seen {
	__u32 seq;
	__u16 skip;
	__u16 words; /* up to the last place; 0: cannot be remembered */
	__u64 key;   /* call site and system call */
	__u64 hash;  /* of its frames from call_site on */
	__u64 whole; /* of all */
	__u32 n, pad;
	__u16 places[KSTACK_PLACES]; /* in kstack.words */
	__u64 pcs[KSTACK_PLACES];
};

struct kstack_bucket {
	__u64 words; /* the most of all ways */
	struct kstack_seen ways[KSTACK_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KSTACK_BUCKETS);
	__type(key, __u32);
	__type(value, struct kstack_bucket);
} kstacks SEC(".maps");

/* What taking a stack works in. Its owner sees to it that nobody else does meanwhile. */
struct kstack {
	__u64 here;	   /* address of the program's context, which is on the stack */
	__u64 below;	   /* bytes of stack between it and the words of the top */
	__u64 first_bytes; /* of these: on the CPU's stack, with its link */
	__u64 next;	   /* where the link leads; 0: all is the task's stack */
	__u64 key;
	__u64 hash, whole;
	__u64 call_site;
	__u64 low, span; /* of the walk's program counters */
	__u64 found;	 /* frames, by bit */
	__u32 n_words;
	__u32 n;     /* places */
	__u32 first; /* frame of the call site */
	__u32 hits;
	__u16 places[KSTACK_PLACES];
	__u64 pcs[KSTACK_PLACES];
	/* The top, then those from here on; twice for the verifier, which adds two bounds. */
	__u64 words[2 * KSTACK_WORDS];
	struct stack_event ev; /* the result of a walk */
};

/* ---- walking ---- */

/*
 * Walks the stack into k->ev and returns a hash over the frames from call_site on (0, or one
 * that is not in the stack: over all). The frames before are the allocator's and the
 * tracing's own; they change with the number of probes on the event.
 */
static __always_inline __u64 kstack_walk_into(void *ctx, struct kstack *k)
{
	struct stack_event *s = &k->ev;
	long len = bpf_get_stack(ctx, s->pcs, sizeof(s->pcs), 0);
	__u64 n = len > 0 ? (__u64)len / sizeof(s->pcs[0]) : 0, i, h = 0, all = 0;

	k->first = 0;
	for (i = 0; i < KSTACK_LEAVES; i++) {
		if (i < n && s->pcs[i] == k->call_site) {
			k->first = i;
			break;
		}
	}
	if (n > ABI_MAX_FRAMES)
		n = ABI_MAX_FRAMES;
	for (i = 0; i < n; i++) {
		if (i >= *(volatile __u32 *)&k->first)
			h = hash_mix(h, s->pcs[i]);
		all = hash_mix(all, s->pcs[i]);
	}
	count(STAT_WALKS);
	if (!n)
		count(STAT_KSTACKS_LOST);
	s->status = n == 0 ? WALK_FAULT : n < ABI_MAX_FRAMES ? WALK_COMPLETE : WALK_DEPTH;
	s->flags = 0;
	s->n = n;
	k->whole = all;
	k->hash = h ? h : 1;
	return k->hash;
}

#ifdef COMPAT_OLD /* no bpf_loop() there: every stack is walked */
#define kstack_walk	  kstack_walk_into
#define kstack_of_task(k) 0

static __always_inline __u64 kstack_take(void *ctx, struct kstack *k, __u64 call_site, __u64 hint)
{
	k->call_site = call_site;
	return kstack_walk(ctx, k);
}
#else
/*
 * What is not done for each allocation is a function of its own, global: such ones are
 * verified once, for any argument, and not for each of the states in which they are called.
 */
__noinline __u64 kstack_walk(struct bpf_raw_tracepoint_args *ctx, struct kstack *k)
{
	return k ? kstack_walk_into(ctx, k) : 0;
}

/* ---- recognising ---- */

/* Whether the program runs on the task's own stack: in no interrupt, for the task itself. */
static __always_inline int kstack_of_task(const struct kstack *k)
{
	return !k->next && k->below < KSTACK_BYTES;
}

/* From the CPU's stack to the task's, of which the words of the top begin at `top`. */
static __always_inline int kstack_link(struct kstack *k, __u64 stack, __u64 top)
{
	__u64 at = k->here | 4095, next, i; /* the last byte of a page */

	for (i = 0; i < KSTACK_PAGES; i++, at += 4096) {
		if (bpf_probe_read_kernel(&next, sizeof(next), (void *)(at - 7)))
			return 0;
		if (next < stack || next > top)
			continue;
		k->next = next;
		k->first_bytes = at + 1 - k->here;
		k->below = k->first_bytes + top - next;
		return 1;
	}
	return 0;
}

/* Reads the top of the stack; the bucket of the stacks that may lie below it, or -1. */
static __always_inline __s64 kstack_slot(struct kstack *k, __u64 hint)
{
	struct task_struct *t = bpf_get_current_task_btf();
	__u64 stack = (__u64)t->stack, top = stack + KSTACK_BYTES - KSTACK_TOP * 8;

	k->next = 0;
	k->below = k->first_bytes = top - k->here;
	if (!kstack_of_task(k) && !kstack_link(k, stack, top))
		return -1;
	if (bpf_probe_read_kernel(k->words, KSTACK_TOP * 8, (void *)top))
		return -1;
	k->key = hash_mix(hash_mix(k->call_site, hint), k->words[KSTACK_ORIG_AX]);
	return k->key & (KSTACK_BUCKETS - 1);
}

/* Reads so many words in all; 0 if there are not as many, or -EFAULT. */
__noinline int kstack_read(struct kstack *k, __u64 words)
{
	__u64 bytes = words * 8 - KSTACK_TOP * 8, first = bytes;

	if (!k)
		return 0;
	k->n_words = 0;
	if (words <= KSTACK_TOP || words > KSTACK_WORDS || bytes > k->below)
		return 0;
	if (first > k->first_bytes)
		first = k->first_bytes;
	if (bpf_probe_read_kernel(k->words + KSTACK_TOP, INDEX(first, KSTACK_WORDS * 8),
				  (void *)k->here))
		return 0;
	if (bytes > first &&
	    bpf_probe_read_kernel((void *)(k->words + KSTACK_TOP) + INDEX(first, KSTACK_WORDS * 8),
				  INDEX(bytes - first, KSTACK_WORDS * 8), (void *)k->next))
		return 0;
	k->n_words = words;
	return 1;
}

/* The hash of the stack as it was walked once, or 0. */
static __always_inline __u64 kstack_known(struct kstack *k, struct kstack_seen *seen)
{
	volatile __u32 *seq = &seen->seq;
	__u32 before = *seq, i;
	__u64 hash;

	if (before & 1 || seen->key != k->key || !seen->words || seen->words > k->n_words)
		return 0;
	for (i = 0; i < KSTACK_PLACES && i < seen->n; i++)
		if (k->words[INDEX(seen->places[i], KSTACK_WORDS)] != seen->pcs[i])
			return 0;
	hash = seen->hash;
	asm volatile("" ::: "memory");
	return *seq == before ? hash : 0;
}

static __always_inline struct kstack_bucket *kstack_bucket(__u32 slot)
{
	return bpf_map_lookup_elem(&kstacks, &slot);
}

/* The same for any stack of the bucket. */
__noinline __u64 kstack_find(struct kstack *k, __u32 slot)
{
	struct kstack_bucket *b = k ? kstack_bucket(slot) : NULL;
	__u64 hash, words;
	__u32 i;

	if (!b)
		return 0;
	/* The deepest of them may be longer than this one is. */
	words = b->words;
	if (!kstack_read(k, words))
		kstack_read(k, k->below / 8 + KSTACK_TOP);
	for (i = 0; i < KSTACK_WAYS; i++) {
		hash = kstack_known(k, &b->ways[i]);
		if (hash)
			return hash;
	}
	return 0;
}

/* ---- remembering ---- */

#include "kstack_learn.bpf.h"

/* Walks, and remembers what came out. */
__noinline __u64 kstack_walk_new(struct bpf_raw_tracepoint_args *ctx, struct kstack *k, __u32 slot)
{
	struct kstack_bucket *b = kstack_bucket(slot);
	struct kstack_seen *seen;
	__u64 hash;

	if (!k || !b)
		return 0;
	hash = kstack_walk(ctx, k);
	seen = kstack_way(k, b);
	if (!kstack_skipped(k, seen))
		kstack_learn(k, seen);
	if (b->words < seen->words)
		b->words = seen->words;
	return hash;
}

/*
 * The hash of the running stack's frames from call_site on; `hint` may tell apart what the
 * call site does not. k->ev.n is 0 if the stack was recognised: whoever needs the frames
 * then calls kstack_walk().
 */
static __always_inline __u64 kstack_take(struct bpf_raw_tracepoint_args *ctx, struct kstack *k,
					 __u64 call_site, __u64 hint)
{
	__s64 slot;
	__u64 hash;

	*(volatile __u64 *)&k->here = (__u64)ctx; /* read back, it is a number */
	k->call_site = call_site;
	k->ev.n = 0;
	slot = kstack_slot(k, hint);
	if (slot < 0)
		return kstack_walk(ctx, k);
	hash = kstack_find(k, slot);
	return hash ? hash : kstack_walk_new(ctx, k, slot);
}
#endif

#endif
