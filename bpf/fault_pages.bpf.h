/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_pages.bpf.h - pages that are allocated and freed. Where the kernel may skip a program
 * there are six of each (turns.bpf.h): a fault's cause, and with --rss its page, depend on it, and
 * they run as often as nothing else here. (Of eight threads' events on two busy processors 4,200
 * were kept out of the first program, 1,100, 1,000 and 700 out of the next three; in one run of
 * some 20 one event out of all four.)
 */
#ifndef FAULT_PAGES_BPF_H
#define FAULT_PAGES_BPF_H

#include "fault_rss.bpf.h"
#include "hold.bpf.h"
#include "turns.bpf.h"

static __always_inline int page_turn(__u64 page, enum turn_event event, enum turn turn)
{
	return !fault_cfg.turns || turn_taken_till(page, event, turn, SIXTH);
}

/*
 * What is done for an event, held in later programs: these are loaded only on kernels that have
 * what it takes (hold.bpf.h), the first ones on all.
 */
#define PAGE_WORK(turn, work)        \
	do {                         \
		if ((turn) != FIRST) \
			hold();      \
		work;                \
		if ((turn) != FIRST) \
			hold_end();  \
	} while (0)

static __always_inline void page_allocated(__u64 page, __u32 order)
{
	struct fault_thread *t = fault_thread_find();

	if (!t || !t->open)
		return;
	if (!t->pages++)
		t->first_page = page;
	if (order >= t->order || !t->page) {
		t->order = order;
		t->page = page;
	}
}

static __always_inline void page_freed(__u64 page, __u32 order)
{
	struct fault_thread *t = fault_thread_find();

	if (t && t->open && t->page == page)
		t->page = 0; /* another thread was faster: never mapped */
	if (t && t->open && t->first_page == page)
		t->first_page = 0;
	fault_rss_del(page, order);
}

/* mm_page_alloc(page, order, gfp_flags, migratetype); no page: none was to be had. */
static __always_inline int on_page_alloc(struct bpf_raw_tracepoint_args *ctx, enum turn turn)
{
	__u64 page = ctx->args[0];

	if (page_turn(page, TURN_PAGE_ALLOC, turn) && page && ctx->args[2] & GFP_MOVABLE)
		PAGE_WORK(turn, page_allocated(page, ctx->args[1]));
	return 0;
}

/* mm_page_free(page, order) */
static __always_inline int on_page_free(struct bpf_raw_tracepoint_args *ctx, enum turn turn)
{
	__u64 page = ctx->args[0];

	if (page_turn(page, TURN_PAGE_FREE, turn))
		PAGE_WORK(turn, page_freed(page, ctx->args[1]));
	return 0;
}

TURN_PROGRAMS_OF_SIX(fault_page_alloc, mm_page_alloc, on_page_alloc)
TURN_PROGRAMS_OF_SIX(fault_page_free, mm_page_free, on_page_free)

#endif
