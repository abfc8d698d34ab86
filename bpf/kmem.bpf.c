/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kmem.bpf.c - the kernel's own memory: slab objects, pages, vmalloc areas and per-CPU
 * blocks, from their tracepoints; tables and arithmetic are those of leak.
 *
 * Why raw tracepoints: all classic tracepoint programs of a CPU, ours and other tools',
 * share one guard (bpf_prog_active), so that whatever happens in an interrupt while one
 * runs is lost; a raw tracepoint program is only guarded against itself. Under nested load
 * that is 991 lost frees instead of 34,328. Up to v6.18 a tracepoint runs its programs with
 * preemption disabled, so that only interrupts come in between and go before it continues:
 * that is what kmem_scratch rests on.
 *
 * Why no thread_get(): task storage allocates, and these events come from inside the
 * allocator, in any context.
 */
#include "outstanding.bpf.h"
#include "kmem_abi.h"
#include "kmem_judge.bpf.h"

#define GFP_MOVABLE  0x08
#define PTR_MIN	     16 /* NULL and ZERO_SIZE_PTR are no memory */
#define DUPLICATE_NS 1000000

const volatile struct kmem_cfg kmem_cfg;

/* What the programs of this CPU work in; each takes a level of its own. */
struct kmem_scratch {
	__u64 taken; /* levels, by bit */
	struct kstack levels[KMEM_LEVELS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kmem_scratch);
} kmem_scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096); /* as sites */
	__type(key, __u64);
	__type(value, struct kmem_origin);
} kmem_origins SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct kmem_cache_info);
} kmem_caches SEC(".maps");

struct kmem_alloc {
	__u64 address, size, call_site, gfp, cache;
	__u32 kind, order;
};

/* ---- which blocks ---- */

/* Alloc and free decide alike, from the address alone: no map, no state. */
static __always_inline int address_sampled(__u64 address)
{
	__u64 mixed = ((address >> 3) * 0x9E3779B97F4A7C15ULL) >> 40;

	return (mixed & kmem_cfg.sample_mask) == 0;
}

static __always_inline int task_targeted(void)
{
	__u32 tgid;

	if (!kmem_cfg.targets)
		return 1;
	if (cfg.scope == SCOPE_CGROUP)
		return bpf_current_task_under_cgroup(&cgroups, 0) == 1;
	tgid = task_ids() >> 32;
	return bpf_map_lookup_elem(&procs, &tgid) != 0;
}

static __always_inline int call_wanted(const struct kmem_alloc *a)
{
	if (a->size < cfg.min_size || a->size > cfg.max_size)
		return 0;
	if (kmem_cfg.site_end &&
	    (a->call_site < kmem_cfg.site_start || a->call_site >= kmem_cfg.site_end))
		return 0;
	return task_targeted();
}

static __always_inline int names_equal(const char *a, const volatile char *b)
{
	int i;

	for (i = 0; i < KMEM_NAME; i++) {
		if (a[i] != b[i])
			return 0;
		if (!a[i])
			break;
	}
	return 1;
}

static __always_inline int name_is_wanted(const char *name)
{
	__u32 i;

	for (i = 0; i < KMEM_FILTERS && i < kmem_cfg.n_caches; i++)
		if (names_equal(name, kmem_cfg.caches[i].name))
			return 1;
	return !kmem_cfg.n_caches;
}

static __always_inline struct kmem_cache_info *cache_get(__u64 address)
{
	struct kmem_cache_info *info = bpf_map_lookup_elem(&kmem_caches, &address);
	struct kmem_cache *s = (struct kmem_cache *)address;
	struct kmem_cache_info fresh = {};

	if (info)
		return info;
	fresh.size = BPF_CORE_READ(s, size);
	bpf_probe_read_kernel_str(fresh.name, sizeof(fresh.name), BPF_CORE_READ(s, name));
	fresh.wanted = name_is_wanted(fresh.name);
	bpf_map_update_elem(&kmem_caches, &address, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&kmem_caches, &address);
}

