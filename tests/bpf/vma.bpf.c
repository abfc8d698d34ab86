/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The look-up of bpf/vma.bpf.h in the running process, one per BPF_PROG_TEST_RUN. */
#define UNWIND_NO_FIND_VMA
#include "fault_vma.bpf.h"
#include "vma_input.h"

struct vma_input input;
struct vma_output output;

_Static_assert(sizeof(struct vma_cache) == sizeof(output.near), "near");

static __always_inline void output_fill(int found, const struct fault_vma *v)
{
	output.found = found;
	output.vma = *v;
	vma_bounds(&output.low, &output.high);
}

SEC("raw_tp/test")
int run_find(void *ctx)
{
	struct vma_query q = {input.address, input.sp};
	struct fault_vma v = {};

	output_fill(vma_find(&q, &v, 0), &v);
	return 0;
}

SEC("raw_tp/test")
int run_find_cached(void *ctx)
{
	struct vma_query q = {input.address, input.sp};
	struct vma_cache c;
	struct fault_vma v = {};

	__builtin_memcpy(&c, output.near, sizeof(c));
	output_fill(vma_find_cached(&q, &c, &v), &v);
	__builtin_memcpy(output.near, &c, sizeof(c));
	return 0;
}
