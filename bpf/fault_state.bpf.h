/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fault_state.bpf.h - what the fault programs remember: by thread, by CPU, by process. */
#ifndef FAULT_STATE_BPF_H
#define FAULT_STATE_BPF_H

#include "common.bpf.h"
#include "faults_abi.h"
#include "fault_vma.bpf.h"

struct task_struct___faults {
	int pid;
	int pagefault_disabled; /* > 0: it reads user memory that may be missing */
	unsigned long min_flt, maj_flt;
} __attribute__((preserve_access_index));

const volatile struct fault_cfg fault_cfg;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FAULT_STATS);
	__type(key, __u32);
	__type(value, __u64);
} fault_stats SEC(".maps");

static __always_inline void fault_count(__u32 id)
{
	__u64 *n = bpf_map_lookup_elem(&fault_stats, &id);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* ---- by CPU: scratch of programs that no other of them interrupts ---- */

#define FAULT_NEAR 64 /* a power of two */
#define VMA_NEAR   4  /* a power of two */

/* Where a cell was last found. Believed if the cell there still has this id. */
struct fault_near {
	__u64 id;
	__u32 index;
	__u32 pad;
};

struct fault_scratch {
	/* The thread that faulted last here; valid while fault_images stays what it was. */
	__u64 last_images, last_key;
	__u32 last_tid;
	__u32 pad;
	__u64 id;	       /* of the cell */
	struct walk_regs regs; /* the user registers */
	__u64 stack_known;     /* see fault_stack() */
	struct fault_vma vma;
	struct fault_near near[FAULT_NEAR];
	struct vma_cache mappings[VMA_NEAR];
	struct fault_file_event file;
	struct fault_bad_event bad;
	struct stack_event stack;
#ifndef COMPAT_OLD
	struct walk walk;
#endif
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fault_scratch);
} fault_scratches SEC(".maps");

static __always_inline struct fault_scratch *fault_scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fault_scratches, &zero);
}

/* ---- which process ---- */

/* Grows with each image that comes or goes: then what CPUs remember of threads is void. */
__u64 fault_images;

static __always_inline void fault_images_change(void)
{
	__sync_fetch_and_add(&fault_images, 1);
}

/* The running thread; with task storage there are typed pointers, read without a helper. */
static __always_inline __u32 fault_tid(void)
{
	struct task_struct___faults *task;

	if (!cfg.task_storage)
		return (__u32)bpf_get_current_pid_tgid();
	task = (void *)bpf_get_current_task_btf();
	return (__u32)task->pid;
}

/* task_wanted(), asked once as long as the same thread goes on faulting on this CPU. */
static __always_inline __u64 fault_wanted(struct fault_scratch *s)
{
	__u64 images = fault_images, key;
	__u32 tid = fault_tid();

	if (s->last_tid == tid && s->last_images == images)
		return s->last_key;
	key = task_wanted();
	/* A process may be moved into the cgroup at any time. */
	s->last_tid = key || cfg.scope != SCOPE_CGROUP ? tid : 0;
	s->last_images = images;
	s->last_key = key;
	return key;
}

/* ---- by thread: the fault that is being handled ---- */

struct fault_thread {
	__u64 address, start_ns, error;
	__u64 page, first_page; /* struct page, allocated since START: the largest, the first */
	__u32 pages, order;
	__u8 open, has_error, counted, ended, pad[4];
	/*
	 * The task's counters: with `counted` when its last fault ended; with fault_cfg.counters
	 * as they were taken over last.
	 */
	__u64 minor, major;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fault_thread);
} fault_threads SEC(".maps");

/* Kernels without task storage: by thread id. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct fault_thread);
} fault_threads_hash SEC(".maps");

/* The running thread's state, or NULL if it has none. */
static __always_inline struct fault_thread *fault_thread_find(void)
{
	__u32 tid = bpf_get_current_pid_tgid();

	if (cfg.task_storage)
		return bpf_task_storage_get(&fault_threads, bpf_get_current_task_btf(), 0, 0);
	return bpf_map_lookup_elem(&fault_threads_hash, &tid);
}

