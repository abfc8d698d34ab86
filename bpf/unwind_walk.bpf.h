/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind_walk.bpf.h - state of a stack walk, and how it finds the rule for an address.
 * What the includer provides: unwind_step.bpf.h.
 */
#ifndef MEMTALLY_UNWIND_WALK_BPF_H
#define MEMTALLY_UNWIND_WALK_BPF_H

#include "unwind.h"

#define WALK_ROW_STEPS	   9  /* halvings of at most 257 rows of a block */
#define WALK_MAPPING_STEPS 12 /* of at most UNWIND_MAX_MAPPINGS */
#define WALK_TRAMP_UNKNOWN (~0ULL)
#define WALK_LOST_FP	   1
#define WALK_LOST_AUX	   2
#define WALK_USED_R10	   4

/* Registers to start from. aux: rbx on x86-64, x30 on aarch64. r10: x86-64 only. */
struct walk_regs {
	__u64 pc, sp, fp, aux, r10;
};

/* What a stack is of, beside its frames. */
struct walk_owner {
	__u64 proc_key;
	__u8 kind;
};

#ifdef WALK_MEMOS
#define WALK_NOTES	   32 /* a power of two */
#define WALK_NOTES_AT_ONCE 4

/* A walk that was made, to be recognised: unwind_memo.bpf.h. */
struct walk_memo {
	__u64 proc_key; /* 0: nothing is kept */
	__u64 site;
	__u64 missed; /* which start came here last and found nothing of its own */
	struct walk_regs regs;
	__u16 bytes; /* of stack, from regs.sp, that all words lie in */
	__u8 n;	     /* words, made a multiple of WALK_NOTES_AT_ONCE by the first one again */
	__u8 used;   /* registers that decided something: WALK_LOST_*, WALK_USED_R10 */
	__u8 status, kind;
	__u8 pad[2];
	__u16 places[WALK_NOTES]; /* in bytes from regs.sp */
	__u64 values[WALK_NOTES];
};

/* What the running walk notes. */
struct walk_learning {
	__u32 n; /* words; more than WALK_NOTES: nothing, or there was no room */
	__u32 memo;
	__u8 used;
	__u8 loaded; /* registers that have other values than at the start */
	__u8 pad[6];
};
#endif

struct walk {
	/* The frame we stand in. fp_at, aux_at: if not 0, where the value is saved. */
	__u64 pc, sp, fp, aux, r10;
	__u64 fp_at, aux_at;
	__u64 slot; /* where pc was read from, as uretprobes name it; 0: a register */
	/* The mapping of the last frame; m_len 0: none. */
	__u64 m_start, m_len, m_base;
	__u32 m_block, m_n_blocks;
	struct unwind_slice slice;
	/* Pending uretprobes: trampoline address, next return_instance to look at. */
	__u64 tramp, tramp_next;
	/* Results: what to report for this frame, hash and number of all frames. */
	__u64 cur, hash;
	__u32 n, status, flags;
	__u8 is_ra;	/* pc is a return address: the call lies before it */
	__u8 entry;	/* pc is the first instruction of a function */
	__u8 lost;	/* WALK_LOST_*: the register's value is unknown */
	__u8 m_unknown; /* the mapping of the last frame is of no known object */
#ifdef WALK_WINDOW
	__u64 win_at; /* address of the first word in win */
	__u64 win[WALK_WINDOW / 8];
#endif
#ifdef WALK_MEMOS
	struct walk_learning learning;
	struct walk_memo memos[WALK_MEMOS];
#endif
};

/*
 * Keeps clang from turning the masks of the searches back into branches, which would
 * double the verifier's paths at each halving.
 */
#define WALK_OPAQUE(x) asm volatile("" : "+r"(x))

/* With WALK_MEMOS: whether the walk is noted, to be recognised. */
static inline __attribute__((always_inline)) int walk_learns(const struct walk *w)
{
#ifdef WALK_MEMOS
	return w->learning.n <= WALK_NOTES;
#else
	(void)w;
	return 0;
#endif
}

/* With WALK_MEMOS: the word at addr decided where the walk goes. */
static inline __attribute__((always_inline)) void walk_note(struct walk *w, __u64 addr, __u64 value)
{
#ifdef WALK_MEMOS
	struct walk_memo *m;
	__u64 n = w->learning.n, at;

	if (!walk_learns(w))
		return;
	m = &w->memos[w->learning.memo & (WALK_MEMOS - 1)];
	at = addr - m->regs.sp;
	w->learning.n = WALK_NOTES + 1;
	if (n == WALK_NOTES || (at & 7) || at >= WALK_WINDOW)
		return;
	WALK_OPAQUE(n); /* or clang drops the mask, which the verifier wants to see */
	m->places[n & (WALK_NOTES - 1)] = at;
	m->values[n & (WALK_NOTES - 1)] = value;
	w->learning.n = (__u32)n + 1;
#else
	(void)w, (void)addr, (void)value;
#endif
}

