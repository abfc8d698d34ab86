/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kmem_bulk.bpf.h - frees that have no tracepoint, at the functions that do them, where the
 * kernel has fentry or kprobes: bulk frees (socket buffers, maple trees, io_uring, what
 * kfree_rcu() gathered) and kfree_rcu() itself, on v6.18 and later into sheaves. Elsewhere
 * the check at a report finds these blocks free.
 *
 * A block handed to kfree_rcu() is gone from here on, though its memory is for use again
 * only after a grace period.
 */
#ifndef KMEM_BULK_BPF_H
#define KMEM_BULK_BPF_H

#include "kmem_record.bpf.h"

/* Objects of one call; the kernel's own batches have about 500. */
#ifdef COMPAT_OLD
#define BULK_MAX 512
#else
#define BULK_MAX 4096
#endif
#define KVFREE_OFFSETS 4096 /* until v6.9 kvfree_call_rcu() got the rcu_head's offset */

static __always_inline void bulk_freed(__u64 address)
{
	struct block_key key = {.address = address, .proc_key = KMEM_SLAB};
	struct block_value old;

	if (sampled(address) && block_take(&key, &old)) {
		site_sub(&old);
		count(STAT_FREES_BULK);
	}
}

static long bulk_step(__u32 i, __u64 *objects)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), (void *)(*objects + i * 8ULL));
	bulk_freed(address);
	return 0;
}

/* kmem_cache_free_bulk(cache, n, objects) */
static __always_inline int on_bulk_free(__u64 n, __u64 objects)
{
	if (n > BULK_MAX)
		count(STAT_FREES_MISSED); /* the check finds what is beyond */
#ifdef COMPAT_OLD
	for (__u32 i = 0; i < BULK_MAX && i < n; i++)
		bulk_step(i, &objects);
#else
	bpf_loop(n < BULK_MAX ? n : BULK_MAX, bulk_step, &objects, 0);
#endif
	return 0;
}

/* kvfree_call_rcu(head, object or offset of the head in it); without a head: an object */
static __always_inline int on_kvfree_rcu(__u64 head, __u64 what)
{
	bulk_freed(head && what < KVFREE_OFFSETS ? head - what : what);
	return 0;
}

SEC("?fentry/kmem_cache_free_bulk")
int kmem_bulk_fentry(void *ctx)
{
	__u64 n = 0, objects = 0;

	bpf_get_func_arg(ctx, 1, &n);
	bpf_get_func_arg(ctx, 2, &objects);
	return on_bulk_free(n, objects);
}

SEC("?fentry/kvfree_call_rcu")
int kmem_kvfree_fentry(void *ctx)
{
	__u64 head = 0, what = 0;

	bpf_get_func_arg(ctx, 0, &head);
	bpf_get_func_arg(ctx, 1, &what);
	return on_kvfree_rcu(head, what);
}

SEC("?kprobe/kmem_cache_free_bulk")
int kmem_bulk_kprobe(struct pt_regs *ctx)
{
	return on_bulk_free(PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx));
}

SEC("?kprobe/kvfree_call_rcu")
int kmem_kvfree_kprobe(struct pt_regs *ctx)
{
	return on_kvfree_rcu(PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx));
}

#endif
