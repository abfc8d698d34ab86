/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_cause.bpf.h - from what was seen of a fault to its mapping and cause. The first rule
 * that matches decides. "major" is the kernel's accounting, the cause is ours: before 6.0
 * the first write to a shared mapping counts as major though nothing was read.
 */
#ifndef FAULT_CAUSE_BPF_H
#define FAULT_CAUSE_BPF_H

#include "fault_abort.bpf.h"
#include "fault_state.bpf.h"
#include "fault_vma.bpf.h"

#define HUGE_ORDER 9

/* Which of the CPU's last mappings an address may be in: heap, stack and libraries differ. */
#define VMA_NEAR_SHIFT 30

/*
 * The running process's swap entries; roughly, as CPUs count for themselves at first. Since
 * v6.2 (f1a7941243c1 "mm: convert mm's rss stats into percpu_counter") one counter each.
 */
#define MEMBER_SWAPENTS 2

struct percpu_counter___swap {
	__s64 count;
} __attribute__((preserve_access_index));

struct mm_struct___swap {
	struct percpu_counter___swap rss_stat[4];
} __attribute__((preserve_access_index));

struct mm_rss_stat {
	struct {
		__s64 counter;
	} count[4];
} __attribute__((preserve_access_index));

struct mm_struct___swap_old {
	struct mm_rss_stat rss_stat;
} __attribute__((preserve_access_index));

static __always_inline int has_swapped(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	void *mm = BPF_CORE_READ(task, mm);
	struct mm_struct___swap_old *old = mm;
	struct mm_struct___swap *now = mm;
	__s64 n = 0;

	if (bpf_core_type_exists(struct mm_rss_stat))
		n = BPF_CORE_READ(old, rss_stat.count[MEMBER_SWAPENTS].counter);
	else
		n = BPF_CORE_READ(now, rss_stat[MEMBER_SWAPENTS].count);
	return n > 0;
}

/* A page came to be mapped without I/O and without an allocation. */
static __always_inline __u8 cause_anon_found(const struct fault *f)
{
	if (has_swapped())
		return FAULT_SWAP_IN; /* read ahead, or not yet written and dropped */
	return f->has_error && (f->error & FAULT_WRITE) ? FAULT_UNKNOWN : FAULT_ZERO_PAGE;
}

static __always_inline __u8 cause_anon(const struct fault *f, const struct fault_vma *v)
{
	int present = f->has_error && (f->error & FAULT_PRESENT);

	if (present)
		return f->pages ? FAULT_COW_COPY : FAULT_COW_REUSE;
	if (f->pages && f->order >= HUGE_ORDER)
		return FAULT_THP;
	if (v->flags & VM_UFFD_MISSING_FLAG)
		return FAULT_USERFAULTFD;
	if (f->major)
		return FAULT_SWAP_IN;
	return f->pages ? FAULT_FIRST_TOUCH : cause_anon_found(f);
}

static __always_inline __u8 cause_file(const struct fault *f, const struct fault_vma *v)
{
	int present = f->has_error && (f->error & FAULT_PRESENT);
	int write = f->has_error && (f->error & FAULT_WRITE);

	if (!(v->flags & VM_SHARED_FLAG) && write) {
		if (!present)
			return FAULT_FILE_COW;
		return f->pages ? FAULT_COW_COPY : FAULT_COW_REUSE;
	}
	if ((v->flags & VM_SHARED_FLAG) && write && present)
		return FAULT_MKWRITE;
	return f->major ? FAULT_FILE_READ : FAULT_FILE_MAP;
}

static __always_inline __u8 cause_shm(const struct fault *f, const struct fault_vma *v)
{
	__u64 both = FAULT_PRESENT | FAULT_WRITE;

	if (f->has_error && (f->error & both) == both && !(v->flags & VM_SHARED_FLAG))
		return f->pages ? FAULT_COW_COPY : FAULT_COW_REUSE;
	return f->pages ? FAULT_SHM_NEW : FAULT_SHM_MAP;
}

/* Fills s->vma and f->cause. Needs s->regs. */
static __always_inline void fault_classify(struct fault *f, struct fault_scratch *s)
{
	struct vma_query q = {f->address, s->regs.sp};
	__u32 near = f->address >> VMA_NEAR_SHIFT & (VMA_NEAR - 1);

	f->cause = FAULT_UNKNOWN;
	if (!vma_find_cached(&q, &s->mappings[near], &s->vma)) {
		fault_count(FAULT_STAT_NO_VMA);
		__builtin_memset(&s->vma, 0, sizeof(s->vma));
		return;
	}
	if (!f->begun)
		return; /* begun before we came: what happened in it is not known */
	if (f->error & FAULT_AGED)
		return; /* the kernel only marks the page */
	switch (s->vma.mapping) {
	case FAULT_MAP_FILE:
		f->cause = cause_file(f, &s->vma);
		break;
	case FAULT_MAP_SHM:
		f->cause = cause_shm(f, &s->vma);
		break;
	case FAULT_MAP_HUGETLB:
		f->cause = FAULT_HUGETLB;
		break;
	case FAULT_MAP_VDSO:
		f->cause = FAULT_FILE_MAP;
		break;
	default:
		f->cause = cause_anon(f, &s->vma);
	}
}

#endif
