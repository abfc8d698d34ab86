/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kmem_judge.bpf.h - is a recorded block still allocated? Frees that have no tracepoint
 * (bulk frees, kfree_rcu batches, sheaves) and frees lost to a nested program leave blocks
 * behind that the slab allocator itself knows to be free. So at a report it is asked: an
 * object is free if it is on its slab's freelist, on the list of a CPU that owns the slab,
 * in a sheaf of a CPU or in a full sheaf of a node's barn. Nothing is locked: a list that
 * moves meanwhile can hide an object, so user space asks twice and a walk that does not end
 * says unknown. Layouts by CO-RE; v6.1 to v7.x (mm/slub.c, mm/slab.h, linux/page-flags.h).
 * With COMPAT_OLD nothing is judged: there is no bpf_loop() (v5.17, e6f2dd0f8067 "bpf: Add
 * bpf_loop helper") and no bpf_map_lookup_percpu_elem() (v5.19, 07343110b293).
 *
 * Addresses: a struct page is at vmemmap + frame number * its size, an object at page_offset
 * + frame number * page size. Both bases are found by trial (src/kmem_check.c): a pair is
 * right if objects of the running task lie in slabs of the caches that they are known to be
 * of. Without it nothing is judged.
 */
#ifndef KMEM_JUDGE_BPF_H
#define KMEM_JUDGE_BPF_H

#include "kstack.bpf.h"
#include "outstanding.bpf.h"
#include "kmem_page.bpf.h"

#define LIST_MAX    8192 /* objects of a slab */
#define SHEAF_MAX   512
#define SHEAVES_MAX 64 /* full ones of a node; the kernel keeps about 10 */

#ifndef COMPAT_OLD
/* ---- lists of free objects ---- */

struct object {
	__u64 address, page, cache;
	__u64 random, offset; /* how free pointers are hidden, where they are */
	__u64 cpu_slab, sheaves;
	__u64 at;		 /* of a walk */
	__u32 left, found, open; /* open: a walk did not end */
};

/* The free pointer inside a free object (CONFIG_SLAB_FREELIST_HARDENED: encoded). */
static long freelist_step(__u32 i, struct object *o)
{
	__u64 where, v = 0;

	if (!o->at)
		return 1;
	if (o->at == o->address) {
		o->found = 1;
		return 1;
	}
	where = o->at + o->offset;
	if (bpf_probe_read_kernel(&v, sizeof(v), (void *)where)) {
		o->at = 0;
		return 1;
	}
	if (o->random)
		v ^= o->random ^ __builtin_bswap64(where);
	o->at = v;
	return 0;
}

static __always_inline void look_in_freelist(struct object *o, __u64 first)
{
	if (!first)
		return;
	o->at = first;
	bpf_loop(LIST_MAX, freelist_step, o, 0);
	if (o->at && !o->found)
		o->open = 1;
}

static long sheaf_step(__u32 i, struct object *o)
{
	if (i >= o->left)
		return 1;
	if (read_u64(o->at + i * 8ULL) != o->address)
		return 0;
	o->found = 1;
	return 1;
}

static __always_inline void look_in_sheaf(struct object *o, __u64 sheaf)
{
	struct slab_sheaf *s = (void *)sheaf;

	if (!sheaf)
		return;
	o->left = BPF_CORE_READ(s, size);
	o->at = sheaf + bpf_core_field_offset(struct slab_sheaf, objects);
	bpf_loop(SHEAF_MAX, sheaf_step, o, 0);
}

static __always_inline void look_in_barn(struct object *o, __u64 barn)
{
	__u64 head = barn + bpf_core_field_offset(struct node_barn, sheaves_full), at;
	int i;

	at = read_u64(head);
	for (i = 0; i < SHEAVES_MAX && at && at != head && !o->found; i++) {
		look_in_sheaf(o, at - bpf_core_field_offset(struct slab_sheaf, barn_list));
		at = read_u64(at);
	}
	if (i == SHEAVES_MAX)
		o->open = 1;
}

static long node_step(__u32 n, struct object *o)
{
	struct kmem_cache_node *node;
	__u64 barn = 0;

	if (bpf_core_type_exists(struct kmem_cache_per_node_ptrs))
		barn = read_u64(o->cache + bpf_core_field_offset(struct kmem_cache___v7, per_node) +
				n * bpf_core_type_size(struct kmem_cache_per_node_ptrs) +
				bpf_core_field_offset(struct kmem_cache_per_node_ptrs, barn));
	else {
		node = (void *)read_u64(o->cache + bpf_core_field_offset(struct kmem_cache, node) +
					n * 8ULL);
		if (node)
			barn = (__u64)BPF_CORE_READ(node, barn);
	}
	if (barn)
		look_in_barn(o, barn);
	return o->found ? 1 : 0;
}

static long cpu_step(__u32 cpu, struct object *o)
{
	struct slub_percpu_sheaves *ps;
	struct kmem_cache_cpu *kc;
	__u64 offset;

	if (cpu >= KMEM_CPUS)
		return 1;
	offset = kmem_judge.cpu_offsets[INDEX(cpu, KMEM_CPUS)];
	if (bpf_core_field_exists(struct kmem_cache, cpu_slab)) {
		kc = (void *)(o->cpu_slab + offset);
		if ((__u64)BPF_CORE_READ(kc, slab) == o->page)
			look_in_freelist(o, (__u64)BPF_CORE_READ(kc, freelist));
	}
	if (!o->sheaves || o->found)
		return o->found ? 1 : 0;
	ps = (void *)(o->sheaves + offset);
	look_in_sheaf(o, (__u64)BPF_CORE_READ(ps, main));
	if (!o->found)
		look_in_sheaf(o, (__u64)BPF_CORE_READ(ps, spare));
	if (!o->found)
		look_in_sheaf(o, (__u64)BPF_CORE_READ(ps, rcu_free));
	return o->found ? 1 : 0;
}

/* ---- an object ---- */

static __always_inline void object_init(struct object *o)
{
	struct slab *slab = (void *)o->page;
	struct kmem_cache *s = BPF_CORE_READ(slab, slab_cache);

	o->cache = (__u64)s;
	o->offset = BPF_CORE_READ(s, offset);
	if (bpf_core_field_exists(s->random))
		o->random = BPF_CORE_READ(s, random);
	if (bpf_core_field_exists(s->cpu_slab))
		o->cpu_slab = (__u64)BPF_CORE_READ(s, cpu_slab);
	if (bpf_core_field_exists(s->sheaf_capacity) && BPF_CORE_READ(s, sheaf_capacity))
		o->sheaves = (__u64)BPF_CORE_READ(s, cpu_sheaves);
}

/*
 * Where pages of a large kmalloc() have no mark (6.18 has it, 6.12 not): what was as large
 * when it was recorded lives as long as its page has references.
 */
static __always_inline int is_unmarked_large(__u64 address, __u64 page)
{
	struct block_key key = {.address = address, .proc_key = KMEM_SLAB};
	struct block_value *b;

	if (bpf_core_enum_value_exists(enum pagetype, PGTY_large_kmalloc) || page_kind(page))
		return 0;
	b = block_find(&key);
	return b && b->size > KMEM_KMALLOC_SLAB_MAX &&
	       BPF_CORE_READ((struct page *)page, _refcount.counter) != 0;
}

static __always_inline __u32 judge_object(__u64 address)
{
	struct object o = {.address = address, .page = page_of(address)};
	struct slab *slab = (void *)o.page;

	if (!o.page || (!KNOWS_TYPES && !KNOWS_FLAG))
		return KMEM_UNKNOWN;
	if (!page_is_slab(o.page))
		return page_is_large_kmalloc(o.page) || is_unmarked_large(address, o.page)
			       ? KMEM_LIVE
			       : KMEM_NOT_SLAB;
	object_init(&o);
	look_in_freelist(&o, (__u64)BPF_CORE_READ(slab, freelist));
	if (!o.found && o.sheaves)
		bpf_loop(kmem_judge.nodes, node_step, &o, 0);
	if (!o.found)
		bpf_loop(kmem_judge.cpus, cpu_step, &o, 0);
	return o.found ? KMEM_FREE : o.open ? KMEM_UNKNOWN : KMEM_LIVE;
}

/* ---- the programs that user space runs ---- */

static __always_inline void judged_remove(const struct kmem_judged *j)
{
	struct block_key key = {.address = j->address, .proc_key = j->kind};
	struct block_value *b = block_find(&key), old;

	/* Recorded anew since it was judged: that one lives. */
	if (!b || b->born_ns != j->born_ns)
		return;
	if (block_take(&key, &old)) {
		site_sub(&old);
		kmem_judge.removed++;
	}
}

static long judge_step(__u32 i, void *ctx)
{
	struct kmem_judged *j;

	if (i >= KMEM_JUDGE_BATCH || i >= kmem_judge.n)
		return 1;
	j = &kmem_judge.blocks[INDEX(i, KMEM_JUDGE_BATCH)];
	if (j->kind == KMEM_SLAB)
		j->verdict = judge_object(j->address);
	else if (j->kind == KMEM_PAGES)
		j->verdict = judge_page(j->address);
	else
		j->verdict = KMEM_UNKNOWN;
	if (kmem_judge.remove && j->verdict != KMEM_LIVE && j->verdict != KMEM_UNKNOWN)
		judged_remove(j);
	return 0;
}

SEC("?raw_tp/test")
int kmem_judge_batch(void *ctx)
{
	kmem_judge.removed = 0;
	bpf_loop(KMEM_JUDGE_BATCH, judge_step, NULL, 0);
	return 0;
}
#else
SEC("?raw_tp/test")
int kmem_judge_batch(void *ctx)
{
	return 0;
}
#endif

/* ---- where things are ---- */

#ifndef COMPAT_OLD
static long offset_step(__u32 cpu, __u64 *percpu)
{
	__u32 zero = 0;
	__u64 address = 0;
	void *element;

	if (cpu >= KMEM_CPUS)
		return 1;
	element = bpf_map_lookup_percpu_elem(&stats, &zero, cpu);
	if (!element)
		return 1;
	bpf_probe_read_kernel(&address, sizeof(address), &element);
	kmem_judge.cpu_offsets[INDEX(cpu, KMEM_CPUS)] = address - *percpu;
	return 0;
}

/*
 * A map's address, stored and read back, is a number. The per-CPU area of a CPU is as far
 * from a per-CPU pointer as the CPU's element of a map is from the map's own pointer.
 */
static __always_inline void locate_cpus(void)
{
	void *map = &stats;
	__u64 address = 0, percpu;

	bpf_probe_read_kernel(&address, sizeof(address), &map);
	percpu = read_u64(address + bpf_core_field_offset(struct bpf_array, pptrs));
	bpf_loop(KMEM_CPUS, offset_step, &percpu, 0);
}
#else
static __always_inline void locate_cpus(void)
{
}
#endif

/* The event ring knows pages. */
SEC("?raw_tp/test")
int kmem_locate(void *ctx)
{
	void *ring = &events;
	__u64 address = 0, pages;

	locate_cpus();
	bpf_probe_read_kernel(&address, sizeof(address), &ring);
	address = read_u64(address + bpf_core_field_offset(struct bpf_ringbuf_map, rb));
	pages = read_u64(address + bpf_core_field_offset(struct bpf_ringbuf, pages));
	kmem_judge.some_page = read_u64(pages);
	kmem_judge.some_object = bpf_get_current_task();
	kmem_judge.page_struct_bytes = bpf_core_type_size(struct page);
	return 0;
}

/* By words: a branch for each letter is a million steps to v6.1's verifier. */
static __always_inline int is_of(const void *object, const __u64 name[2])
{
	__u64 page = page_of((__u64)object), got[2] = {};

	bpf_probe_read_kernel_str(got, sizeof(got), BPF_CORE_READ(page_cache(page), name));
	return got[0] == name[0] && got[1] == name[1];
}

union known_name {
	char text[16];
	__u64 words[2];
};

/* Of how many objects of the running task the slab names the right cache. */
SEC("?raw_tp/test")
int kmem_confirm(void *ctx)
{
	static const union known_name names[] = {{"task_struct"},
						 {"files_cache"},
						 {"sighand_cache"},
						 {"signal_cache"},
						 {"mm_struct"}};
	struct task_struct *t = (void *)bpf_get_current_task();

	kmem_judge.matches = is_of(t, names[0].words) +
			     is_of(BPF_CORE_READ(t, files), names[1].words) +
			     is_of(BPF_CORE_READ(t, sighand), names[2].words) +
			     is_of(BPF_CORE_READ(t, signal), names[3].words) +
			     is_of(BPF_CORE_READ(t, mm), names[4].words);
	return 0;
}

#endif