/* Likewise the register (WALK_LOST_* names it), unless it was read from saved_at before. */
static inline __attribute__((always_inline)) void walk_use(struct walk *w, __u8 reg, __u64 saved_at)
{
#ifdef WALK_MEMOS
	if (saved_at)
		w->learning.loaded |= reg;
	else
		w->learning.used |= reg & ~w->learning.loaded;
#else
	(void)w, (void)reg, (void)saved_at;
#endif
}

/*
 * A read of user memory costs some 50 ns however short it is. So walks that do not live
 * on the BPF stack, which has no room for it, keep a window of the user's stack:
 * WALK_WINDOW bytes (a power of two) that are read at once and serve several frames.
 */
#ifdef WALK_WINDOW
#define WALK_WIN_EMPTY 1  /* not aligned: no word lies in it */
#define WALK_WIN_BELOW 64 /* registers saved below a return address are wanted later */

static inline __attribute__((always_inline)) void walk_clear(struct walk *w)
{
	__builtin_memset(w, 0, __builtin_offsetof(struct walk, win_at));
	w->win_at = WALK_WIN_EMPTY;
#ifdef WALK_MEMOS
	w->learning.n = WALK_NOTES + 1;
#endif
}

/* A word of the user's stack: 0 if it could be read. The window only moves up, as walks do. */
static inline __attribute__((always_inline)) int walk_peek(struct walk *w, __u64 *ret, __u64 addr)
{
	__u64 i = addr - w->win_at;

	if ((i & 7) || i >= WALK_WINDOW) {
		if ((addr & 7) || (w->win_at != WALK_WIN_EMPTY && addr < w->win_at))
			return walk_read(ret, sizeof(*ret), addr);
		i = WALK_WIN_BELOW;
		w->win_at = addr - i;
		if (walk_read(w->win, sizeof(w->win), w->win_at)) { /* at the stack's end */
			w->win_at = WALK_WIN_EMPTY;
			return walk_read(ret, sizeof(*ret), addr);
		}
	}
	WALK_OPAQUE(i); /* or clang drops the mask, which the verifier wants to see */
	*ret = w->win[(i >> 3) & (WALK_WINDOW / 8 - 1)];
	return 0;
}
#else
#define walk_clear(w)		__builtin_memset(w, 0, sizeof(*(w)))
#define walk_peek(w, ret, addr) walk_read(ret, sizeof(*(ret)), addr)
#endif

/* The same, noted. */
static inline __attribute__((always_inline)) int walk_word(struct walk *w, __u64 *ret, __u64 addr)
{
	if (walk_peek(w, ret, addr))
		return 1;
	walk_note(w, addr, *ret);
	return 0;
}

static inline __attribute__((always_inline)) int walk_find_mapping(struct walk *w, __u64 pc)
{
	__u32 base = w->slice.lo, n = w->slice.n, k, half;
	const struct unwind_mapping *m;

	if (!n)
		return 0;
	for (int i = 0; i < WALK_MAPPING_STEPS && n > 1; i++) {
		__s64 below;

		half = n >> 1;
		k = base + half;
		m = walk_mapping(k);
		if (!m)
			return 0;
		below = (__s64)(pc - m->start) >> 63;
		WALK_OPAQUE(below);
		base += half & ~(__u32)below;
		n -= half;
		WALK_OPAQUE(base);
		WALK_OPAQUE(n);
	}
	m = walk_mapping(base);
	if (!m || pc < m->start || pc >= m->end)
		return 0;
	w->m_start = m->start;
	w->m_len = m->end - m->start;
	w->m_base = m->base;
	w->m_block = m->block;
	w->m_n_blocks = m->n_blocks;
	w->m_unknown = 0;
	return 1;
}

static inline __attribute__((always_inline)) const struct unwind_rule *
walk_find_rule(const struct walk *w, __u64 pc)
{
	__u64 off = pc - w->m_base, b = off >> UNWIND_BLOCK_SHIFT;
	const struct unwind_block *block;
	const struct unwind_row *row;
	__u32 base, n, k, half;

	if (b >= w->m_n_blocks) /* below the first address off has wrapped */
		return 0;
	k = w->m_block + (__u32)b;
	block = walk_block(k);
	if (!block)
		return 0;
	base = block->first;
	n = block->n;
	for (int i = 0; i < WALK_ROW_STEPS && n > 1; i++) {
		__s64 below;

		half = n >> 1;
		k = base + half;
		row = walk_row(k);
		if (!row)
			return 0;
		below = (__s64)(off - row->pc) >> 63;
		WALK_OPAQUE(below);
		base += half & ~(__u32)below;
		n -= half;
		WALK_OPAQUE(base);
		WALK_OPAQUE(n);
	}
	row = walk_row(base);
	if (!row || row->pc > off)
		return 0;
	k = row->rule;
	return walk_rule(k);
}

/* 64 bits over the resolved addresses; at a million stacks two collide with 3e-8. */
static inline __attribute__((always_inline)) __u64 walk_hash(__u64 hash, __u64 pc)
{
	__u64 h = (hash ^ pc) * 0x9E3779B97F4A7C15ULL;

	return h ^ (h >> 32);
}

#endif
