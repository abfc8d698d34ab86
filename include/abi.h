/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * abi.h - the contract between the BPF programs and user space: limits, configuration,
 * counters, keys and values of the maps, records of the event ring. Plain data; sizes
 * are asserted, because both sides are compiled by different compilers.
 */
#ifndef ABI_H
#define ABI_H

#include <linux/types.h>

#include "sample.h"
#include "unwind.h"

#define ABI_MAX_FRAMES	UNWIND_MAX_FRAMES
#define CATCH_ALL_SITE	0ULL /* stacks that found no room */
#define UNSEEN_FRAMES	16   /* cfg.skip_returns: of an mmap up to the call that it is part of */
#define SITE_BORN_SHIFT 20   /* times of birth are summed in units of about 1 ms */

enum scope { SCOPE_PIDS, SCOPE_ALL, SCOPE_CGROUP };

/* Written once before load, constant afterwards: unused paths vanish in the verifier. */
struct cfg {
	__u64 min_size, max_size;   /* bytes, inclusive */
	__u64 sample_bytes;	    /* mean distance between samples at step 0, see sample.h */
	__u64 pidns_dev, pidns_ino; /* 0: pids are those of the initial namespace */
	__u32 scope;
	__u32 self_tgid;    /* never traced */
	__u32 follow;	    /* children of targets are targets */
	__u32 by_thread;    /* threads get sites of their own */
	__u32 trace_calls;  /* one record per call */
	__u32 task_storage; /* kernel has task storage; else a hash by thread */
	__u32 raws;	    /* stacks that user space may be asked to finish; 0: none */
	__u32 probe_names;  /* probes have no cookies, but names: struct probe_name */
	__u32 count_blocks; /* in STAT_ALLOCS and STAT_FREES */
	__u32 tick_clock;   /* births exact to the timer's tick, not to the ns */
	__u32 sample_moves; /* the step may change while we run */
	__u32 block_slots;  /* elements of these arrays (include/slots_abi.h); 0: not used */
	__u32 site_slots;
	__u32 skip_returns; /* of leaf calls that are not recorded; session links only */
	__u32 hold;	    /* programs can be preempted, and kept from it (bpf/hold.bpf.h) */
	__u32 pad;
};

/* What a perf uprobe was opened with. */
struct probe_name {
	char path[32]; /* padded with zeros */
	__u64 offset;
};

/* Counters, one slot per CPU each. STAT_LOSS_FIRST on: losses, reported when not zero. */
enum stat_id {
	STAT_CALLS,	   /* calls of wanted processes seen at their entry */
	STAT_CALLS_SLOW,   /* of these: at a site that the kernel has to single-step */
	STAT_CALLS_UNSEEN, /* session links: calls of anyone whose return was not asked for */
	STAT_ALLOCS,	   /* cfg.count_blocks: allocations recorded */
	STAT_FREES,	   /* cfg.count_blocks: frees of recorded blocks */
	STAT_FREES_OTHER,  /* cfg.count_blocks: frees of other blocks */
	STAT_WALKS,	   /* kernel stacks; of users the sum over their statuses */
	STAT_WALK_FP,	   /* of these: with frames by frame pointer guess */
	STAT_WALK_BUSY,	   /* of these: a mapping could not be looked up */
	STAT_WALK_NEW,	   /* of these: through a file without a table, or not in time */
	STAT_RAWS,	   /* of these: sent to be finished in user space */
	STAT_RAWS_FULL,	   /* of these: ... for which there was no room */
	STAT_ALLOCS_SAVED, /* kmem: seen by the second program of an event only */
	STAT_FREES_SAVED,  /* kmem: of recorded blocks, likewise */
	STAT_EVENTS_SAVED, /* of tasks: seen by the second program of an event only */
	STAT_FREES_BULK,   /* kmem: of recorded blocks, in bulk or by kfree_rcu() */
	STAT_WALK_STATUS,  /* first of enum walk_status counters */
	STAT_LOSS_FIRST = STAT_WALK_STATUS + WALK_STATUSES,
	STAT_BLOCKS_FULL = STAT_LOSS_FIRST, /* no room for a block */
	STAT_SITES_FULL,   /* no room for a stack: bytes went to the catch-all site */
	STAT_STACK_RETRY,  /* ring full: stack record is sent at its next hit */
	STAT_EVENTS_LOST,  /* ring full: mapping or call event gone */
	STAT_THREADS_FULL, /* no room for a thread's state: call not recorded */
	STAT_CALLS_BROKEN, /* a call that never returned through its probe */
	STAT_FREES_MISSED, /* address handed out again while outstanding; repaired */
	STAT_RESULT_FAULT, /* result pointer not readable */
	STAT_PROCS_FULL,   /* no room for a process */
	STAT_KSTACKS_LOST, /* kernel stacks that could not be walked */
	STAT_PROBE_NAME,   /* a hit whose probe could not be told: call not recorded */
	STAT_COUNT,
};

