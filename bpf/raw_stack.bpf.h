/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * raw_stack.bpf.h - the second chance of a walk that came to a file without a table: a
 * program just exec'd, a library just loaded, both never seen before. Part of
 * common.bpf.h. Nothing of it is left in a command whose cfg.raws is 0.
 *
 * A raw stack has a site of its own, which user space gives the name of the full stack.
 * So there must be few: cfg.raws of them in all and RAW_PER_IMAGE in each image. Without
 * budget or room in the ring the walk goes on as best it can.
 */
#ifndef RAW_STACK_BPF_H
#define RAW_STACK_BPF_H

#include "raw_stack.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* sized before load, where it is used */
} raws SEC(".maps");

__u32 raws_sent;

static __always_inline int raw_allowed(__u64 proc_key)
{
	__u32 tgid = proc_key;
	struct proc *p = bpf_map_lookup_elem(&procs, &tgid);

	if (!p || p->raws >= RAW_PER_IMAGE || raws_sent >= cfg.raws)
		return 0;
	__sync_fetch_and_add(&p->raws, 1);
	__sync_fetch_and_add(&raws_sent, 1);
	return 1;
}

/* Room of a record, in frames and bytes: both constant. */
struct raw_size {
	__u32 frames, stack;
};

/* Copies the stack, to the byte where its memory ends. */
static __always_inline void raw_copy_stack(struct raw_event *raw, __u64 sp,
					   const struct raw_size *size)
{
	char *stack = (char *)(raw->data + size->frames);
	__u32 len = 0, rest, max = size->stack;

	for (; len < max; len += RAW_STACK_CHUNK)
		if (bpf_probe_read_user(stack + len, RAW_STACK_CHUNK, (void *)(sp + len)))
			break;
	raw->stack_len = len;
	rest = 4096 - ((sp + len) & 4095); /* memory ends at a page of some size */
	if (len >= max || rest >= RAW_STACK_CHUNK)
		return;
	rest &= RAW_STACK_CHUNK - 1;
	if (!bpf_probe_read_user(stack + len, rest, (void *)(sp + len)))
		raw->stack_len = len + rest;
}

/* Registers that are still saved in frames already left, that is below sp. */
static __always_inline void raw_fill(struct raw_event *raw, const struct walk *w)
{
	raw->pc = w->pc;
	raw->sp = w->sp;
	raw->fp = w->fp;
	raw->aux = w->aux;
	raw->r10 = w->r10;
	raw->hash = w->hash;
	raw->n = w->n;
	raw->flags = w->flags;
	raw->is_ra = w->is_ra;
	raw->entry = w->entry;
	raw->lost = w->lost;
	if (w->fp_at && bpf_probe_read_user(&raw->fp, sizeof(raw->fp), (void *)w->fp_at))
		raw->lost |= WALK_LOST_FP;
	if (w->aux_at && bpf_probe_read_user(&raw->aux, sizeof(raw->aux), (void *)w->aux_at))
		raw->lost |= WALK_LOST_AUX;
}

struct raw_what {
	const struct walk *w;
	const struct stack_event *s; /* the first w->n frames */
	__u64 proc_key;
	__u8 kind;
};

static __always_inline __u64 raw_send_sized(const struct raw_what *what,
					    const struct raw_size *size)
{
	const struct walk *w = what->w;
	__u64 thread = bpf_get_current_pid_tgid(), site;
	struct raw_event *raw =
		bpf_ringbuf_reserve(&raws, RAW_EVENT_SIZE(size->frames, size->stack), 0);

	if (!raw) {
		count(STAT_RAWS_FULL);
		return 0;
	}
	event_fill(&raw->ev, EVENT_RAW, what->proc_key);
	raw->kind = what->kind;
	raw->thread = cfg.by_thread ? thread : 0;
	raw_fill(raw, w);
	raw->room = size->frames;
	bpf_probe_read_kernel(raw->data, size->frames * 8, what->s->pcs);
	raw_copy_stack(raw, w->sp, size);
	site = site_id(hash_mix(w->hash, raw->ev.time_ns), what->proc_key, what->kind, thread);
	raw->site = site;
	bpf_ringbuf_submit(raw, 0);
	count(STAT_RAWS);
	return site;
}

/* The site of the stack if it was sent, else 0. */
static __always_inline __u64 raw_send(const struct raw_what *what)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 top = BPF_CORE_READ(task, mm, start_stack); /* of the main thread */

	if (!raw_allowed(what->proc_key)) {
		count(STAT_RAWS_FULL);
		return 0;
	}
	if (top - what->w->sp < RAW_STACK_SMALL && what->w->n <= RAW_FRAMES_SMALL)
		return raw_send_sized(what, &(struct raw_size){RAW_FRAMES_SMALL, RAW_STACK_SMALL});
	return raw_send_sized(what, &(struct raw_size){ABI_MAX_FRAMES, RAW_STACK_BYTES});
}

#endif