static __always_inline int kmalloc_wanted(__u64 size, __u64 gfp)
{
	const volatile struct kmem_cache_filter *f;
	__u32 i;

	for (i = 0; i < KMEM_FILTERS && i < kmem_cfg.n_caches; i++) {
		f = &kmem_cfg.caches[i];
		if (size == f->kmalloc_size && (gfp & f->kmalloc_gfp_mask) == f->kmalloc_gfp)
			return 1;
	}
	return !kmem_cfg.n_caches;
}

/* ---- recording ---- */

static __always_inline void origin_put(const struct kmem_alloc *a, __u64 site)
{
	struct kmem_origin o = {
		.cache = a->cache,
		.call_site = a->call_site,
		.gfp = a->gfp,
		.size = a->size,
		.order = a->order,
	};

	if (bpf_map_lookup_elem(&sites, &site))
		return;
	o.cgroup = bpf_get_current_cgroup_id();
	o.tgid = task_ids() >> 32;
	o.self = o.tgid == cfg.self_tgid;
	bpf_get_current_comm(o.comm, sizeof(o.comm));
	bpf_map_update_elem(&kmem_origins, &site, &o, BPF_NOEXIST);
}

/* What makes two sites different besides their frames. */
static __always_inline __u64 alloc_identity(const struct kmem_alloc *a)
{
	__u32 tgid = task_ids() >> 32;
	__u64 id = hash_mix(a->cache ? a->cache : a->size, a->kind);

	if (kmem_cfg.by_process)
		return hash_mix(id, tgid);
	return tgid == cfg.self_tgid ? ~id : id;
}

/* kmalloc() of pages tells twice, at once, of the same block. */
static __always_inline int is_duplicate(const struct block_key *key, __u64 size)
{
	struct block_value *b;

	if (key->proc_key != KMEM_SLAB || size <= KMEM_KMALLOC_SLAB_MAX)
		return 0;
	b = bpf_map_lookup_elem(&blocks, key);
	return b && b->size == size && bpf_ktime_get_ns() - b->born_ns < DUPLICATE_NS;
}

/* A stack that is new, or whose record found no room yet, is walked once more for it. */
static __always_inline void alloc_new_site(void *ctx, const struct kmem_alloc *a,
					   struct kstack *k, const struct block_key *key)
{
	if (!k->ev.n)
		kstack_walk(ctx, k);
	k->ev.kind = a->kind;
	origin_put(a, k->ev.site);
	outstanding_add(key, a->size, &k->ev);
}

static __always_inline void alloc_record(void *ctx, const struct kmem_alloc *a, struct kstack *k)
{
	struct block_key key = {.address = a->address, .proc_key = a->kind};
	struct site *s;

	if (is_duplicate(&key, a->size))
		return;
	k->ev.site = hash_mix(kstack_take(ctx, k, a->call_site, a->gfp << 8 | a->order), alloc_identity(a));
	s = bpf_map_lookup_elem(&sites, &k->ev.site);
	if (s && s->sent)
		outstanding_put(&key, a->size, k->ev.site, s);
	else
		alloc_new_site(ctx, a, k, &key);
}

/* The first level that nobody has; KMEM_LEVELS if there is none. */
static __always_inline __u32 level_take(struct kmem_scratch *sc)
{
	__u32 i;

	for (i = 0; i < KMEM_LEVELS; i++)
		if (!(__sync_fetch_and_or(&sc->taken, 1ULL << i) >> i & 1))
			break;
	return i;
}

static __always_inline void alloc_seen(void *ctx, const struct kmem_alloc *a)
{
	__u32 zero = 0, level;
	struct kmem_scratch *sc;

	if (!call_wanted(a))
		return;
	sc = bpf_map_lookup_elem(&kmem_scratches, &zero);
	if (!sc)
		return;
	level = level_take(sc);
	if (level >= KMEM_LEVELS) {
		count(STAT_THREADS_FULL);
		return;
	}
	alloc_record(ctx, a, &sc->levels[level]);
	__sync_fetch_and_and(&sc->taken, ~(1ULL << level));
}

static __always_inline void free_seen(__u64 address, __u32 kind)
{
	struct block_key key = {.address = address, .proc_key = kind};
	struct block_value old;

	count(STAT_CALLS);
	outstanding_del(&key, &old);
}

