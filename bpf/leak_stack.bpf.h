/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leak_stack.bpf.h - the site of an allocation: of its thread's last stacks, which are
 * recognised (unwind_memo.bpf.h), or of one that is walked.
 */
#ifndef LEAK_STACK_BPF_H
#define LEAK_STACK_BPF_H

#include "outstanding.bpf.h"
#include "alloc_spec.h"

/* Not where each call is told with its frames, nor where there is nothing to walk. */
static __always_inline int stacks_recognised(void)
{
	return !cfg.trace_calls && unwind_cfg.mode != UNWIND_NONE;
}

#ifdef WALK_MEMOS
static __always_inline struct site *site_recognised(struct pt_regs *ctx, struct thread *t,
						    const struct walk_owner *whose)
{
	struct walk_regs regs = walk_regs_of(ctx);
	const struct walk_memo *m;
	struct site *s;

	m = walk_memo_find(&t->walk, &regs, whose);
	s = m ? site_find(m->site) : NULL;
	if (!s)
		return NULL;
	count(STAT_WALK_STATUS + (m->status < WALK_STATUSES ? m->status : WALK_FAULT));
	t->stack.site = m->site;
	return s;
}

/* Only what user space has got is kept: when it is recognised its frames are not at hand. */
static __always_inline void site_keep(struct thread *t, const struct site *s,
				      const struct walk_owner *whose)
{
	if (s->sent && t->stack.site != CATCH_ALL_SITE)
		walk_memo_keep(&t->walk, whose, t->stack.site);
}
#else
static __always_inline struct site *site_recognised(struct pt_regs *ctx, struct thread *t,
						    const struct walk_owner *whose)
{
	(void)ctx, (void)t, (void)whose;
	return NULL;
}

static __always_inline void site_keep(struct thread *t, const struct site *s,
				      const struct walk_owner *whose)
{
	(void)t, (void)s, (void)whose;
}
#endif

/* The site, its id in t->stack; NULL, counted: there is no room for it. */
static __always_inline struct site *site_of_call(struct pt_regs *ctx, struct thread *t,
						 __u64 proc_key, const struct taking *how)
{
	struct walk_owner whose = {proc_key, how->kind};
	struct site *s = how->learn ? site_recognised(ctx, t, &whose) : NULL;

	if (s)
		return s;
	stack_take(ctx, t, proc_key, how);
	s = site_get(&t->stack, proc_key);
	if (s && how->learn)
		site_keep(t, s, &whose);
	return s;
}

/* --trace: one record per call, with the stack that was just taken. */
static __always_inline void call_trace(struct stack_event *s, __u64 proc_key,
				       const struct alloc_spec *spec, const struct block_key *key,
				       __u64 size)
{
	s->address = key->address;
	s->size = size;
	s->function = spec->function;
	s->op = spec->op;
	if (stack_send(s, EVENT_CALL, proc_key))
		count(STAT_EVENTS_LOST);
}

#endif
