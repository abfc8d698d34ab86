/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vma.bpf.h - which mapping an address of the running process lies in, without a lock:
 * a walk of the process's maple tree (v6.1, 524e00b36e8c "mm: remove rb tree") by plain
 * reads. bpf_find_vma() is no choice on the fault path: it fails whenever a writer holds or
 * waits for mmap_lock, and there it releases its lock by an interrupt to itself.
 *
 * Nodes are 256 bytes, aligned, freed by RCU (linux 6.12 include/linux/maple_tree.h:29-141;
 * the layout is the same from 6.1 to 7.2 on 64 bit). One may change under us: what is
 * found is checked to be a mapping of this process around this address, or not believed.
 *
 *	type (bits 3-6 of the pointer)	pivots		slots
 *	1 leaf_64, 2 range_64		w[1..15]	w[16..31]
 *	3 arange_64			w[1..9]		w[10..19]
 *
 * Slot i covers (pivot[i-1], pivot[i]]; a pivot of 0 after the first says that slot i is
 * the last. Kernels before 6.1 have an rb-tree: there nothing is found.
 */
#ifndef VMA_BPF_H
#define VMA_BPF_H

#include "compat.bpf.h"
#include "faults_abi.h"

#define VM_SHARED_FLAG	     0x8UL
#define VM_UFFD_MISSING_FLAG 0x200UL
#define MAGIC_TMPFS	     0x01021994
#define MAGIC_HUGETLBFS	     0x958458f6
#define SB_NOUSER_FLAG	     (1UL << 31) /* mounted by the kernel for itself only */

#define VMA_LEVELS   8
#define MAPLE_LEAF   1
#define MAPLE_RANGE  2
#define MAPLE_ARANGE 3

#define VMA_TYPE __attribute__((preserve_access_index))

struct maple_tree___vma {
	void *ma_root;
} VMA_TYPE;

struct mm_struct___vma {
	struct maple_tree___vma mm_mt;
	unsigned long brk, start_brk, start_stack;
} VMA_TYPE;

struct task_struct___vma {
	struct mm_struct___vma *mm;
} VMA_TYPE;

struct super_block___vma {
	unsigned long s_magic, s_flags;
	__u32 s_dev;
} VMA_TYPE;

struct inode___vma {
	struct super_block___vma *i_sb;
	unsigned long i_ino;
} VMA_TYPE;

struct qstr___vma {
	const unsigned char *name;
} VMA_TYPE;

struct dentry___vma {
	struct dentry___vma *d_parent;
	struct qstr___vma d_name;
} VMA_TYPE;

struct path___vma {
	struct dentry___vma *dentry;
} VMA_TYPE;

struct file___vma {
	struct inode___vma *f_inode;
	struct path___vma f_path;
} VMA_TYPE;

struct vm_area_struct___vma {
	unsigned long vm_start, vm_end, vm_flags;
	struct mm_struct___vma *vm_mm;
	struct file___vma *vm_file;
	void *vm_ops;
} VMA_TYPE;

/*
 * Per CPU: the fault programs run with interrupts off or, below a tracepoint, without
 * preemption, so that nothing else of ours comes in between.
 */
struct vma_scratch {
	__u64 node[32];
	__u64 low, high; /* around the address: what the tree has no mapping for, inclusive */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vma_scratch);
} vma_scratches SEC(".maps");

/*
 * One level: the slot of the node `e` that covers addr, 0 if none can be had. A function of
 * its own so that the verifier looks at the search once, not once per level.
 */
__weak __noinline __u64 vma_step(__u64 e, __u64 addr)
{
	__u32 zero = 0, type = (e >> 3) & 15, pivots, base;
	struct vma_scratch *s = bpf_map_lookup_elem(&vma_scratches, &zero);
	__u32 i;

	if (!s || type < MAPLE_LEAF || type > MAPLE_ARANGE)
		return 0;
	pivots = type == MAPLE_ARANGE ? 9 : 15;
	base = type == MAPLE_ARANGE ? 10 : 16;
	if (bpf_probe_read_kernel(s->node, sizeof(s->node), (void *)(e & ~255ULL)))
		return 0;
	for (i = 0; i < 15; i++) {
		__u64 pivot = s->node[1 + i];

		if (i >= pivots || (i > 0 && !pivot))
			break;
		if (pivot >= addr) {
			s->high = pivot;
			break;
		}
		s->low = pivot + 1;
	}
	i += base;
	return s->node[i & 31];
}

