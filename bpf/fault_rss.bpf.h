/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_rss.bpf.h - resident pages by the stack that touched them first: a block for each
 * page frame, from the fault that allocated it until it is freed.
 *
 * All of them: START, END and mm_page_alloc tell which page and why, as for counts.
 *
 * A sample of frames, by a hash of their number, for which all other memory costs next to
 * nothing: one raw tracepoint, mm_page_alloc. What the thread allocates in a fault of its
 * user's (it came into the kernel by an exception, or by a system call in which
 * page_fault_kernel said so) belongs to the user's stack of that moment. A frame leaves when
 * it is allocated again, or when a look at it (fault_pages, before each report and once a
 * second) finds no anonymous memory there: it was freed, or it was a page of a file.
 */
#ifndef FAULT_RSS_BPF_H
#define FAULT_RSS_BPF_H

#include "fault_cause.bpf.h"
#include "fault_stack.bpf.h"
#include "outstanding.bpf.h"

/* Huge pages have keys of their own: after a split their parts are freed one by one. */
#define RSS_HUGE 1
__u32 rss_has_huge;

/* Memory that was touched first: the address of its struct page. */
struct rss_page {
	__u64 at;
	__u32 order;
	__u32 huge;
};

#define GFP_MOVABLE 0x8 /* ___GFP_MOVABLE: pages for users, not page tables */

/* ---- the table ---- */

static __always_inline struct block_key rss_key(__u64 at, int huge)
{
	return (struct block_key){.address = at | (huge ? RSS_HUGE : 0)};
}

static __always_inline int rss_take(__u64 at, int huge)
{
	struct block_key key = rss_key(at, huge);
	struct block_value b;

	if (!block_take(&key, &b))
		return 0;
	site_sub(&b);
	return 1;
}

/* Records a page for the stack of s->regs. */
static __always_inline void rss_put(const struct rss_page *page, struct fault_scratch *s,
				    __u64 proc_key)
{
	struct block_value b = {.size = 1ULL << fault_cfg.page_shift << (page->order & 31)};
	struct block_key key = rss_key(page->at, page->huge);
	struct site *site;

	if (page->huge)
		rss_has_huge = 1;
	b.born_ns = bpf_ktime_get_ns();
	fault_stack(s, proc_key);
	site = site_get(&s->stack, proc_key);
	b.site = s->stack.site;
	if (site && site->sent && b.site != CATCH_ALL_SITE)
		fault_stack_keep(s, proc_key);
	if (site && block_put(&key, &b))
		site_add(site, &b);
}

/* ---- all pages ---- */

static __always_inline int rss_counts(const struct fault *f)
{
	return f->cause == FAULT_FIRST_TOUCH || f->cause == FAULT_COW_COPY ||
	       f->cause == FAULT_FILE_COW || f->cause == FAULT_THP || f->cause == FAULT_SWAP_IN;
}

static __always_inline void fault_rss_add(const struct fault *f, struct fault_thread *t,
					  struct fault_scratch *s, __u64 proc_key)
{
	struct rss_page page = {};

	if (!t || !f->timed || !f->pages || !rss_counts(f))
		return;
	page.at = f->cause == FAULT_FILE_COW ? t->first_page : t->page;
	page.order = f->cause == FAULT_FILE_COW ? 0 : f->order;
	page.huge = f->cause == FAULT_THP;
	if (page.at)
		rss_put(&page, s, proc_key);
}

/* A part of a huge page, or all of it. */
static __always_inline void rss_del_huge(__u64 at, __u64 freed)
{
	struct block_key key = rss_key(at, 1);
	struct block_value *b = bpf_map_lookup_elem(&blocks, &key);
	struct site *s;

	if (!b)
		return;
	if (freed >= b->size) {
		rss_take(at, 1);
		return;
	}
	__sync_fetch_and_add(&b->size_word, -freed);
	s = bpf_map_lookup_elem(&sites, &b->site);
	if (s)
		__sync_fetch_and_add(&s->bytes, -freed);
}