/* The first thing every program asks: 15 of 16 events end here. */
static __always_inline int block_wanted(__u64 address)
{
	return address > PTR_MIN && address_sampled(address);
}

/* ---- slab ---- */

SEC("?raw_tp/kmalloc")
int kmem_kmalloc(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = ctx->args[1];
	struct kmem_alloc a;

	if (!block_wanted(address))
		return 0;
	count(STAT_CALLS);
	a = (struct kmem_alloc){
		.call_site = ctx->args[0],
		.address = address,
		.size = ctx->args[3],
		.gfp = ctx->args[4],
		.kind = KMEM_SLAB,
	};
	if (kmalloc_wanted(a.size, a.gfp))
		alloc_seen(ctx, &a);
	return 0;
}

SEC("?raw_tp/kmem_cache_alloc")
int kmem_cache_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = ctx->args[1];
	struct kmem_alloc a;
	struct kmem_cache_info *info;

	if (!block_wanted(address))
		return 0;
	count(STAT_CALLS);
	a = (struct kmem_alloc){
		.call_site = ctx->args[0],
		.address = address,
		.cache = ctx->args[2],
		.gfp = ctx->args[3],
		.kind = KMEM_SLAB,
	};
	info = cache_get(a.cache);
	if (!info || !info->wanted)
		return 0;
	a.size = info->size;
	alloc_seen(ctx, &a);
	return 0;
}

SEC("?raw_tp/kfree")
int kmem_kfree(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = ctx->args[1];

	if (block_wanted(address))
		free_seen(address, KMEM_SLAB);
	return 0;
}

SEC("?raw_tp/kmem_cache_free")
int kmem_cache_free(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = ctx->args[1];

	if (block_wanted(address))
		free_seen(address, KMEM_SLAB);
	return 0;
}

/* ---- pages ---- */

/* The address of a struct page; movable pages belong to user space and the page cache. */
SEC("?raw_tp/mm_page_alloc")
int kmem_page_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = ctx->args[0];
	struct kmem_alloc a;

	if ((ctx->args[2] & GFP_MOVABLE) || !block_wanted(address))
		return 0;
	count(STAT_CALLS);
	a = (struct kmem_alloc){
		.address = address,
		.order = ctx->args[1],
		.gfp = ctx->args[2],
		.kind = KMEM_PAGES,
	};
	a.size = 1ULL << ((kmem_cfg.page_shift + a.order) & 63);
	alloc_seen(ctx, &a);
	return 0;
}

SEC("?raw_tp/mm_page_free")
int kmem_page_free(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = ctx->args[0];

	if (block_wanted(address))
		free_seen(address, KMEM_PAGES);
	return 0;
}

/* ---- vmalloc ---- */

SEC("?raw_tp/alloc_vmap_area")
int kmem_vmap_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = ctx->args[0];
	struct kmem_alloc a;

	if (ctx->args[5] || !block_wanted(address))
		return 0;
	count(STAT_CALLS);
	a = (struct kmem_alloc){
		.address = address,
		.size = ctx->args[1], /* with the guard page */
		.kind = KMEM_VMALLOC,
	};
	alloc_seen(ctx, &a);
	return 0;
}

SEC("?raw_tp/free_vmap_area_noflush")
int kmem_vmap_free(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = ctx->args[0];

	if (block_wanted(address))
		free_seen(address, KMEM_VMALLOC);
	return 0;
}

/* ---- per-CPU ---- */

SEC("?raw_tp/percpu_alloc_percpu")
int kmem_percpu_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = ctx->args[7];
	struct kmem_alloc a;

	if (!block_wanted(address))
		return 0;
	count(STAT_CALLS);
	a = (struct kmem_alloc){
		.call_site = ctx->args[0],
		.address = address,
		.size = ctx->args[8], /* over all CPUs */
		.gfp = ctx->args[9],
		.kind = KMEM_PERCPU,
	};
	alloc_seen(ctx, &a);
	return 0;
}

SEC("?raw_tp/percpu_free_percpu")
int kmem_percpu_free(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = ctx->args[2];

	if (block_wanted(address))
		free_seen(address, KMEM_PERCPU);
	return 0;
}
