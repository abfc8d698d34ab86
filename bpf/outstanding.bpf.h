/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * outstanding.bpf.h - what is allocated and not freed: blocks by (address, process image),
 * totals by site (stack). Shared by leak and kmem. This header carries maps.
 *
 * Invariants:
 *  - a site's totals change only when the change of the block table succeeded, so they are
 *    the sums over the table at every moment, however many CPUs work on it;
 *  - an element is copied before it is deleted: a preallocated one is reused at once;
 *  - only the one who deleted a block subtracts it.
 */
#ifndef OUTSTANDING_BPF_H
#define OUTSTANDING_BPF_H

#include "common.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536); /* sized before load */
	__type(key, struct block_key);
	__type(value, struct block_value);
} blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096); /* sized before load */
	__type(key, __u64);
	__type(value, struct site);
} sites SEC(".maps");

#ifdef OUTSTANDING_SLOTS
#include "slots.bpf.h"
#endif

/* Filled by src/trace/sampling.c before load. */
const volatile __u32 sample_weights[SAMPLE_WEIGHTS];
const volatile __u32 sample_logs[SAMPLE_LOGS];

/* Bytes to the next sample, exponentially distributed around the interval. */
static __always_inline __s64 sample_draw(__u64 interval)
{
	__u32 i = bpf_get_prandom_u32() & (SAMPLE_LOGS - 1);

	return (__s64)((interval * sample_logs[i]) >> 16) + 1;
}

/*
 * Poisson sampling by bytes (as tcmalloc and heapprofd do): each byte is a sample point
 * with probability 1/interval, an allocation is taken if it holds one. Decided at entry,
 * so that what is not sampled costs next to nothing. The distance to the next
 * point has no memory: after a change of step a new one is drawn.
 */
static __always_inline int sample_take(struct thread *t, __u64 size, __u32 step)
{
	__u64 interval = sample_interval_of(cfg.sample_bytes, step);

	if (!interval)
		return 1;
	if (t->sample_step != step + 1) {
		t->sample_step = step + 1;
		t->sample_left = sample_draw(interval);
	}
	if (size < (__u64)t->sample_left) {
		t->sample_left -= size;
		return 0;
	}
	t->sample_left = sample_draw(interval);
	return 1;
}

/* How many allocations like it a recorded block stands for: SAMPLE_UNITs, or 1 always. */
static __always_inline __u64 sample_weight(const struct block_value *b)
{
	if (!cfg.sample_bytes && !cfg.sample_moves)
		return 1;
	return sample_weight_of(b->size, sample_interval_of(cfg.sample_bytes, b->step),
				sample_weights);
}

static __always_inline void site_add(struct site *s, const struct block_value *b)
{
	__u64 w = sample_weight(b);

	__sync_fetch_and_add(&s->bytes, b->size * w);
	if (w != 1)
		__sync_fetch_and_add(&s->extra, w - 1);
	__sync_fetch_and_add(&s->allocs, 1);
	__sync_fetch_and_add(&s->born_sum, b->born_ns >> SITE_BORN_SHIFT);
	if (cfg.count_blocks)
		count(STAT_ALLOCS);
}

static __always_inline struct site *site_find(__u64 id)
{
#ifdef OUTSTANDING_SLOTS
	struct site_slot *slot = site_slot(id);

	if (slot && slot->id)
		return &slot->site;
#endif
	return bpf_map_lookup_elem(&sites, &id);
}

static __always_inline void site_sub(const struct block_value *b)
{
	struct site *s = site_find(b->site);
	__u64 w = sample_weight(b);

	if (!s)
		return; /* dropped with its process */
	__sync_fetch_and_add(&s->bytes, -(b->size * w));
	if (w != 1)
		__sync_fetch_and_add(&s->extra, 1 - w);
	__sync_fetch_and_add(&s->frees, 1);
	__sync_fetch_and_add(&s->born_sum, -(b->born_ns >> SITE_BORN_SHIFT));
	if (cfg.count_blocks)
		count(STAT_FREES);
}

/* Makes sure that user space has the frames of a site; retried at each hit until it has. */
static __always_inline void site_send(struct site *s, struct stack_event *stack, __u64 proc_key)
{
	if (s->sent)
		return;
	if (stack_send(stack, EVENT_STACK, proc_key))
		count(STAT_STACK_RETRY);
	else
		s->sent = 1;
}

/* Where a new site finds room: in its slot, or in the table. */
static __always_inline struct site *site_new(__u64 id, const struct site *fresh)
{
#ifdef OUTSTANDING_SLOTS
	struct site_slot *slot = site_slot(id);
	struct site *s = slot ? site_slot_claim(slot, id, fresh) : NULL;

	if (s)
		return s;
#endif
	bpf_map_update_elem(&sites, &id, fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&sites, &id);
}

/*
 * The site of a taken stack, made if new. Where the table is full the bytes go to the
 * catch-all site, which user space made before attaching: names are lost, amounts are not.
 */