/* The same, made at first use; NULL (counted) if there is no memory. */
static __always_inline struct fault_thread *fault_thread_get(void)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct fault_thread *t = fault_thread_find();

	if (t)
		return t;
	if (cfg.task_storage) {
		t = bpf_task_storage_get(&fault_threads, bpf_get_current_task_btf(), 0,
					 BPF_LOCAL_STORAGE_GET_F_CREATE);
	} else {
		struct fault_thread blank = {};

		bpf_map_update_elem(&fault_threads_hash, &tid, &blank, BPF_NOEXIST);
		t = bpf_map_lookup_elem(&fault_threads_hash, &tid);
	}
	if (!t)
		count(STAT_THREADS_FULL);
	return t;
}

/* ---- by process image ---- */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096); /* sized before load */
	__type(key, __u64);
	__type(value, struct fault_proc);
} fault_procs SEC(".maps");

static __always_inline struct fault_proc *fault_proc_get(__u64 proc_key)
{
	struct fault_proc *p = bpf_map_lookup_elem(&fault_procs, &proc_key), blank = {};

	if (p)
		return p;
	if (bpf_map_update_elem(&fault_procs, &proc_key, &blank, BPF_NOEXIST))
		count(STAT_PROCS_FULL);
	return bpf_map_lookup_elem(&fault_procs, &proc_key);
}

static __always_inline void fault_failed(__u64 proc_key)
{
	struct fault_proc *p = fault_proc_get(proc_key);

	fault_count(FAULT_STAT_FAILED);
	if (p)
		__sync_fetch_and_add(&p->failed, 1);
}

struct fault_growth {
	__u64 minor, major;
};

/* By how much the running task's own counters have grown since this was asked last. */
static __always_inline struct fault_growth fault_growth(struct fault_thread *t)
{
	struct fault_growth now, grown = {0, 0};
	struct task_struct___faults *task;

	if (cfg.task_storage) {
		task = (void *)bpf_get_current_task_btf();
		now.minor = task->min_flt;
		now.major = task->maj_flt;
	} else {
		task = (void *)bpf_get_current_task();
		now.minor = BPF_CORE_READ(task, min_flt);
		now.major = BPF_CORE_READ(task, maj_flt);
	}
	if (t->counted) {
		grown.minor = now.minor - t->minor;
		grown.major = now.major - t->major;
	}
	t->minor = now.minor;
	t->major = now.major;
	t->counted = 1;
	return grown;
}

/*
 * More than the faults that had an event: those the kernel took for it meanwhile:
 * MAP_POPULATE, mlock, process_vm_writev, direct I/O.
 */
static __always_inline void fault_note_taken(__u64 proc_key, __u64 minor, __u64 major)
{
	struct fault_proc *p = minor || major ? fault_proc_get(proc_key) : NULL;

	if (!p)
		return;
	__sync_fetch_and_add(&p->taken_minor, minor);
	__sync_fetch_and_add(&p->taken_major, major);
}

/*
 * The thread begins another fault, or ends. An open one has failed; but if the counters have
 * just this one more, it has not: its END was skipped. Then it stays open.
 */
static __always_inline struct fault_growth fault_between(struct fault_thread *t, __u64 proc_key)
{
	struct fault_growth grown = fault_growth(t);

	if (t->open && grown.minor + grown.major == 1) {
		fault_count(FAULT_STAT_ENDS_MISSED);
		return grown;
	}
	if (t->open)
		fault_failed(proc_key);
	t->open = 0;
	fault_note_taken(proc_key, grown.minor, grown.major);
	return grown;
}

/* One fault, as its END sees it. */
struct fault {
	__u64 address, ns, error;
	__u32 pages, order;
	__u8 major, has_error;
	__u8 begun; /* its START was seen, */
	__u8 timed; /* and its END when it came */
	__u8 cause; /* enum fault_cause */
};

#endif
