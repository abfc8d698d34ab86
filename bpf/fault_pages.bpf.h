/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_pages.bpf.h - pages that are allocated and freed. Where the kernel may skip a program
 * there are two of each (turns.bpf.h): a fault's cause, and with --rss its page, depend on it.
 */
#ifndef FAULT_PAGES_BPF_H
#define FAULT_PAGES_BPF_H

#include "fault_rss.bpf.h"
#include "turns.bpf.h"

static __always_inline int page_turn(__u64 page, enum turn_event event, enum turn turn)
{
	return !fault_cfg.turns || turn_taken(page, event, turn);
}

/* mm_page_alloc(page, order, gfp_flags, migratetype); no page: none was to be had. */
static __always_inline int on_page_alloc(struct bpf_raw_tracepoint_args *ctx, enum turn turn)
{
	__u64 page = ctx->args[0];
	__u32 order = ctx->args[1];
	struct fault_thread *t;

	if (!page_turn(page, TURN_PAGE_ALLOC, turn) || !page || !(ctx->args[2] & GFP_MOVABLE))
		return 0;
	t = fault_thread_find();
	if (!t || !t->open)
		return 0;
	if (!t->pages++)
		t->first_page = page;
	if (order >= t->order || !t->page) {
		t->order = order;
		t->page = page;
	}
	return 0;
}

/* mm_page_free(page, order) */
static __always_inline int on_page_free(struct bpf_raw_tracepoint_args *ctx, enum turn turn)
{
	__u64 page = ctx->args[0];
	struct fault_thread *t;

	if (!page_turn(page, TURN_PAGE_FREE, turn))
		return 0;
	t = fault_thread_find();
	if (t && t->open && t->page == page)
		t->page = 0; /* another thread was faster: never mapped */
	if (t && t->open && t->first_page == page)
		t->first_page = 0;
	fault_rss_del(page, ctx->args[1]);
	return 0;
}

TURN_PROGRAMS(fault_page_alloc, mm_page_alloc, on_page_alloc)
TURN_PROGRAMS(fault_page_free, mm_page_free, on_page_free)

#endif