/*
 * The first page of the huge one that a page is part of, or was: frames are numbered from an
 * address that is aligned for it, and a struct page has 64 bytes wherever there are cgroups.
 */
static __always_inline __u64 huge_first(__u64 page)
{
	return page & ~(((__u64)bpf_core_type_size(struct page) << HUGE_ORDER) - 1);
}

static __always_inline void fault_rss_del(__u64 page, __u32 order)
{
	if (order < HUGE_ORDER && rss_take(page, 0))
		return;
	if (rss_has_huge)
		rss_del_huge(huge_first(page), 1ULL << fault_cfg.page_shift << (order & 31));
}

/* ---- a sample ---- */

/* v5.16 (7b230db3b8d3 "mm: Introduce struct folio"); at the same place as a page's. */
struct folio___rss {
	void *mapping;
} __attribute__((preserve_access_index));

/* Memory that was allocated: struct page. */
struct fault_alloc {
	__u64 page;
	__u32 order, gfp;
};

/* By thread id: the faults that a thread had had at its last page_fault_kernel, + 1. */
struct fault_call {
	__u64 faults;
	__u32 tid;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FAULT_CALLS); /* of two threads with one place samples may miss */
	__type(key, __u32);
	__type(value, struct fault_call);
} fault_calls SEC(".maps");

static __always_inline struct fault_call *fault_call_of(__u32 tid)
{
	__u32 i = tid & (FAULT_CALLS - 1);

	return bpf_map_lookup_elem(&fault_calls, &i);
}

static __always_inline __u64 faults_so_far(void)
{
	struct task_struct___faults *task;

	if (cfg.task_storage) {
		task = (void *)bpf_get_current_task_btf();
		return task->min_flt + task->maj_flt;
	}
	task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, min_flt) + BPF_CORE_READ(task, maj_flt);
}

static __always_inline void fault_sample_call(void)
{
	__u32 tid = fault_tid();
	struct fault_call *c = fault_call_of(tid);

	if (!c)
		return;
	c->tid = tid;
	c->faults = faults_so_far() + 1;
}

/* In a system call the kernel populates as well. */
static __always_inline int in_fault(struct walk_regs *regs)
{
	struct fault_call *c;
	__u32 tid;

	if (!task_regs(regs))
		return 1;
	tid = fault_tid();
	c = fault_call_of(tid);
	return c && c->tid == tid && c->faults == faults_so_far() + 1;
}

static __always_inline int sampled(__u64 page)
{
	__u64 h = (page ^ fault_cfg.seed) * 0x9E3779B97F4A7C15ULL;

	return !((h >> 40) & (fault_cfg.rss_every - 1));
}

static __always_inline void fault_sample(const struct fault_alloc *a)
{
	struct rss_page page = {a->page, a->order, a->order >= HUGE_ORDER};
	struct fault_scratch *s = fault_scratch_get();
	__u64 proc_key;

	rss_take(a->page, 0);
	if (rss_has_huge)
		rss_take(a->page, 1);
	if (!s || !(a->gfp & GFP_MOVABLE))
		return;
	proc_key = fault_wanted(s);
	if (proc_key && in_fault(&s->regs))
		rss_put(&page, s, proc_key);
}

/* Mapped anonymous memory, but not merged by KSM: linux 6.12 include/linux/page-flags.h:696. */
static __always_inline int page_is_anon(__u64 at)
{
	struct folio___rss *folio = (void *)at;
	struct page *page = (void *)at;
	__u64 mapping;

	if (bpf_core_field_exists(folio->mapping))
		mapping = (__u64)BPF_CORE_READ(folio, mapping);
	else
		mapping = (__u64)BPF_CORE_READ(page, mapping);
	return (mapping & 3) == 1;
}

/* A look at a recorded page. A huge one that was split counts no more. */
static __always_inline void fault_look(__u64 address)
{
	int huge = address & RSS_HUGE;
	__u64 at = address & ~(__u64)RSS_HUGE;

	if (compat_page_head(at) != at || !page_is_anon(at) ||
	    (huge && compat_page_head(at + bpf_core_type_size(struct page)) != at))
		rss_take(at, huge);
}

#endif
