/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * thread_slots.bpf.h - states of threads in an array, in front of task storage, whose helper
 * costs as much as all else that the entry of a call needs. A thread has one slot, by its
 * id; the first to come keeps it until it ends. Others find it taken and have task storage.
 * Part of common.bpf.h, for programs that define THREAD_SLOTS (a power of two) and run
 * thread_slot_leave() when a thread ends. This header carries a map.
 */
#ifndef THREAD_SLOTS_BPF_H
#define THREAD_SLOTS_BPF_H

struct thread_slot {
	__u64 start; /* when the owner began: with its id its name for ever; 0: nobody's */
	__u64 tid;   /* in the initial namespace */
	struct thread thread;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, THREAD_SLOTS);
	__type(key, __u32);
	__type(value, struct thread_slot);
} thread_slots SEC(".maps");

#ifdef COMPAT_OLD /* no typed pointers to read the task by: the map alone */
#define thread_slot_find()  NULL
#define thread_slot_claim() NULL
#define thread_slot_leave()
#else
struct task_struct___slot {
	int pid;
	__u64 start_boottime;
} __attribute__((preserve_access_index));

struct thread_name {
	__u64 start, tid;
};

static __always_inline struct thread_slot *thread_slot_of(struct thread_name *ret)
{
	struct task_struct___slot *task = (void *)bpf_get_current_task_btf();
	__u32 i;

	ret->start = task->start_boottime;
	ret->tid = (__u32)task->pid;
	i = ret->tid & (THREAD_SLOTS - 1);
	return bpf_map_lookup_elem(&thread_slots, &i);
}

/* The state of the running thread if it has a slot. */
static __always_inline struct thread *thread_slot_find(void)
{
	struct thread_name me;
	struct thread_slot *s = thread_slot_of(&me);

	return s && s->start == me.start && s->tid == me.tid ? &s->thread : NULL;
}

/* The same; takes the slot if it is nobody's. */
static __always_inline struct thread *thread_slot_claim(void)
{
	struct thread_name me;
	struct thread_slot *s = thread_slot_of(&me);

	if (!s)
		return NULL;
	if (s->start == me.start && s->tid == me.tid)
		return &s->thread;
	if (s->start || __sync_val_compare_and_swap(&s->start, 0, me.start))
		return NULL;
	s->tid = me.tid;
	return &s->thread;
}

/* The running thread ends: nothing of it may look like the next owner's. */
static __always_inline void thread_slot_leave(void)
{
	struct thread_name me;
	struct thread_slot *s = thread_slot_of(&me);

	if (!s || s->start != me.start || s->tid != me.tid)
		return;
	s->thread.call.proc_key = 0;
	for (__u32 i = 0; i < WALK_MEMOS; i++)
		s->thread.walk.memos[i].proc_key = 0;
	s->tid = 0;
	__sync_val_compare_and_swap(&s->start, me.start, 0);
}
#endif

#endif
