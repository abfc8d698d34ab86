/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * common.bpf.h - what every command's programs share: configuration, counters, which
 * tasks are wanted, a thread's state, and stack_take(). This header carries maps.
 *
 * Uprobe programs are preemptible from v6.0 on (8c7dcb84e3b7 "bpf: implement sleepable
 * uprobes by chaining gps"), so nothing here lives in per-CPU scratch between two
 * instructions that belong together: state is on the BPF stack or belongs to the thread.
 * Counters are per CPU to keep the cache line private, and atomic to stay exact.
 */
#ifndef COMMON_BPF_H
#define COMMON_BPF_H

#include "compat.bpf.h"
#include "abi.h"
#include "unwind.bpf.h"

#define EEXIST 17 /* linux/errno.h is not for BPF */

char LICENSE[] SEC("license") = "GPL";

const volatile struct cfg cfg;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STAT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

static __always_inline void count(__u32 id)
{
	__u64 *n = bpf_map_lookup_elem(&stats, &id);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* Everything user space must be told in order: stacks, mappings, calls, processes. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

static __always_inline void event_fill(struct event *ev, __u32 type, __u64 proc_key)
{
	ev->type = type;
	ev->tid = (__u32)bpf_get_current_pid_tgid();
	ev->proc_key = proc_key;
	ev->time_ns = bpf_ktime_get_ns();
}

/* ---- processes ---- */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* tgid as we see it */
	__type(value, struct proc);
} procs SEC(".maps");

/* tgid -> mappings for the unwinder; written by user space, copied to children here */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct unwind_slice);
} slices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} cgroups SEC(".maps");

/* tgid << 32 | tid of the running task, in memtally's own pid namespace. */
static __always_inline __u64 task_ids(void)
{
	struct bpf_pidns_info ns = {};

	if (!cfg.pidns_ino)
		return bpf_get_current_pid_tgid();
	if (bpf_get_ns_current_pid_tgid(cfg.pidns_dev, cfg.pidns_ino, &ns, sizeof(ns)))
		return 0;
	return (__u64)ns.tgid << 32 | ns.pid;
}

/*
 * Names one process image. Stamps are 2^16 ns apart and wrap after three days: for two
 * images to be taken for one, a pid would have to return exactly then.
 */
static __always_inline __u64 proc_new_key(__u32 tgid)
{
	return (bpf_ktime_get_ns() >> 16) << 32 | tgid;
}

/* 0; -EEXIST with BPF_NOEXIST; else a negative errno, counted. */
static __always_inline long proc_put(__u32 tgid, __u64 key, __u64 flags)
{
	struct proc p = {.key = key};
	struct event ev;
	long err = bpf_map_update_elem(&procs, &tgid, &p, flags);

	if (err) {
		if (err != -EEXIST)
			count(STAT_PROCS_FULL);
		return err;
	}
	event_fill(&ev, EVENT_PROC, key);
	ev.tid = tgid;
	if (bpf_ringbuf_output(&events, &ev, sizeof(ev), 0))
		count(STAT_EVENTS_LOST);
	return 0;
}

static __always_inline void proc_add(__u32 tgid, __u64 key)
{
	proc_put(tgid, key, BPF_ANY);
}

/* The key of a process that is new; two may come here at once: both get that of the first. */
static __always_inline __u64 proc_make(__u32 tgid)
{
	__u64 key = proc_new_key(tgid);
	long err = proc_put(tgid, key, BPF_NOEXIST);
	struct proc *p;

	if (err != -EEXIST)
		return err ? 0 : key;
	p = bpf_map_lookup_elem(&procs, &tgid);
	return p ? p->key : 0;
}

static __always_inline __u64 proc_adopt(__u32 tgid)
{
	if (cfg.scope == SCOPE_PIDS || !tgid || tgid == cfg.self_tgid)
		return 0;
	if (cfg.scope == SCOPE_CGROUP && bpf_current_task_under_cgroup(&cgroups, 0) != 1)
		return 0;
	return proc_make(tgid);
}

