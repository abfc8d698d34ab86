/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_stack.bpf.h - the user stack of a fault. Faults come in runs from one place (a loop
 * over fresh memory), so each CPU keeps its last walks: registers at the start and every
 * word that decided where the walk went. Where all of them are the same again, so is the
 * stack, and no table has to be looked at. Only whole stacks that user space has got are
 * kept: their frames cannot become better by what is mapped or told later.
 */
#ifndef FAULT_STACK_BPF_H
#define FAULT_STACK_BPF_H

#include "fault_state.bpf.h"

#define FAULT_KIND 0

/* Where global functions take no pointer walks have one place. */
static __always_inline struct walk *fault_walk(struct fault_scratch *s)
{
#ifdef COMPAT_OLD
	return walk_of_cpu();
#else
	return &s->walk;
#endif
}

static __always_inline struct fault_memo *memo_of(struct fault_scratch *s)
{
	return &s->memos[(s->regs.pc ^ s->regs.sp >> 4) & (FAULT_MEMOS - 1)];
}

/* Whether the stack is the one of the memo, by what the user's stack holds now: one read. */
static __always_inline int memo_holds(const struct fault_memo *m, const struct fault_scratch *s,
				      struct walk *w, __u64 proc_key)
{
	if (m->proc_key != proc_key || m->regs.pc != s->regs.pc || m->regs.sp != s->regs.sp ||
	    m->regs.fp != s->regs.fp || m->regs.aux != s->regs.aux || m->regs.r10 != s->regs.r10)
		return 0;
	if (m->bytes > sizeof(w->win) || walk_read(w->win, m->bytes, m->from))
		return 0;
	for (__u32 i = 0; i < WALK_NOTES; i++) {
		__u64 at = (m->notes[i].addr - m->from) >> 3;

		if (i >= m->n)
			break;
		WALK_OPAQUE(at); /* as in walk_peek() */
		if (w->win[at & (WALK_WINDOW / 8 - 1)] != m->notes[i].value)
			return 0;
	}
	return 1;
}

/* Where the words of a walk lie. 0: too far apart for one read, or not aligned. */
static __always_inline int memo_span(struct fault_memo *m, const struct walk *w)
{
	__u64 low = ~0ULL, high = 0;

	for (__u32 i = 0; i < WALK_NOTES; i++) {
		__u64 at = w->notes[i].addr;

		if (i >= w->n_notes)
			break;
		if (at & 7)
			return 0;
		low = at < low ? at : low;
		high = at + 8 > high ? at + 8 : high;
	}
	if (!high)
		low = 0;
	m->from = low;
	m->bytes = high - low;
	return high - low <= sizeof(w->win);
}

/* Keeps the walk that was just made. Its stack is in user space, or on the way. */
static __always_inline void fault_stack_keep(struct fault_scratch *s, __u64 proc_key)
{
	struct fault_memo *m = memo_of(s);
	const struct walk *w = fault_walk(s);
	__u32 harmless = unwind_cfg.mode == UNWIND_FP ? WALK_FLAG_FP : 0;

	if (!w || s->stack_known || w->status != WALK_COMPLETE || (w->flags & ~harmless) ||
	    w->n_notes > WALK_NOTES)
		return;
	m->proc_key = 0;
	if (!memo_span(m, w))
		return;
	m->proc_key = proc_key;
	m->site = s->stack.site;
	m->regs = s->regs;
	m->n = w->n_notes;
	for (__u32 i = 0; i < WALK_NOTES; i++) {
		if (i >= m->n)
			break;
		m->notes[i] = w->notes[i];
	}
}

/*
 * The site of the stack from s->regs, in s->stack too. With s->stack_known afterwards
 * user space has the frames, which are not in s->stack then.
 */
static __always_inline __u64 fault_stack(struct fault_scratch *s, __u64 proc_key)
{
	struct fault_memo *m = memo_of(s);
	struct unwind_slice *slice = NULL;
	struct walk *w = fault_walk(s);
	__u32 tgid = proc_key;

	if (!w)
		return 0; /* never, but the verifier can't know */
	s->stack_known = memo_holds(m, s, w, proc_key);
	if (s->stack_known) {
		count(STAT_WALK_STATUS + WALK_COMPLETE);
		s->stack.site = m->site;
		return m->site;
	}
	if (unwind_cfg.mode == UNWIND_DWARF)
		slice = bpf_map_lookup_elem(&slices, &tgid);
	walk_start_regs(w, &s->regs, slice);
	return stack_walk(w, &s->stack, proc_key, FAULT_KIND);
}

#endif
