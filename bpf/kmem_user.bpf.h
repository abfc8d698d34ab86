/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kmem_user.bpf.h - with --user-stack: the stack of the process below the system call or the
 * fault that allocates, from the registers with which the task entered the kernel. Interrupts
 * and kernel threads have none. This header carries maps.
 */
#ifndef KMEM_USER_BPF_H
#define KMEM_USER_BPF_H

#include "kmem_filter.bpf.h"
#include "task_regs.bpf.h"

#define KMEM_USER_KIND 0

/* What a walk works in, by level (struct kmem_scratch): that of its kernel stack. */
struct kmem_user {
	__u64 proc_key;
	struct walk_regs regs;
	__u64 words[TASK_REGS_WORDS];
	struct walk walk;
	struct stack_event stack;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KMEM_LEVELS);
	__type(key, __u32);
	__type(value, struct kmem_user);
} kmem_users SEC(".maps");

#ifdef COMPAT_OLD /* user space refuses --user-stack there */
static __always_inline __u64 kmem_user_take(__u32 level)
{
	return 0;
}
#else
/*
 * The id of the running task's user stack, which is in kmem_users then; 0: it has none, or is
 * no target. A function of its own: it is verified once, not on each way that leads here.
 */
__noinline __u64 kmem_user_take(__u32 level)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct kmem_user *u = bpf_map_lookup_elem(&kmem_users, &level);
	struct unwind_slice *slice = NULL;
	__u32 tgid;

	if (!u || !task->mm)
		return 0;
	u->proc_key = task_wanted();
	if (!u->proc_key)
		return 0;
	tgid = u->proc_key;
	if (unwind_cfg.mode == UNWIND_DWARF)
		slice = bpf_map_lookup_elem(&slices, &tgid);
	task_regs_by(u->words, &u->regs);
	walk_start_regs(&u->walk, &u->regs, slice);
	return stack_walk(&u->walk, &u->stack, u->proc_key, KMEM_USER_KIND);
}
#endif

/* Sends the stack that was just taken; 0 or a negative errno, counted. */
static __always_inline long kmem_user_send(__u32 level)
{
	struct kmem_user *u = bpf_map_lookup_elem(&kmem_users, &level);
	long err = u ? stack_send(&u->stack, EVENT_STACK, u->proc_key) : 0;

	if (err)
		count(STAT_STACK_RETRY);
	return err;
}

#endif
