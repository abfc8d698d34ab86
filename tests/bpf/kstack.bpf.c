/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every slab allocation: is a stack that is recognised the one that a walk gives? */
#include "kstack.bpf.h"
#include "kstack_input.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kstack);
} scratches SEC(".maps");

struct kstack_totals totals;

SEC("raw_tp/kmem_cache_alloc")
int on_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 zero = 0;
	struct kstack *k = bpf_map_lookup_elem(&scratches, &zero);
	__u64 hash;

	if (!k)
		return 0;
	hash = kstack_take(ctx, k, ctx->args[0], 0);
	if (k->ev.n) {
		__sync_fetch_and_add(&totals.walked, 1);
		return 0;
	}
	__sync_fetch_and_add(&totals.recognised, 1);
	if (k->next)
		__sync_fetch_and_add(&totals.linked, 1);
	if (kstack_walk(ctx, k) != hash)
		__sync_fetch_and_add(&totals.wrong, 1);
	return 0;
}