/* Key of the running process if it is wanted, else 0. The first check of every program. */
static __always_inline __u64 task_wanted(void)
{
	__u32 tgid = task_ids() >> 32;
	struct proc *p = bpf_map_lookup_elem(&procs, &tgid);

	return p ? p->key : proc_adopt(tgid);
}

/* ---- a thread's state ---- */

/*
 * The call in flight on a thread. Only the outermost one is kept: what an allocator calls
 * in turn belongs to it. `sp` is the stack pointer at its entry: a call entered below it
 * is nested; one entered above it proves that the outer call was left without returning
 * (an exception, longjmp), so it is dropped rather than hiding all that follows.
 */
struct call {
	__u64 sp; /* 0: none in flight */
	__u64 proc_key;
	__u64 cookie;
	__u64 size, ptr, out;
	__u64 unseen_sp, unseen_ra; /* of the last call, if its return was not asked for; or 0 */
	struct block_value old;	    /* realloc: the block taken out at entry */
	__u32 has_old;
	__u16 skip; /* filtered or not sampled: only there to hide nested calls */
	__u16 step; /* of sampling, when it was decided */
};

struct thread {
	struct call call;
	__s64 sample_left; /* bytes until the next sample */
	__u32 sample_step; /* that it was drawn for, + 1; 0: not drawn yet */
	__u32 pad;
	__u64 tramp, tramp_of;	  /* uretprobe trampoline of the process image tramp_of */
	struct stack_event stack; /* result of stack_take() */
#ifndef COMPAT_OLD
	struct walk walk; /* its scratch */
#endif
};

static __always_inline struct walk *thread_walk(struct thread *t)
{
#ifdef COMPAT_OLD
	return walk_of_cpu();
#else
	return &t->walk;
#endif
}

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/* Kernels without task storage (before v5.12, a10787e6d58c "bpf: Enable task local storage
 * for tracing programs"): by thread id. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct thread);
} threads_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct thread);
} thread_blank SEC(".maps");

#ifdef THREAD_SLOTS
#include "thread_slots.bpf.h"
#else
#define thread_slot_find()  NULL
#define thread_slot_claim() NULL
#endif

static __always_inline struct thread *thread_get_hash(void)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct thread *t = bpf_map_lookup_elem(&threads_hash, &id);
	__u32 zero = 0;
	struct thread *blank;

	if (t)
		return t;
	blank = bpf_map_lookup_elem(&thread_blank, &zero);
	if (blank)
		bpf_map_update_elem(&threads_hash, &id, blank, BPF_NOEXIST);
	return bpf_map_lookup_elem(&threads_hash, &id);
}

/* The running thread's state, made at first use; NULL (counted) if there is no memory. */
static __always_inline struct thread *thread_get(void)
{
	struct thread *t = cfg.task_storage ? thread_slot_claim() : NULL;

	if (t)
		return t;
	if (cfg.task_storage)
		t = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0,
					 BPF_LOCAL_STORAGE_GET_F_CREATE);
	else
		t = thread_get_hash();
	if (!t)
		count(STAT_THREADS_FULL);
	return t;
}

/* The same if there is one already: for what can only follow upon something else. */
static __always_inline struct thread *thread_find(void)
{
	struct thread *t = cfg.task_storage ? thread_slot_find() : NULL;
	__u64 id;

	if (t)
		return t;
	if (cfg.task_storage)
		return bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, 0);
	id = bpf_get_current_pid_tgid();
	return bpf_map_lookup_elem(&threads_hash, &id);
}

/* ---- stacks ---- */

#include "raw_stack.bpf.h"

/* Where in a probed function a stack is taken. */
enum take_where {
	TAKE_AT_ENTRY,	  /* on its first instructions: leaf is the function */
	TAKE_AT_RETURN,	  /* in a uretprobe: leaf is the caller */
	TAKE_AT_RET_SITE, /* on its `ret`: leaf is the caller, still on the stack */
};

struct taking {
	__u8 kind;
	__u8 where;    /* enum take_where */
	__u8 sp_moved; /* words, with TAKE_AT_ENTRY */
	__u8 learn;    /* to be recognised, see unwind_memo.bpf.h */
};

