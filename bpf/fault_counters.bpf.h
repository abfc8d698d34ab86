/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_counters.bpf.h - the bare count without a program on the faults: what the kernel
 * counts for each task (min_flt, maj_flt) is taken over where a task begins another image
 * or ends, and from all tasks when a report is due. What was taken over last is in the
 * task's storage. A task that runs may be looked at while it ends: the difference belongs
 * to whoever exchanges that.
 */
#ifndef FAULT_COUNTERS_BPF_H
#define FAULT_COUNTERS_BPF_H

#include "fault_cells.bpf.h"

/*
 * Set once all tasks were seen, to the monotonic clock when that began: until then counters
 * are the past, which is no one's.
 */
unsigned long fault_counting; /* of 64 bits here and in user space */

/* Tasks that a look could not take over: to be looked at again. */
__u32 fault_untaken;

#define PF_EXITING 0x00000004

struct cred___counters {
	struct {
		unsigned int val;
	} uid;
} __attribute__((preserve_access_index));

struct task_struct___counters {
	int pid, tgid;
	unsigned int flags;
	__u64 start_time; /* monotonic */
	unsigned long min_flt, maj_flt;
	char comm[16];
	struct cred___counters *cred;
} __attribute__((preserve_access_index));

/* From v5.12 on (COMPAT_OLD never comes here): 5ffa25502b5a "bpf: Add instructions for
 * atomic_[cmp]xchg". */
#ifdef COMPAT_OLD
#define COUNTER_EXCHANGE(p, old, new) (*(p))
#else
#define COUNTER_EXCHANGE(p, old, new) __sync_val_compare_and_swap(p, old, new)
#endif

/* How much *last lags behind now, for one caller only. */
static __always_inline __u64 counter_take(__u64 *last, __u64 now)
{
	for (int i = 0; i < 4; i++) { /* there is one rival at most, and it tries once */
		__u64 old = *last;

		if ((__s64)(now - old) <= 0)
			break;
		if (COUNTER_EXCHANGE(last, old, now) == old)
			return now - old;
	}
	return 0;
}

/* The cell of a task: that of its process, or its own. NULL: the catch-all cell is missing. */
static __always_inline struct fault_cell *counter_cell(struct task_struct___counters *task,
						       __u64 proc_key)
{
	__u32 tid = fault_cfg.by_thread ? task->pid : 0, index;
	__u64 id = fault_cfg.by_thread ? hash_mix(proc_key, tid) : proc_key;
	__u32 *place = bpf_map_lookup_elem(&fault_index, &id);
	struct fault_cell *c;

	if (place)
		return bpf_map_lookup_elem(&fault_cells, place);
	c = cell_alloc(&index);
	if (!c)
		return cell_at(0, 0);
	__builtin_memset(&c->key, 0, sizeof(c->key));
	c->key.proc_key = proc_key;
	c->key.tid = tid;
	c->uid = BPF_CORE_READ(task, cred, uid.val);
	bpf_probe_read_kernel(c->comm, sizeof(c->comm), task->comm);
	index = cell_publish(c, index, id);
	return index ? cell_at(index, id) : cell_at(0, 0);
}

/* Key of the process that a task belongs to, or 0; a new one is made known. */
static __always_inline __u64 counter_owner(__u32 tgid)
{
	struct proc *p = bpf_map_lookup_elem(&procs, &tgid);

	if (p || cfg.scope != SCOPE_ALL || tgid == cfg.self_tgid)
		return p ? p->key : 0;
	return proc_make(tgid);
}

/*
 * The task's state, made at first use; NULL if it has none now: there was no memory, or
 * another CPU was just making one.
 */
static __always_inline struct fault_thread *counter_state(struct task_struct *t)
{
	struct fault_thread *state =
		bpf_task_storage_get(&fault_threads, t, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	return state ? state : bpf_task_storage_get(&fault_threads, t, 0, 0);
}

static __always_inline void counter_add(struct task_struct___counters *task, __u64 minor,
					__u64 major)
{
	struct fault_cell *c;
	__u64 proc_key;

	if (!(fault_cfg.counters & FAULT_COUNTERS_MINOR))
		minor = 0;
	if (!(fault_cfg.counters & FAULT_COUNTERS_MAJOR))
		major = 0;
	proc_key = minor || major ? counter_owner(task->tgid) : 0;
	c = proc_key ? counter_cell(task, proc_key) : NULL;
	if (!c)
		return;
	__sync_fetch_and_add(&c->minor, minor);
	__sync_fetch_and_add(&c->major, major);
}

/*
 * Takes over what the task's counters have grown by. last: it ends. Tasks that were there
 * before have a state: another one that ends without leaves all of its counters then, and
 * only then.
 */
static __always_inline void fault_counters_take(struct task_struct *t, int last)
{
	struct task_struct___counters *task = (void *)t;
	__u64 minor = task->min_flt, major = task->maj_flt;
	struct fault_thread *state;

	if (!minor && !major)
		return; /* a thread of the kernel, or a new one */
	if (cfg.scope == SCOPE_PIDS && !counter_owner(task->tgid))
		return;
	state = bpf_task_storage_get(&fault_threads, t, 0, 0);
	if (!state && !last && fault_counting && task->flags & PF_EXITING)
		return;
	if (!state)
		state = counter_state(t);
	if (!state && (!last || !fault_counting)) {
		__sync_fetch_and_add(&fault_untaken, 1);
		return;
	}
	if (!state) {
		if (task->start_time < fault_counting)
			count(STAT_THREADS_FULL);
		else
			counter_add(task, minor, major);
		return;
	}
	if (state->ended)
		return;
	if (last)
		state->ended = 1;
	if (fault_counting) {
		minor = counter_take(&state->minor, minor);
		major = counter_take(&state->major, major);
		counter_add(task, minor, major);
	} else {
		state->minor = minor;
		state->major = major;
	}
}

#endif
