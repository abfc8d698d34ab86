/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kmem.bpf.c - the kernel's own memory: slab objects, pages, vmalloc areas and per-CPU
 * blocks, from their tracepoints; tables and arithmetic are those of leak.
 *
 * Why raw tracepoints: all classic tracepoint programs of a CPU, ours and other tools',
 * share one guard (bpf_prog_active), so that whatever happens in an interrupt while one
 * runs is lost; a raw tracepoint program is only guarded against itself. Under nested load
 * that is 991 lost frees instead of 34,328. They also cost a third, which is what most
 * events cost: at the default one in 16 gets beyond sampled().
 */
/* No look-up under mmap_lock here: allocations happen with it held. */
#define UNWIND_NO_FIND_VMA
#define WALK_WINDOW 1024 /* of user stack read at once, into the scratch of a level */
#define OUTSTANDING_SLOTS
#include "hold.bpf.h"
#include "kmem_record.bpf.h"
#include "kmem_bulk.bpf.h"
#include "kmem_judge.bpf.h"
#include "procs.bpf.h"

/*
 * An event's program and the second one (kmem_record.bpf.h), which is loaded where each
 * event is to be seen. Most events end with the first question, so that what follows is a
 * function of its own: a program that calls one only at its end saves no registers before.
 */
#define KMEM_PROGRAMS(name, event, address)                                                 \
	static __noinline int name##_sampled(struct bpf_raw_tracepoint_args *ctx, int turn) \
	{                                                                                   \
		hold();                                                                     \
		on_##name(ctx, ctx->args, turn);                                            \
		hold_end();                                                                 \
		return 0;                                                                   \
	}                                                                                   \
	SEC("?raw_tp/" #event)                                                              \
	int name(struct bpf_raw_tracepoint_args *ctx)                                       \
	{                                                                                   \
		return sampled(ctx->args[address]) ? name##_sampled(ctx, FIRST) : 0;        \
	}                                                                                   \
	SEC("?raw_tp/" #event)                                                              \
	int name##_second(struct bpf_raw_tracepoint_args *ctx)                              \
	{                                                                                   \
		return sampled(ctx->args[address]) ? name##_sampled(ctx, SECOND) : 0;       \
	}

/* ---- slab ---- */

static __always_inline void on_kmem_kmalloc(void *ctx, const __u64 *args, int turn)
{
	struct kmem_alloc a = {
		.call_site = args[0],
		.address = args[1],
		.size = args[3],
		.gfp = args[4],
		.kind = KMEM_SLAB,
	};

	if (kmem_cfg.no_cache)
		a.cache = object_cache(a.address);
	alloc_seen(ctx, &a, turn);
}

/*
 * Before v6.1 (2c1d697fb8ba "mm/slab_common: drop kmem_alloc & avoid dereferencing fields when
 * not using") the arguments are kmalloc's.
 */
static __always_inline void on_kmem_cache_alloc(void *ctx, const __u64 *args, int turn)
{
	struct kmem_alloc a = {
		.call_site = args[0],
		.address = args[1],
		.cache = args[2],
		.gfp = args[3],
		.kind = KMEM_SLAB,
	};

	if (kmem_cfg.no_cache) {
		a.cache = object_cache(a.address);
		a.size = args[3];
		a.gfp = args[4];
	}
	alloc_seen(ctx, &a, turn);
}

/* Until v6.0: merged into the others by 11e9734bcb6a "mm/slab_common: unify NUMA and UMA version
 * of tracepoints". */
#define on_kmem_kmalloc_node	 on_kmem_kmalloc
#define on_kmem_cache_alloc_node on_kmem_cache_alloc

static __always_inline void on_kmem_kfree(void *ctx, const __u64 *args, int turn)
{
	free_seen(args[1], KMEM_SLAB, turn);
}

static __always_inline void on_kmem_cache_free(void *ctx, const __u64 *args, int turn)
{
	free_seen(args[1], KMEM_SLAB, turn);
}

KMEM_PROGRAMS(kmem_kmalloc, kmalloc, 1)
KMEM_PROGRAMS(kmem_kmalloc_node, kmalloc_node, 1)
KMEM_PROGRAMS(kmem_cache_alloc, kmem_cache_alloc, 1)
KMEM_PROGRAMS(kmem_cache_alloc_node, kmem_cache_alloc_node, 1)
KMEM_PROGRAMS(kmem_kfree, kfree, 1)
KMEM_PROGRAMS(kmem_cache_free, kmem_cache_free, 1)

/* ---- pages ---- */

/* The address of a struct page; movable pages belong to user space and the page cache. */
static __always_inline void on_kmem_page_alloc(void *ctx, const __u64 *args, int turn)
{
	struct kmem_alloc a;

	if (args[2] & GFP_MOVABLE)
		return;
	a = (struct kmem_alloc){
		.address = args[0],
		.order = args[1],
		.gfp = args[2],
		.kind = KMEM_PAGES,
	};
	a.size = 1ULL << ((kmem_cfg.page_shift + a.order) & 63);
	alloc_seen(ctx, &a, turn);
}

static __always_inline void on_kmem_page_free(void *ctx, const __u64 *args, int turn)
{
	free_seen(args[0], KMEM_PAGES, turn);
}

KMEM_PROGRAMS(kmem_page_alloc, mm_page_alloc, 0)
KMEM_PROGRAMS(kmem_page_free, mm_page_free, 0)

/* ---- vmalloc ---- */

static __always_inline void on_kmem_vmap_alloc(void *ctx, const __u64 *args, int turn)
{
	struct kmem_alloc a = {
		.address = args[0],
		.size = args[1], /* with the guard page */
		.kind = KMEM_VMALLOC,
	};

	if (!args[5]) /* it did not fail */
		alloc_seen(ctx, &a, turn);
}

static __always_inline void on_kmem_vmap_free(void *ctx, const __u64 *args, int turn)
{
	free_seen(args[0], KMEM_VMALLOC, turn);
}

KMEM_PROGRAMS(kmem_vmap_alloc, alloc_vmap_area, 0)
KMEM_PROGRAMS(kmem_vmap_free, free_vmap_area_noflush, 0)

/* ---- per-CPU ---- */

static __always_inline void on_kmem_percpu_alloc(void *ctx, const __u64 *args, int turn)
{
	struct kmem_alloc a = {
		.call_site = args[0],
		.address = args[7],
		.size = args[8], /* over all CPUs */
		.gfp = args[9],
		.kind = KMEM_PERCPU,
	};

	alloc_seen(ctx, &a, turn);
}

static __always_inline void on_kmem_percpu_free(void *ctx, const __u64 *args, int turn)
{
	free_seen(args[2], KMEM_PERCPU, turn);
}

/* Before v5.19: (reserved, is_atomic, size, align, base_addr, off, ptr). */
static __always_inline void on_kmem_percpu_alloc_siteless(void *ctx, const __u64 *args, int turn)
{
	struct kmem_alloc a = {
		.address = args[6],
		.size = args[2] * kmem_cfg.cpus,
		.kind = KMEM_PERCPU,
	};

	alloc_seen(ctx, &a, turn);
}

KMEM_PROGRAMS(kmem_percpu_alloc, percpu_alloc_percpu, 7)
KMEM_PROGRAMS(kmem_percpu_alloc_siteless, percpu_alloc_percpu, 6)
KMEM_PROGRAMS(kmem_percpu_free, percpu_free_percpu, 2)

/* ---- processes, for their stacks ---- */

SEC("?raw_tp/sched_process_exec")
int kmem_exec(void *ctx)
{
	return procs_exec();
}
