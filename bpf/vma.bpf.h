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
 * the last.
 * Before v6.1: vma_rb.bpf.h.
 */
#ifndef VMA_BPF_H
#define VMA_BPF_H

#include "common.bpf.h"
#include "faults_abi.h"

#define VM_SHARED_FLAG	     0x8UL
#define VM_UFFD_MISSING_FLAG 0x200UL
#define MAGIC_TMPFS	     0x01021994
#define MAGIC_HUGETLBFS	     0x958458f6
#define SB_NOUSER_FLAG	     (1UL << 31) /* mounted by the kernel for itself only */

#define VMA_COPY     32 /* words: more than the fields that are used span on any kernel */
#define VMA_LEVELS   8
#define MAPLE_LEAF   1
#define MAPLE_RANGE  2
#define MAPLE_ARANGE 3

#define VMA_TYPE __attribute__((preserve_access_index))

struct maple_tree___vma {
	void *ma_root;
} VMA_TYPE;

/* before v6.1 */
struct rb_node___vma {
	struct rb_node___vma *rb_right, *rb_left;
} VMA_TYPE;

struct rb_root___vma {
	struct rb_node___vma *rb_node;
} VMA_TYPE;

struct mm_struct___vma {
	struct maple_tree___vma mm_mt;
	struct rb_root___vma mm_rb;
	unsigned long brk, start_brk, start_stack;
} VMA_TYPE;

/* x86: as clone() got it */
struct thread_struct___vma {
	unsigned long fsbase;
} VMA_TYPE;

struct task_struct___vma {
	struct mm_struct___vma *mm;
	struct thread_struct___vma thread;
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
	struct rb_node___vma vm_rb;
} VMA_TYPE;

/* v6.15 "mm: replace vm_lock and detached flag with a reference count" */
struct vm_area_struct___refcnt {
	struct {
		int refs;
	} vm_refcnt;
} VMA_TYPE;

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

/*
 * Per CPU: the fault programs run with interrupts off or, below a tracepoint, without
 * preemption, so that nothing else of ours comes in between.
 */
struct vma_scratch {
	__u64 node[32];
	__u64 copy[VMA_COPY]; /* of a vm_area_struct */
	__u64 low, high;      /* around the address: what the tree has no mapping for, inclusive */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vma_scratch);
} vma_scratches SEC(".maps");

/* Up to vm_file, the last one of those that every kernel has. */
#define VMA_BYTES (bpf_core_field_offset(struct vm_area_struct___vma, vm_file) + 8)

/* A field of a vm_area_struct copied to `words`. */
#define VMA_AT(words, offset) ((words)[((offset) / 8) & (VMA_COPY - 1)])
#define VMA_WORD(words, field) \
	VMA_AT(words, bpf_core_field_offset(struct vm_area_struct___vma, field))
#define VMA_FIELD(s, field) VMA_WORD((s)->copy, field)

/* vm_refcnt is copied too where it lies near enough. */
#define VMA_HAS_REF    bpf_core_field_exists(struct vm_area_struct___refcnt, vm_refcnt)
#define VMA_REF_OFFSET bpf_core_field_offset(struct vm_area_struct___refcnt, vm_refcnt)
#define VMA_REF_BYTES  ((VMA_REF_OFFSET | 7) + 1)
#define VMA_REF_COPIED (VMA_HAS_REF && VMA_REF_BYTES <= VMA_COPY * 8)

/* A field of the running process's mm_struct. */
#define VMA_MM(mm, field) (cfg.task_storage ? (mm)->field : BPF_CORE_READ(mm, field))

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

#include "vma_rb.bpf.h"

static __always_inline __u64 vma_search_maple(struct mm_struct___vma *mm, __u64 addr)
{
	__u64 e = (__u64)BPF_CORE_READ(mm, mm_mt.ma_root);

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

/* The mapping around addr as the tree has it, not checked; 0: none. */
static __always_inline __u64 vma_search(struct mm_struct___vma *mm, __u64 addr)
{
	__u32 zero = 0;
	struct vma_scratch *s = bpf_map_lookup_elem(&vma_scratches, &zero);

	if (!s)
		return 0;
	s->low = 0;
	s->high = ~0ULL;
	if (bpf_core_field_exists(struct mm_struct___vma, mm_mt))
		return vma_search_maple(mm, addr);
	return bpf_core_field_exists(struct mm_struct___vma, mm_rb) ? vma_search_rb(mm, addr) : 0;
}

/* With task storage there are typed pointers, which are read without a helper. */
static __always_inline struct mm_struct___vma *vma_mm(void)
{
	return cfg.task_storage
		       ? ((struct task_struct___vma *)bpf_get_current_task_btf())->mm
		       : BPF_CORE_READ((struct task_struct___vma *)bpf_get_current_task(), mm);
}

/* Copies what may be a mapping and checks that it is one of mm around address. */
static __always_inline int vma_copy(struct vma_scratch *s, __u64 vma, __u64 mm, __u64 address)
{
	__u32 len = VMA_BYTES;

	if (VMA_REF_COPIED && VMA_REF_BYTES > len)
		len = VMA_REF_BYTES;
	if (bpf_probe_read_kernel(s->copy, len, (void *)vma))
		return 0;
	return VMA_FIELD(s, vm_mm) == mm && VMA_FIELD(s, vm_start) <= address &&
	       address < VMA_FIELD(s, vm_end);
}

/* Whether the copied mapping was part of its process. */
static __always_inline int vma_attached(const struct vma_scratch *s, __u64 vma)
{
	__u32 refs = 0;

	if (!VMA_HAS_REF)
		return 0;
	if (VMA_REF_COPIED)
		return (__u32)VMA_AT(s->copy, VMA_REF_OFFSET) != 0;
	vma += VMA_REF_OFFSET;
	return !bpf_probe_read_kernel(&refs, sizeof(refs), (void *)vma) && refs;
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

/* The mapping around an address, as a checked copy in s; its address, or 0. */
static __always_inline __u64 vma_locate(struct vma_scratch *s, struct mm_struct___vma *mm,
					__u64 address)
{
	__u64 vma = vma_search(mm, address);

	return vma && vma_copy(s, vma, (__u64)mm, address) ? vma : 0;
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

/* The gap or mapping around addr that the last vma_find() saw, inclusive bounds. */
static __always_inline void vma_bounds(__u64 *ret_low, __u64 *ret_high)
{
	__u32 zero = 0;
	struct vma_scratch *s = bpf_map_lookup_elem(&vma_scratches, &zero);

	*ret_low = s ? s->low : 0;
	*ret_high = s ? s->high : ~0ULL;
}

#endif