static __always_inline struct site *site_get(struct stack_event *stack, __u64 proc_key)
{
	struct site *s = site_find(stack->site);

	if (!s) {
		struct site fresh = {
			.proc_key = proc_key,
			.tid = cfg.by_thread ? (__u32)task_ids() : 0,
			.kind = stack->kind,
			.status = stack->status,
			/* user space has got it, or will */
			.sent = !!(stack->flags & WALK_FLAG_RAW),
		};

		s = site_new(stack->site, &fresh);
	}
	if (s) {
		site_send(s, stack, proc_key);
		return s;
	}
	count(STAT_SITES_FULL);
	stack->site = CATCH_ALL_SITE;
	return bpf_map_lookup_elem(&sites, &stack->site);
}

static __always_inline int block_take_hash(const struct block_key *key, struct block_value *ret)
{
	struct block_value *b = bpf_map_lookup_elem(&blocks, key);

	if (!b)
		return 0;
	*ret = *b;
	return bpf_map_delete_elem(&blocks, key) == 0;
}

/* A block as it is now; it may be gone and another's at any moment. NULL: not recorded. */
static __always_inline struct block_value *block_find(const struct block_key *key)
{
#ifdef OUTSTANDING_SLOTS
	struct block_slot *slot = block_slot(key);

	if (slot && slot->address == key->address && slot->proc_key == key->proc_key)
		return &slot->block;
	if (slot && !slot->spilled)
		return NULL;
#endif
	return bpf_map_lookup_elem(&blocks, key);
}

/* Takes a block out of the table; 1 if it was there, *ret is then its copy. */
static __always_inline int block_take(const struct block_key *key, struct block_value *ret)
{
#ifdef OUTSTANDING_SLOTS
	struct block_slot *slot = block_slot(key);

	if (slot) {
		if (block_slot_take(slot, key, ret))
			return 1;
		if (!slot->spilled || !block_take_hash(key, ret))
			return 0;
		__sync_fetch_and_add(&slot->spilled, -1);
		return 1;
	}
#endif
	return block_take_hash(key, ret);
}

/* A block whose address is handed out again was freed unseen: it leaves its site. */
static __always_inline void block_missed(const struct block_key *key)
{
	struct block_value old;

	if (!block_take(key, &old))
		return;
	count(STAT_FREES_MISSED);
	site_sub(&old);
}

#ifdef OUTSTANDING_SLOTS
/* Into the slot: 1 if it is there now; else it is expected in the hash table. */
static __always_inline int block_put_slot(struct block_slot *slot, const struct block_key *key,
					  const struct block_value *b)
{
	if (slot->spilled || (slot->address == key->address && slot->proc_key == key->proc_key))
		block_missed(key);
	if (block_slot_put(slot, key, b))
		return 1;
	__sync_fetch_and_add(&slot->spilled, 1);
	return 0;
}
#endif

/*
 * Puts a block in, in the place of one that is outstanding at that address. 1 if the block
 * is in the table now.
 */
static __always_inline int block_put(const struct block_key *key, const struct block_value *b)
{
	long err;
#ifdef OUTSTANDING_SLOTS
	struct block_slot *slot = block_slot(key);

	if (slot && block_put_slot(slot, key, b))
		return 1;
#endif
	err = bpf_map_update_elem(&blocks, key, b, BPF_NOEXIST);
	if (err == -EEXIST) {
		block_missed(key);
		err = bpf_map_update_elem(&blocks, key, b, BPF_NOEXIST);
	}
	if (!err)
		return 1;
#ifdef OUTSTANDING_SLOTS
	if (slot)
		__sync_fetch_and_add(&slot->spilled, -1);
#endif
	count(STAT_BLOCKS_FULL);
	return 0;
}

/* The clock as it was at the first call since the timer last ticked. */
static volatile struct {
	__u64 jiffies, ns;
} last_tick;

/*
 * Monotonic time, exact to a tick of the timer: 4 ms at the usual 250 Hz. Reading the clock
 * at each call costs as much as a lookup; bpf_ktime_get_coarse_ns() is not for programs of
 * this kind (v5.16, 5e0bc3082e2e "bpf: Forbid bpf_ktime_get_coarse_ns and bpf_timer_* in
 * tracing progs").
 */
static __always_inline __u64 tick_ns(void)
{
	__u64 now = bpf_jiffies64();

	if (last_tick.jiffies != now) {
		last_tick.ns = bpf_ktime_get_ns();
		last_tick.jiffies = now;
	}
	return last_tick.ns;
}

/* Records a block, of which size and step are given, for a site of the table. */
static __always_inline void outstanding_put(const struct block_key *key, struct block_value b,
					    __u64 site, struct site *s)
{
	b.born_ns = cfg.tick_clock ? tick_ns() : bpf_ktime_get_ns();
	b.site = site;
	if (block_put(key, &b))
		site_add(s, &b);
}

/* The same for the taken stack. */
static __always_inline void outstanding_add(const struct block_key *key, struct block_value b,
					    struct stack_event *stack)
{
	struct site *s = site_get(stack, key->proc_key);

	if (s)
		outstanding_put(key, b, stack->site, s);
}

/* Forgets a block: 1 if it was recorded, *ret is then what it was. */
static __always_inline int outstanding_del(const struct block_key *key, struct block_value *ret)
{
	if (!block_take(key, ret)) {
		if (cfg.count_blocks)
			count(STAT_FREES_OTHER);
		return 0;
	}
	site_sub(ret);
	return 1;
}

#endif
