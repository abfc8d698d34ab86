/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kmem_record.bpf.h - what becomes of an event: a block in the tables or out of them. This
 * header carries maps.
 *
 * A program is not run for an event that comes while it runs on the same CPU: one from an
 * interrupt, or from whoever preempted it. With kmem_cfg.twice each event has two programs.
 * The second one does what the first was kept from: it looks whether the first has left its
 * mark of this event.
 *
 * Why no thread_get(): task storage allocates, and these events come from inside the
 * allocator, in any context.
 */
#ifndef KMEM_RECORD_BPF_H
#define KMEM_RECORD_BPF_H

#include "kmem_filter.bpf.h"
#include "kmem_page.bpf.h"
#include "kmem_user.bpf.h"
#include "kstack.bpf.h"
#include "outstanding.bpf.h"
#include "turns.bpf.h"

#define DUPLICATE_NS 20000000 /* births are exact to a tick, of 10 ms at most */
#define MARK_ALLOC   1	      /* addresses are aligned */

struct kmem_scratch {
	__u64 mark;  /* the event that a first program saw last */
	__u64 taken; /* levels, by bit */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kmem_scratch);
} kmem_scratches SEC(".maps");

/* What the programs of this CPU work in; each takes a level of its own. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KMEM_LEVELS);
	__type(key, __u32);
	__type(value, struct kstack);
} kmem_levels SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096); /* as sites */
	__type(key, __u64);
	__type(value, struct kmem_origin);
} kmem_origins SEC(".maps");

static __always_inline struct kmem_scratch *scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&kmem_scratches, &zero);
}

/*
 * Whether this turn of an event has anything to do. The CPU's mark is cheap, and an interrupt in
 * between may leave its own; other tasks, where they may come in between, would all the time.
 */
static __always_inline int kmem_turn(struct kmem_scratch *sc, __u64 mark, int turn)
{
	if (!kmem_cfg.twice)
		return turn == FIRST;
	if (cfg.hold)
		return turn_taken(mark, 0, turn);
	if (turn == SECOND)
		return sc->mark != mark;
	sc->mark = mark;
	return 1;
}

/* ---- allocations ---- */

static __always_inline void origin_put(const struct kmem_alloc *a, __u64 site)
{
	struct kmem_origin o = {
		.cache = a->cache,
		.call_site = a->call_site,
		.gfp = a->gfp,
		.size = a->size,
		.order = a->order,
		.user = a->user,
	};

	if (site_find(site))
		return;
	if (a->cache)
		cache_get(a->cache);
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

static __always_inline int is_recorded(const struct block_key *key, __u64 size)
{
	struct block_value *b = block_find(key);

	return b && b->size == size && tick_ns() - b->born_ns < DUPLICATE_NS;
}

/* The user stack of a new site; one that found no room is sent when the site is met again. */
static __always_inline void record_user(const struct kmem_alloc *a, __u64 site)
{
	struct site *s;

	if (!kmem_user_send(a->level))
		return;
	s = site_find(site);
	if (s)
		s->sent = 0;
}

/* A stack that is new, or whose record found no room yet, is walked once more for it. */
static __always_inline void record_new_site(void *ctx, const struct kmem_alloc *a, struct kstack *k,
					    const struct block_key *key)
{
	if (!k->ev.n)
		kstack_walk(ctx, k);
	k->ev.kind = a->kind;
	origin_put(a, k->ev.site);
	outstanding_add(key, (struct block_value){.size = a->size}, &k->ev);
	if (a->user)
		record_user(a, k->ev.site);
}

static __always_inline void record(void *ctx, struct kmem_alloc *a, struct kstack *k,
				   const struct block_key *key)
{
	struct site *s;

	k->ev.site = hash_mix(kstack_take(ctx, k, a->call_site, a->gfp << 8 | a->order),
			      alloc_identity(a));
	if (kmem_cfg.user_stack && kstack_of_task(k)) {
		a->user = kmem_user_take(a->level);
		k->ev.site = hash_mix(k->ev.site, a->user);
	}
	s = site_find(k->ev.site);
	if (s && s->sent)
		outstanding_put(key, (struct block_value){.size = a->size}, k->ev.site, s);
	else
		record_new_site(ctx, a, k, key);
}

#ifndef COMPAT_OLD
/* The first level that nobody has; KMEM_LEVELS if there is none. */
static __always_inline __u32 level_take(struct kmem_scratch *sc)
{
	__u32 i;

	for (i = 0; i < KMEM_LEVELS; i++)
		if (!(__sync_fetch_and_or(&sc->taken, 1ULL << i) >> i & 1))
			break;
	return i;
}

static __always_inline void level_give(struct kmem_scratch *sc, __u32 level)
{
	__sync_fetch_and_and(&sc->taken, ~(1ULL << level));
}
#else
/* Programs are not preemptible there: levels are taken and given back like a stack's. */
static __always_inline __u32 level_take(struct kmem_scratch *sc)
{
	return (*(volatile __u64 *)&sc->taken)++;
}

static __always_inline void level_give(struct kmem_scratch *sc, __u32 level)
{
	*(volatile __u64 *)&sc->taken = level;
}
#endif

static __always_inline void record_at_level(void *ctx, struct kmem_alloc *a,
					    const struct block_key *key, struct kmem_scratch *sc)
{
	__u32 level = level_take(sc);
	struct kstack *k = bpf_map_lookup_elem(&kmem_levels, &level);

	a->level = level;
	if (k)
		record(ctx, a, k, key);
	else
		count(STAT_THREADS_FULL);
	level_give(sc, level);
}

/*
 * kmalloc() of pages tells twice, at once, of a block; and an interrupt may have left its own
 * mark between the two programs of an event.
 */
static __always_inline int is_duplicate(const struct block_key *key, __u64 size, int turn)
{
	if (turn == FIRST && (key->proc_key != KMEM_SLAB || size <= KMEM_KMALLOC_SLAB_MAX))
		return 0;
	return is_recorded(key, size);
}

static __always_inline void alloc_seen(void *ctx, struct kmem_alloc *a, int turn)
{
	struct block_key key = {.address = a->address, .proc_key = a->kind};
	struct kmem_scratch *sc = scratch_get();
	int wanted;

	if (!sc || !kmem_turn(sc, a->address | MARK_ALLOC, turn))
		return;
	wanted = alloc_wanted(a);
	if (wanted && is_duplicate(&key, a->size, turn))
		return;
	if (turn == SECOND)
		count(STAT_ALLOCS_SAVED);
	if (wanted)
		record_at_level(ctx, a, &key, sc);
}

/* ---- frees ---- */

static __always_inline void free_saved(const struct block_key *key)
{
	struct block_value old;

	if (!block_take(key, &old))
		return;
	count(STAT_FREES_SAVED);
	site_sub(&old);
}

static __always_inline void free_seen(__u64 address, __u32 kind, int turn)
{
	struct block_key key = {.address = address, .proc_key = kind};
	struct kmem_scratch *sc = kmem_cfg.twice ? scratch_get() : NULL;
	struct block_value old;

	if (kmem_cfg.twice && (!sc || !kmem_turn(sc, address, turn)))
		return;
	if (turn == SECOND)
		free_saved(&key);
	else
		outstanding_del(&key, &old);
}

#endif
