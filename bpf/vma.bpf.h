/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vma.bpf.h - which mapping an address of the running process lies in, without a lock:
 * a walk of the process's maple tree (v6.1, 524e00b36e8c "mm: remove rb tree") by plain
 * reads. bpf_find_vma() is no choice on the fault path: it fails whenever a writer holds or
 * waits for mmap_lock, and there it releases its lock by an interrupt to itself. Before v5.17
 * there is none, and stacks of uprobes are walked with the help of this one too.
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

#include "compat.bpf.h"

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
	unsigned long vm_start, vm_end, vm_flags, vm_pgoff;
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
 * Per CPU: the fault programs run with interrupts off or, below a tracepoint, without
 * preemption, uprobes before v6.0 too, so that nothing else of ours comes in between.
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

/* The mapping around an address, as a checked copy in s; its address, or 0. */
static __always_inline __u64 vma_locate(struct vma_scratch *s, struct mm_struct___vma *mm,
					__u64 address)
{
	__u64 vma = vma_search(mm, address);

	return vma && vma_copy(s, vma, (__u64)mm, address) ? vma : 0;
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
