/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fault_vma.bpf.h - what the mapping around an address is, as a fault is told with it. */
#ifndef FAULT_VMA_BPF_H
#define FAULT_VMA_BPF_H

#include "common.bpf.h"
#include "faults_abi.h"
#include "vma.bpf.h"

#define VM_SHARED_FLAG	     0x8UL
#define VM_UFFD_MISSING_FLAG 0x200UL
#define MAGIC_TMPFS	     0x01021994
#define MAGIC_HUGETLBFS	     0x958458f6
#define SB_NOUSER_FLAG	     (1UL << 31) /* mounted by the kernel for itself only */

/*
 * The mapping that an earlier fault was in. The next one mostly is there too, which one
 * read of it shows: it still belongs to the process (a reference count of 0 says that it
 * does not; without one there is no cache) and covers the address.
 */
struct vma_cache {
	__u64 vma, file;
	__u64 ino;
	__u32 dev, kind; /* of the file */
};

/* A field of the running process's mm_struct. */
#define VMA_MM(mm, field) (cfg.task_storage ? (mm)->field : BPF_CORE_READ(mm, field))

/* With task storage there are typed pointers, which are read without a helper. */
static __always_inline struct mm_struct___vma *vma_mm(void)
{
	return cfg.task_storage
		       ? ((struct task_struct___vma *)bpf_get_current_task_btf())->mm
		       : BPF_CORE_READ((struct task_struct___vma *)bpf_get_current_task(), mm);
}

static __always_inline __u32 vma_file_kind(struct file___vma *file, struct fault_vma *ret)
{
	struct inode___vma *inode = BPF_CORE_READ(file, f_inode);
	struct super_block___vma *sb = BPF_CORE_READ(inode, i_sb);
	__u64 magic = BPF_CORE_READ(sb, s_magic);

	if (magic == MAGIC_HUGETLBFS)
		return FAULT_MAP_HUGETLB;
	if (magic == MAGIC_TMPFS && (BPF_CORE_READ(sb, s_flags) & SB_NOUSER_FLAG))
		return FAULT_MAP_SHM;
	ret->ino = BPF_CORE_READ(inode, i_ino);
	ret->dev = BPF_CORE_READ(sb, s_dev);
	return FAULT_MAP_FILE;
}

struct vma_query {
	__u64 address;
	__u64 sp; /* the user stack pointer at the fault */
};

/*
 * The kernel merges a thread's stack with what is mapped next to it. Below the stack pointer
 * only the red zone and what probes a new frame is stack; above it, libraries keep the
 * thread's control block at the very top.
 */
#define STACK_REACH   65536
#define STACK_CONTROL 4096

/* Only in a mapping that the stack pointer is in. */
static __always_inline int vma_is_thread_stack(const struct vma_query *q, const struct fault_vma *v)
{
	struct task_struct___vma *task;
	__u64 top = 0;

	if (q->sp < v->start || q->sp >= v->end || q->address + STACK_REACH < q->sp)
		return 0;
	if (bpf_core_field_exists(struct thread_struct___vma, fsbase)) {
		task = (void *)bpf_get_current_task();
		top = BPF_CORE_READ(task, thread.fsbase);
	}
	return top < q->sp || top >= v->end || q->address < top + STACK_CONTROL;
}

/* The order is that of fs/proc/task_mmu.c. */
static __always_inline __u32 vma_anon_kind(struct vma_scratch *s, struct mm_struct___vma *mm,
					   const struct vma_query *q, const struct fault_vma *v)
{
	__u64 stack = VMA_MM(mm, start_stack);

	if (v->start <= VMA_MM(mm, brk) && v->end >= VMA_MM(mm, start_brk))
		return FAULT_MAP_HEAP;
	if (v->start <= stack && stack < v->end)
		return FAULT_MAP_STACK;
	if (VMA_FIELD(s, vm_ops))
		return FAULT_MAP_VDSO;
	return vma_is_thread_stack(q, v) ? FAULT_MAP_THREAD_STACK : FAULT_MAP_ANON;
}

static __always_inline void vma_fill(struct vma_scratch *s, struct fault_vma *ret)
{
	ret->start = VMA_FIELD(s, vm_start);
	ret->end = VMA_FIELD(s, vm_end);
	ret->flags = VMA_FIELD(s, vm_flags);
	ret->ino = 0;
	ret->dev = 0;
}

/*
 * The mapping around an address: 1, or 0 with *ret untouched. *ret_file, where given: its
 * struct file, or NULL.
 */
static __always_inline int vma_find(const struct vma_query *q, struct fault_vma *ret,
				    struct file___vma **ret_file)
{
	struct mm_struct___vma *mm = vma_mm();
	__u32 zero = 0;
	struct vma_scratch *s = bpf_map_lookup_elem(&vma_scratches, &zero);
	struct file___vma *file;

	if (!mm || !s || !vma_locate(s, mm, q->address))
		return 0;
	vma_fill(s, ret);
	file = (void *)VMA_FIELD(s, vm_file);
	ret->mapping = file ? vma_file_kind(file, ret) : vma_anon_kind(s, mm, q, ret);
	if (ret_file)
		*ret_file = file;
	return 1;
}

/* The same for whoever keeps where it was. */
static __always_inline int vma_find_cached(const struct vma_query *q, struct vma_cache *c,
					   struct fault_vma *ret)
{
	struct mm_struct___vma *mm = vma_mm();
	__u32 zero = 0;
	struct vma_scratch *s = bpf_map_lookup_elem(&vma_scratches, &zero);
	__u64 file;

	if (!mm || !s)
		return 0;
	if (!c->vma || !vma_copy(s, c->vma, (__u64)mm, q->address) || !vma_attached(s, c->vma)) {
		c->vma = vma_locate(s, mm, q->address);
		c->file = 0;
	}
	if (!c->vma)
		return 0;
	vma_fill(s, ret);
	file = VMA_FIELD(s, vm_file);
	if (!file) {
		ret->mapping = vma_anon_kind(s, mm, q, ret);
		return 1;
	}
	if (c->file != file) {
		c->kind = vma_file_kind((void *)file, ret);
		c->ino = ret->ino;
		c->dev = ret->dev;
		c->file = file;
	}
	ret->mapping = c->kind;
	ret->ino = c->ino;
	ret->dev = c->dev;
	return 1;
}

#endif