/*
 * From the `ret` of a function to its caller, as if it had been executed. Where the stack
 * can't be read the walk begins at the `ret` and will say so itself.
 */
static __always_inline void walk_leave(struct walk *w)
{
	__u64 caller = w->aux; /* aarch64: x30 */

	walk_use(w, WALK_AARCH64 ? WALK_LOST_AUX : 0, 0);
	if (!WALK_AARCH64 && walk_word(w, &caller, w->sp))
		return;
	w->slot = w->sp;
	w->sp += WALK_AARCH64 ? 0 : 8;
	w->pc = caller;
	w->entry = 0;
	w->is_ra = 1;
}

/*
 * Runs a started walk of the running thread's user stack into s->pcs and returns the id of
 * the site it belongs to. With WALK_FLAG_RAW in s->flags, user space gets the rest of the
 * frames and the site is this call's alone.
 */
static __always_inline __u64 stack_walk(struct walk *w, struct stack_event *s, __u64 proc_key,
					__u8 kind)
{
	s->site = 0;
	if (cfg.raws)
		w->flags = WALK_FLAG_ASK;
	if (!cfg.raws) {
		walk_run(w, s->pcs);
	} else if (walk_go_on(w, s->pcs)) {
		w->flags &= ~WALK_FLAG_ASK;
		w->status = WALK_NO_MAPPING;
		s->site = raw_send(&(struct raw_what){w, s, proc_key, kind});
		if (!s->site)
			walk_go_on(w, s->pcs);
		else
			w->flags |= WALK_FLAG_RAW;
	}
	w->flags &= ~WALK_FLAG_ASK;
	count(STAT_WALK_STATUS + (w->status < WALK_STATUSES ? w->status : WALK_FAULT));
	if (unwind_cfg.mode != UNWIND_FP && (w->flags & WALK_FLAG_FP))
		count(STAT_WALK_FP);
	if (w->flags & WALK_FLAG_BUSY)
		count(STAT_WALK_BUSY);
	if (w->flags & WALK_FLAG_NEW)
		count(STAT_WALK_NEW);
	if (!s->site)
		s->site = site_id(w->hash, proc_key, kind,
				  cfg.by_thread ? bpf_get_current_pid_tgid() : 0);
	s->kind = kind;
	s->status = w->status;
	s->flags = w->flags;
	s->n = w->n;
	return s->site;
}

/* The same from the registers of a uprobe, into t->stack. */
static __always_inline __u64 stack_take(struct pt_regs *ctx, struct thread *t, __u64 proc_key,
					const struct taking *how)
{
	__u32 tgid = proc_key;
	struct unwind_slice *slice =
		unwind_cfg.mode == UNWIND_DWARF ? bpf_map_lookup_elem(&slices, &tgid) : NULL;
	struct walk *w = thread_walk(t);

	if (!w)
		return 0; /* never, but the verifier can't know */
	walk_start(w, ctx, slice, how->where == TAKE_AT_RETURN);
	if (t->tramp_of == proc_key)
		w->tramp = t->tramp;
	w->sp += how->sp_moved * 8;
#ifdef WALK_MEMOS
	if (how->learn) {
		struct walk_regs regs = walk_regs_of(ctx);

		walk_memo_learn(w, &regs);
	}
#endif
	if (how->where == TAKE_AT_RET_SITE)
		walk_leave(w);
	stack_walk(w, &t->stack, proc_key, how->kind);
	if (w->tramp && w->tramp != WALK_TRAMP_UNKNOWN) {
		t->tramp = w->tramp;
		t->tramp_of = proc_key;
	}
	return t->stack.site;
}

/* Sends a taken stack as a record of the given type; 0 or a negative errno. */
static __always_inline long stack_send(struct stack_event *s, __u32 type, __u64 proc_key)
{
	__u64 len = s->n;

	event_fill(&s->ev, type, proc_key);
	len = len * 8 + STACK_EVENT_HEADER;
	if (len > sizeof(*s))
		len = sizeof(*s);
	return bpf_ringbuf_output(&events, s, len, 0);
}

#endif
