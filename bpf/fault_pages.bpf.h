/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_pages.bpf.h - pages that are allocated and freed. Where the kernel may skip a program
 * there are four of each (turns.bpf.h): a fault's cause, and with --rss its page, depend on it.
 * They are others than the one of all other kernels, which may lack what it takes to hold a
 * program (hold.bpf.h).
 */
#ifndef FAULT_PAGES_BPF_H
#define FAULT_PAGES_BPF_H

#include "fault_rss.bpf.h"
#include "hold.bpf.h"
#include "turns.bpf.h"

static __always_inline int page_turn(__u64 page, enum turn_event event, enum turn turn)
{
	return !fault_cfg.turns || turn_taken_till(page, event, turn, FOURTH);
}

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
		page_allocated(page, ctx->args[1]);
	return 0;
}

/* mm_page_free(page, order) */
static __always_inline int on_page_free(struct bpf_raw_tracepoint_args *ctx, enum turn turn)
{
	__u64 page = ctx->args[0];

	if (page_turn(page, TURN_PAGE_FREE, turn))
		page_freed(page, ctx->args[1]);
	return 0;
}

TURN_PROGRAM(fault_page_alloc, mm_page_alloc, on_page_alloc, FIRST)
TURN_PROGRAM(fault_page_free, mm_page_free, on_page_free, FIRST)

static __always_inline int on_page_alloc_held(struct bpf_raw_tracepoint_args *ctx, enum turn turn)
{
	hold();
	on_page_alloc(ctx, turn);
	hold_end();
	return 0;
}

static __always_inline int on_page_free_held(struct bpf_raw_tracepoint_args *ctx, enum turn turn)
{
	hold();
	on_page_free(ctx, turn);
	hold_end();
	return 0;
}

TURN_PROGRAMS_OF_FOUR(fault_page_alloc_held, mm_page_alloc, on_page_alloc_held)
TURN_PROGRAMS_OF_FOUR(fault_page_free_held, mm_page_free, on_page_free_held)

#endif