/* The mapping around addr as the tree has it, not checked; 0: none. */
static __always_inline __u64 vma_search(struct mm_struct___vma *mm, __u64 addr)
{
	__u64 e = (__u64)BPF_CORE_READ(mm, mm_mt.ma_root);
	__u32 zero = 0;
	struct vma_scratch *s = bpf_map_lookup_elem(&vma_scratches, &zero);

	if (!s)
		return 0;
	s->low = 0;
	s->high = ~0ULL;
	if ((e & 3) != 2 || e <= 4096)
		return e; /* a single mapping needs no node */
	for (int level = 0; level < VMA_LEVELS; level++) {
		__u64 next = vma_step(e, addr);

		if (((e >> 3) & 15) == MAPLE_LEAF)
			return next;
		e = next;
	}
	return 0;
}

static __always_inline struct mm_struct___vma *vma_mm(void)
{
	struct task_struct___vma *task = (void *)bpf_get_current_task();

	if (!bpf_core_field_exists(struct mm_struct___vma, mm_mt))
		return 0;
	return BPF_CORE_READ(task, mm);
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

/* The kernel merges a thread's stack with what is mapped below it: further down is not stack. */
#define STACK_REACH 65536

/* The order is that of fs/proc/task_mmu.c. */
static __always_inline __u32 vma_anon_kind(struct vm_area_struct___vma *vma,
					   const struct vma_query *q, const struct fault_vma *v)
{
	struct mm_struct___vma *mm = vma_mm();
	__u64 stack = BPF_CORE_READ(mm, start_stack);

	if (v->start <= BPF_CORE_READ(mm, brk) && v->end >= BPF_CORE_READ(mm, start_brk))
		return FAULT_MAP_HEAP;
	if (v->start <= stack && stack < v->end)
		return FAULT_MAP_STACK;
	if (BPF_CORE_READ(vma, vm_ops))
		return FAULT_MAP_VDSO;
	return v->start <= q->sp && q->sp < v->end && q->address + STACK_REACH >= q->sp
		       ? FAULT_MAP_THREAD_STACK
		       : FAULT_MAP_ANON;
}

/*
 * The mapping around an address: 1, or 0 with *ret untouched. *ret_file, where given: its
 * struct file, or NULL.
 */
static __always_inline int vma_find(const struct vma_query *q, struct fault_vma *ret,
				    struct file___vma **ret_file)
{
	struct mm_struct___vma *mm = vma_mm();
	struct vm_area_struct___vma *vma;
	struct fault_vma v = {};
	struct file___vma *file;

	if (!mm)
		return 0;
	vma = (void *)vma_search(mm, q->address);
	if (!vma || BPF_CORE_READ(vma, vm_mm) != mm)
		return 0;
	v.start = BPF_CORE_READ(vma, vm_start);
	v.end = BPF_CORE_READ(vma, vm_end);
	if (q->address < v.start || q->address >= v.end)
		return 0;
	v.flags = BPF_CORE_READ(vma, vm_flags);
	file = BPF_CORE_READ(vma, vm_file);
	v.mapping = file ? vma_file_kind(file, &v) : vma_anon_kind(vma, q, &v);
	*ret = v;
	if (ret_file)
		*ret_file = file;
	return 1;
}

/* The gap or mapping around addr that the last vma_find() saw, inclusive bounds. */
static __always_inline void vma_bounds(__u64 *ret_low, __u64 *ret_high)
{
	__u32 zero = 0;
	struct vma_scratch *s = bpf_map_lookup_elem(&vma_scratches, &zero);

	*ret_low = s ? s->low : 0;
	*ret_high = s ? s->high : ~0ULL;
}

#endif
