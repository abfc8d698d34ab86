/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind_memo.bpf.h - walks are recognised. Calls come in runs from one place, so a walk's
 * state keeps the last ones, WALK_MEMOS (a power of two) of them: the registers at the
 * start, and every word of the stack that decided where the walk went. Where all of these
 * are the same again, so is the stack, and no table need be looked at; the words are had by
 * one read of as much of the stack as they lie in. Walks with more than WALK_NOTES words,
 * or with words beyond WALK_WINDOW, are not kept.
 *
 *	m = walk_memo_find(w, &regs, &whose);
 *	if (!m) {
 *		walk_start...(w, ...);
 *		walk_memo_learn(w, &regs);
 *		walk_run(w, pcs);
 *		walk_memo_keep(w, &whose, site);
 *	}
 *
 * Part of unwind_step.bpf.h.
 */
#ifndef MEMTALLY_UNWIND_MEMO_BPF_H
#define MEMTALLY_UNWIND_MEMO_BPF_H

/* Whether a walk would begin as the kept one did. */
static inline __attribute__((always_inline)) int walk_memo_begins(const struct walk_memo *m,
								  const struct walk_regs *regs)
{
	if (m->regs.pc != regs->pc || m->regs.sp != regs->sp)
		return 0;
	return (!(m->used & WALK_LOST_FP) || m->regs.fp == regs->fp) &&
	       (!(m->used & WALK_LOST_AUX) || m->regs.aux == regs->aux) &&
	       (!(m->used & WALK_USED_R10) || m->regs.r10 == regs->r10);
}

/* 0 if the word is what it was. */
static inline __attribute__((always_inline)) __u64
walk_memo_differs(const struct walk *w, const struct walk_memo *m, __u32 i)
{
	__u64 at = m->places[i & (WALK_NOTES - 1)];

	at &= WALK_WINDOW - 8;
	WALK_OPAQUE(at); /* a multiple of 8 already, which the verifier can't know */
	return *(const __u64 *)((const char *)w->win + at) ^ m->values[i & (WALK_NOTES - 1)];
}

/* Whether the words are what they were. */
static inline __attribute__((always_inline)) int walk_memo_holds(struct walk *w,
								 const struct walk_memo *m)
{
	__u64 bytes = m->bytes, differs = 0;

	WALK_OPAQUE(bytes);
	if (bytes > sizeof(w->win) || walk_read(w->win, bytes, m->regs.sp))
		return 0;
	for (__u32 i = 0; i < WALK_NOTES && i < m->n; i += WALK_NOTES_AT_ONCE)
		for (__u32 k = 0; k < WALK_NOTES_AT_ONCE; k++)
			differs |= walk_memo_differs(w, m, i + k);
	return !differs;
}

/* The kept walk that one from these registers would be; or NULL. */
static inline __attribute__((always_inline)) const struct walk_memo *
walk_memo_find(struct walk *w, const struct walk_regs *regs, const struct walk_owner *whose)
{
	__u64 start = walk_hash(regs->sp, regs->pc);
	struct walk_memo *m = &w->memos[start & (WALK_MEMOS - 1)];

	if (m->proc_key != whose->proc_key || m->kind != whose->kind ||
	    !walk_memo_begins(m, regs) || !walk_memo_holds(w, m))
		return NULL;
	m->missed = 0;
	return m;
}

/*
 * For a walk that was just started: it is noted if the last one that came to its memo and
 * was not found began alike. So one that is of use gives way to none that comes once only.
 */
static inline __attribute__((always_inline)) void walk_memo_learn(struct walk *w,
								  const struct walk_regs *regs)
{
	__u64 start = walk_hash(regs->sp, regs->pc);
	struct walk_memo *m = &w->memos[start & (WALK_MEMOS - 1)];

	if (m->missed != start) {
		m->missed = start;
		return;
	}
	m->proc_key = 0;
	m->regs = *regs;
	w->learning = (struct walk_learning){.memo = start & (WALK_MEMOS - 1)};
}

/* How a walk ended that no later one could do better, whatever is mapped or told by then. */
static inline __attribute__((always_inline)) int walk_is_final(const struct walk *w)
{
	if (unwind_cfg.mode != UNWIND_FP)
		return w->status == WALK_COMPLETE && !w->flags;
	return w->status != WALK_FAULT && !(w->flags & ~WALK_FLAG_FP);
}

/* Keeps the walk that was made, if it was noted. */
static inline __attribute__((always_inline)) void
walk_memo_keep(struct walk *w, const struct walk_owner *whose, __u64 site)
{
	struct walk_memo *m = &w->memos[w->learning.memo & (WALK_MEMOS - 1)];
	__u32 n = w->learning.n, i;

	if (!walk_learns(w) || !walk_is_final(w))
		return;
	m->bytes = 0;
	for (i = 0; i < WALK_NOTES && i < n; i++) {
		if (m->values[i] == w->tramp) /* what it hides may change */
			return;
		m->bytes = m->places[i] >= m->bytes ? m->places[i] + 8 : m->bytes;
	}
	for (; i < WALK_NOTES && i % WALK_NOTES_AT_ONCE; i++) {
		m->places[i] = m->places[0];
		m->values[i] = m->values[0];
	}
	m->n = i;
	m->used = w->learning.used;
	m->status = w->status;
	m->kind = whose->kind;
	m->site = site;
	m->proc_key = whose->proc_key;
	w->learning.n = WALK_NOTES + 1;
}

#endif
