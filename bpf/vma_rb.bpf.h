/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vma_rb.bpf.h - the tree of mappings before v6.1. Part of vma.bpf.h.
 *
 * There the mappings themselves are the nodes of an rb-tree. It is not made for readers
 * without a lock, so that one may be led astray while the tree is balanced anew: as with the
 * maple tree, what is found is checked, or not believed.
 */
#ifndef VMA_RB_BPF_H
#define VMA_RB_BPF_H

#define VMA_LEVELS_RB 48 /* more than 2 * log2(65530 mappings) */

static __always_inline __u64 vma_of_node(struct rb_node___vma *n)
{
	return n ? (__u64)n - bpf_core_field_offset(struct vm_area_struct___vma, vm_rb) : 0;
}

/* One level of the rb-tree: `vma` itself if it covers addr, else its child there, or 0. */
__weak __noinline __u64 vma_step_rb(__u64 vma, __u64 addr)
{
	__u32 zero = 0;
	struct vma_scratch *s = bpf_map_lookup_elem(&vma_scratches, &zero);

	if (!s || !bpf_core_field_exists(struct mm_struct___vma, mm_rb) ||
	    bpf_probe_read_kernel(s->node, VMA_BYTES, (void *)vma))
		return 0;
	if (addr < VMA_WORD(s->node, vm_start)) {
		s->high = VMA_WORD(s->node, vm_start) - 1;
		return vma_of_node((void *)VMA_WORD(s->node, vm_rb.rb_left));
	}
	if (addr >= VMA_WORD(s->node, vm_end)) {
		s->low = VMA_WORD(s->node, vm_end);
		return vma_of_node((void *)VMA_WORD(s->node, vm_rb.rb_right));
	}
	return vma;
}

static __always_inline __u64 vma_search_rb(struct mm_struct___vma *mm, __u64 addr)
{
	__u64 vma = vma_of_node(BPF_CORE_READ(mm, mm_rb.rb_node));

	for (int level = 0; level < VMA_LEVELS_RB && vma; level++) {
		__u64 next = vma_step_rb(vma, addr);

		if (next == vma)
			return vma;
		vma = next;
	}
	return 0;
}

#endif