/* proc_key: a process image: tgid in the low half, a generation stamp in the high one. */

struct proc {
	__u64 key;
	__u32 raws; /* sent, raw_stack.h */
	__u32 pad;
};

struct block_key {
	__u64 address;
	__u64 proc_key;
};

struct block_value {
	union {
		struct {
			__u64 size : 56;
			__u64 step : 8; /* of sampling, when it was taken */
		};
		__u64 size_word; /* for atomic changes of size */
	};
	__u64 born_ns;
	__u64 site;
};

/*
 * Every field that a call changes costs it a locked instruction, so there is no count of
 * outstanding blocks: it is allocs - frees + extra.
 */
struct site {
	__s64 bytes; /* outstanding; in SAMPLE_UNITs when sampling */
	__s64 extra; /* sampling: what the outstanding blocks stand for beyond 1 each */
	__u64 allocs, frees;
	__u64 born_sum; /* of outstanding blocks, not weighted: sum of born_ns >> SITE_BORN_SHIFT */
	__u64 proc_key;
	__u32 tid;
	__u8 kind;   /* enum alloc_kind */
	__u8 status; /* enum walk_status */
	__u8 sent;   /* the stack's record is in the ring */
	__u8 pad;
};

/* Records of the event ring. Every one starts with struct event. */
enum event_type {
	EVENT_STACK = 1, /* a new stack: struct stack_event */
	EVENT_CALL,	 /* --trace: struct stack_event with a call */
	EVENT_MMAP,	 /* struct range_event */
	EVENT_MUNMAP,	 /* before the kernel acts */
	EVENT_MREMAP,	 /* before the kernel acts: start, length */
	EVENT_UNDO,	 /* the thread's pending munmap or mremap failed */
	EVENT_REMAPPED,	 /* the pending mremap succeeded: start, length */
	EVENT_PROC,	 /* a process became a target: struct event only */
	EVENT_RAW,	 /* in a ring of its own: struct raw_event */
};

struct event {
	__u32 type;
	__u32 tid;
	__u64 proc_key;
	__u64 time_ns; /* monotonic */
};

struct range_event {
	struct event ev;
	__u64 start, length;
	__u64 site;  /* for the ones that create */
	__u32 flags; /* mmap flags */
	__s32 fd;
};

struct stack_event {
	struct event ev;
	__u64 site;
	__u64 address, size; /* EVENT_CALL: what the call returned or freed */
	__u16 function;	     /* EVENT_CALL: index of the probed function */
	__u8 op;	     /* EVENT_CALL: enum alloc_op */
	__u8 kind;
	__u8 status; /* enum walk_status */
	__u8 flags;  /* WALK_FLAG_* */
	__u16 n;
	__u64 pcs[ABI_MAX_FRAMES];
};

#define STACK_EVENT_HEADER 56u

_Static_assert(sizeof(struct cfg) == 104, "cfg");
_Static_assert(sizeof(struct probe_name) == 40, "probe_name");
_Static_assert(sizeof(struct block_key) == 16, "block_key");
_Static_assert(sizeof(struct block_value) == 24, "block_value");
_Static_assert(sizeof(struct site) == 56, "site");
_Static_assert(sizeof(struct event) == 24, "event");
_Static_assert(sizeof(struct range_event) == 56, "range_event");
_Static_assert(__builtin_offsetof(struct stack_event, pcs) == STACK_EVENT_HEADER, "stack_event");

#endif
