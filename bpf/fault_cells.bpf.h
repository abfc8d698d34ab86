/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_cells.bpf.h - the tables that faults end in: cells by what the user asked for
 * (counts, time), and records of bad accesses. Resident pages: fault_rss.bpf.h.
 */
#ifndef FAULT_CELLS_BPF_H
#define FAULT_CELLS_BPF_H

#include "fault_stack.bpf.h"
#include "fault_vma.bpf.h"

/*
 * The cells proper, which user space sees mapped; which of them has an id; and which are
 * free. So the usual case, a cell that this CPU had lately, needs no call of a helper.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* sized before load, as the others */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct fault_cell);
} fault_cells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u32);
} fault_index SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 1);
	__type(value, __u32);
} fault_free SEC(".maps");

/* ---- cells ---- */

static __always_inline __u32 log2_slot(__u64 v)
{
	__u32 n = 0;

	if (v >> 32) {
		v >>= 32;
		n += 32;
	}
	if (v >> 16) {
		v >>= 16;
		n += 16;
	}
	if (v >> 8) {
		v >>= 8;
		n += 8;
	}
	if (v >> 4) {
		v >>= 4;
		n += 4;
	}
	if (v >> 2) {
		v >>= 2;
		n += 2;
	}
	n += v >> 1;
	return n < FAULT_SLOTS ? n : FAULT_SLOTS - 1;
}

static __always_inline __u64 range_of(const struct fault *f)
{
	__u32 shift = fault_cfg.range_shift & 63;

	return f->address >> shift << shift;
}

/* Only what is asked for makes a difference; never 0. */
static __always_inline __u64 cell_id(const struct fault *f, struct fault_scratch *s, __u64 proc_key)
{
	__u64 id = proc_key;

	if (fault_cfg.classify) {
		id = hash_mix(id, s->vma.ino);
		id = hash_mix(id, (__u64)s->vma.dev << 16 | (__u64)s->vma.mapping << 8 | f->cause);
	}
	if (fault_cfg.by_thread)
		id = hash_mix(id, (__u32)task_ids());
	if (fault_cfg.range_shift)
		id = hash_mix(id, range_of(f));
	if (fault_cfg.by_stack)
		id = hash_mix(id, fault_stack(s, proc_key));
	return id ? id : 1;
}

static __always_inline void key_fill(struct fault_key *k, const struct fault *f,
				     const struct fault_scratch *s, __u64 proc_key)
{
	__builtin_memset(k, 0, sizeof(*k));
	k->proc_key = proc_key;
	if (fault_cfg.classify) {
		k->mapping = s->vma.mapping;
		k->cause = f->cause;
		k->ino = s->vma.ino;
		k->dev = s->vma.dev;
	}
	if (fault_cfg.by_thread)
		k->tid = (__u32)task_ids();
	if (fault_cfg.range_shift)
		k->range = range_of(f);
	if (fault_cfg.by_stack)
		k->stack = s->stack.site;
}

/* The name of the file at address: base name first, up to the root of its file system. */
static __always_inline int file_send(__u64 address, struct fault_scratch *s, __u64 proc_key)
{
	struct fault_file_event *e = &s->file;
	struct vma_query q = {.address = address};
	struct file___vma *file = 0;
	struct dentry___vma *d, *parent;
	__u32 n = 0;

	if (!vma_find(&q, &s->vma, &file) || !file)
		return 0;
	event_fill(&e->ev, EVENT_FAULT_FILE, proc_key);
	e->ino = s->vma.ino;
	e->dev = s->vma.dev;
	d = BPF_CORE_READ(file, f_path.dentry);
	for (int i = 0; i < FAULT_NAME_DEPTH; i++) {
		parent = BPF_CORE_READ(d, d_parent);
		if (!parent || parent == d)
			break;
		bpf_probe_read_kernel_str(e->names[i], FAULT_NAME_LEN,
					  BPF_CORE_READ(d, d_name.name));
		d = parent;
		n++;
	}
	e->n = n;
	return bpf_ringbuf_output(&events, e, sizeof(*e), 0) == 0;
}

/* Makes sure that user space can name what a cell stands for; retried at each fault. */
static __always_inline void cell_send(struct fault_cell *c, const struct fault *f,
				      struct fault_scratch *s, __u64 proc_key)
{
	if (fault_cfg.by_stack && !(c->sent & FAULT_SENT_STACK)) {
		if (!s->stack_known && stack_send(&s->stack, EVENT_STACK, proc_key))
			count(STAT_STACK_RETRY);
		else
			c->sent |= FAULT_SENT_STACK;
	}
	if (fault_cfg.by_stack && c->id && (c->sent & FAULT_SENT_STACK))
		fault_stack_keep(s, proc_key);
	if (s->vma.ino && !(c->sent & FAULT_SENT_FILE) && file_send(f->address, s, proc_key))
		c->sent |= FAULT_SENT_FILE;
}

static __always_inline struct fault_cell *cell_at(__u32 index, __u64 id)
{
	struct fault_cell *c = bpf_map_lookup_elem(&fault_cells, &index);

	return c && c->id == id ? c : 0;
}

/* How often a place was asked for. The first ones are given first: none lies beyond. */
unsigned long fault_cells_given; /* of 64 bits here and in user space */

