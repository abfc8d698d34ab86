/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_stack.bpf.h - the user stack of a fault, of which each CPU recognises its last ones
 * (unwind_memo.bpf.h). Only stacks that user space has got are kept.
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

/* Keeps the walk that was just made. Its stack is in user space, or on the way. */
static __always_inline void fault_stack_keep(struct fault_scratch *s, __u64 proc_key)
{
	struct walk_owner whose = {proc_key, FAULT_KIND};
	struct walk *w = fault_walk(s);

	if (w && !s->stack_known)
		walk_memo_keep(w, &whose, s->stack.site);
}

/*
 * The site of the stack from s->regs, in s->stack too. With s->stack_known afterwards
 * user space has the frames, which are not in s->stack then.
 */
static __always_inline __u64 fault_stack(struct fault_scratch *s, __u64 proc_key)
{
	struct walk_owner whose = {proc_key, FAULT_KIND};
	struct unwind_slice *slice = NULL;
	struct walk *w = fault_walk(s);
	__u32 tgid = proc_key;
	const struct walk_memo *m;

	if (!w)
		return 0; /* never, but the verifier can't know */
	m = walk_memo_find(w, &s->regs, &whose);
	s->stack_known = m != NULL;
	if (m) {
		count(STAT_WALK_STATUS + (m->status < WALK_STATUSES ? m->status : WALK_FAULT));
		s->stack.site = m->site;
		return m->site;
	}
	if (unwind_cfg.mode == UNWIND_DWARF)
		slice = bpf_map_lookup_elem(&slices, &tgid);
	walk_start_regs(w, &s->regs, slice);
	walk_memo_learn(w, &s->regs);
	return stack_walk(w, &s->stack, proc_key, FAULT_KIND);
}

#endif
