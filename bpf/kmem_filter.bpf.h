/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kmem_filter.bpf.h - which blocks and which allocations `memtally kmem` records. What is
 * cheapest comes first: most events are dropped by their address. This header carries maps.
 */
#ifndef KMEM_FILTER_BPF_H
#define KMEM_FILTER_BPF_H

#include "common.bpf.h"
#include "kmem_abi.h"

#define GFP_MOVABLE 0x08
#define PTR_MIN	    16 /* NULL and ZERO_SIZE_PTR are no memory */

const volatile struct kmem_cfg kmem_cfg;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct kmem_cache_info);
} kmem_caches SEC(".maps");

struct kmem_alloc {
	__u64 address, size, call_site, gfp, cache;
	__u64 user; /* stack of the process; 0: none */
	__u32 kind, order;
	__u32 level; /* whose scratch it is recorded in */
};

/*
 * The first question of every program: is the block followed? Allocation and free decide
 * alike, from the address alone: no map, no state. The hash is multiplicative with a factor
 * that is drawn for each run (Dietzfelbinger and others, "A Reliable Randomized Algorithm for
 * the Closest-Pair Problem", 1997): a machine that uses few addresses again and again has not
 * the same ones in each sample.
 */
static __always_inline int sampled(__u64 address)
{
	return address * kmem_cfg.sample_factor <= kmem_cfg.sample_limit && address > PTR_MIN;
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

/* Bytes that an object of a cache takes; 0: not a cache that is asked for. */
static __always_inline __u64 cache_size(__u64 address)
{
	struct kmem_cache_info *info;

	if (!kmem_cfg.n_caches)
		return BPF_CORE_READ((struct kmem_cache *)address, size);
	info = cache_get(address);
	return info && info->wanted ? info->size : 0;
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

/* Whether its cache is asked for; an object of a cache gets its size here. */
static __always_inline int cache_wanted(struct kmem_alloc *a)
{
	if (a->kind != KMEM_SLAB)
		return 1;
	if (!a->cache)
		return kmalloc_wanted(a->size, a->gfp);
	a->size = cache_size(a->cache);
	return a->size != 0;
}

static __always_inline int alloc_wanted(struct kmem_alloc *a)
{
	if (!cache_wanted(a) || a->size < cfg.min_size || a->size > cfg.max_size)
		return 0;
	/* Events of pages and vmalloc do not say; user space looks at their stacks. */
	if (kmem_cfg.site_end && a->call_site &&
	    (a->call_site < kmem_cfg.site_start || a->call_site >= kmem_cfg.site_end))
		return 0;
	return task_targeted();
}

#endif