/* A free cell and its place; NULL, counted, if there is none. */
static __always_inline struct fault_cell *cell_alloc(__u32 *ret_index)
{
	struct fault_cell *c;
	__u32 index = 0;

	__sync_fetch_and_add(&fault_cells_given, 1);
	if (bpf_map_pop_elem(&fault_free, &index))
		index = 0;
	c = index ? bpf_map_lookup_elem(&fault_cells, &index) : NULL;
	if (!c)
		fault_count(FAULT_STAT_CELLS_FULL);
	*ret_index = index;
	return c;
}

/* Gives a filled cell its id. The place of the cell that has it now, 0: none. */
static __always_inline __u32 cell_publish(struct fault_cell *c, __u32 index, __u64 id)
{
	__u32 *other;

	c->id = id;
	if (!bpf_map_update_elem(&fault_index, &id, &index, BPF_NOEXIST))
		return index;
	c->id = 0; /* another CPU was faster */
	bpf_map_push_elem(&fault_free, &index, 0);
	other = bpf_map_lookup_elem(&fault_index, &id);
	return other ? *other : 0;
}

/* Makes the cell with the id s->id. Its place; 0 is that of the catch-all cell, whose id is 0. */
static __always_inline __u32 cell_new(const struct fault *f, struct fault_scratch *s,
				      __u64 proc_key)
{
	__u32 index;
	struct fault_cell *c = cell_alloc(&index);

	if (!c)
		return 0;
	key_fill(&c->key, f, s, proc_key);
	c->uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(c->comm, sizeof(c->comm));
	return cell_publish(c, index, s->id);
}

static __always_inline struct fault_cell *cell_get(const struct fault *f, struct fault_scratch *s,
						   __u64 proc_key)
{
	struct fault_near *near = &s->near[s->id & (FAULT_NEAR - 1)];
	struct fault_cell *c;
	__u32 *place, index;

	if (near->id == s->id) {
		c = cell_at(near->index, s->id);
		if (c)
			return c;
	}
	place = bpf_map_lookup_elem(&fault_index, &s->id);
	index = place ? *place : cell_new(f, s, proc_key);
	c = index ? cell_at(index, s->id) : NULL;
	if (!c)
		return cell_at(0, 0);
	near->id = s->id;
	near->index = index;
	return c;
}

static __always_inline void cell_time(struct fault_cell *c, const struct fault *f)
{
	__u32 slot = log2_slot(f->ns);

	__sync_fetch_and_add(&c->timed, 1);
	__sync_fetch_and_add(&c->time_ns, f->ns);
	if (f->major)
		__sync_fetch_and_add(&c->major_ns, f->ns);
	if (f->ns > c->max_ns)
		c->max_ns = f->ns; /* of two at the same instant either may win */
	if (slot < FAULT_SLOTS)
		__sync_fetch_and_add(&c->slots[slot], 1);
}

static __always_inline void fault_cell_add(const struct fault *f, struct fault_scratch *s,
					   __u64 proc_key)
{
	struct fault_cell *c;

	s->id = cell_id(f, s, proc_key);
	c = cell_get(f, s, proc_key);
	if (!c)
		return;
	__sync_fetch_and_add(f->major ? &c->major : &c->minor, 1);
	if (f->timed)
		cell_time(c, f);
	if (fault_cfg.by_stack || (fault_cfg.classify && s->vma.ino))
		cell_send(c, f, s, proc_key);
}

/* ---- bad accesses ---- */

/* The mapping at an address that ends or begins a known one, or else beyond the gap there. */
static __always_inline void bad_neighbour(__u64 address, int up, struct fault_vma *ret)
{
	struct vma_query q = {.address = address};
	__u64 low, high;

	if (vma_find(&q, ret, 0))
		return;
	vma_bounds(&low, &high);
	q.address = up ? high + 1 : low - 1;
	if (up ? high != ~0ULL : low != 0)
		vma_find(&q, ret, 0);
}

static __always_inline void bad_neighbours(struct fault_bad_event *e)
{
	struct vma_query q = {.address = e->address};

	if (vma_find(&q, &e->at, 0)) {
		bad_neighbour(e->at.start - 1, 0, &e->below);
		bad_neighbour(e->at.end, 1, &e->above);
	} else {
		bad_neighbour(e->address, 0, &e->below);
		bad_neighbour(e->address, 1, &e->above);
	}
}

struct fault_signal {
	__s32 sig, code;
};

static __always_inline void fault_bad(struct fault_thread *t, struct fault_scratch *s,
				      const struct fault_signal *sig, __u64 proc_key)
{
	struct fault_proc *p = fault_proc_get(proc_key);
	struct fault_bad_event *e = &s->bad;

	if (p)
		__sync_fetch_and_add(&p->bad, 1);
	__builtin_memset(e, 0, sizeof(*e));
	task_regs(&s->regs);
	e->ip = s->regs.pc;
	e->signal = sig->sig;
	e->code = sig->code;
	if (t->open) {
		e->has_address = 1;
		e->address = t->address;
		bad_neighbours(e);
	}
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	e->stack = fault_stack(s, proc_key);
	if (!s->stack_known && stack_send(&s->stack, EVENT_STACK, proc_key)) {
		fault_count(FAULT_STAT_BAD_LOST);
		return;
	}
	event_fill(&e->ev, EVENT_FAULT_BAD, proc_key);
	if (bpf_ringbuf_output(&events, e, sizeof(*e), 0))
		fault_count(FAULT_STAT_BAD_LOST);
}

#endif
