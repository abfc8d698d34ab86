/* SPDX-License-Identifier: GPL-2.0-or-later */
/* faults_abi.h - the contract of `memtally faults` between its BPF programs and user space. */
#ifndef FAULTS_ABI_H
#define FAULTS_ABI_H

#include "abi.h"

/* What the faulting address belongs to. */
enum fault_mapping {
	FAULT_MAP_UNKNOWN, /* not looked up, or not found */
	FAULT_MAP_HEAP,
	FAULT_MAP_STACK,
	FAULT_MAP_THREAD_STACK,
	FAULT_MAP_VDSO,
	FAULT_MAP_ANON,
	FAULT_MAP_FILE,
	FAULT_MAP_SHM, /* shmem without a name in a file system: memfd, SysV, shared anonymous */
	FAULT_MAP_HUGETLB,
	FAULT_MAPPINGS,
};

/* What the kernel did about it. */
enum fault_cause {
	FAULT_UNKNOWN,
	FAULT_FIRST_TOUCH,
	FAULT_ZERO_PAGE,
	FAULT_COW_COPY,
	FAULT_COW_REUSE,
	FAULT_FILE_READ,
	FAULT_FILE_MAP,
	FAULT_FILE_COW,
	FAULT_MKWRITE,
	FAULT_SWAP_IN,
	FAULT_THP,
	FAULT_HUGETLB,
	FAULT_USERFAULTFD,
	FAULT_SHM_NEW,
	FAULT_SHM_MAP,
	FAULT_CAUSES,
};

/* Written once before load, as struct cfg is. */
struct fault_cfg {
	__u32 classify; /* look up mapping and cause */
	__u32 timed;	/* START events are there: latency */
	__u32 by_stack;
	__u32 by_thread;
	__u32 range_shift; /* log2 of the size of an address range; 0: not by range */
	__u32 rss;	   /* resident pages by stack instead of counts */
	__u32 rss_every;   /* one of this many pages; a power of two */
	__u32 page_shift;
	__u32 both_ends; /* minor and major: what has no END failed, what has no event was taken */
	__u32 turns;	 /* pages have six programs each (bpf/turns.bpf.h) */
	__u32 counters;	 /* FAULT_COUNTERS_*: what of the kernel's own is taken; 0: events */
	__u32 pad;
	__u64 seed; /* of the sample of pages */
};

#define FAULT_COUNTERS_MINOR 1u
#define FAULT_COUNTERS_MAJOR 2u

#define FAULT_CALLS (1u << 12) /* threads in system calls; a power of two */

/* Counters of the fault programs, one slot per CPU each. */
enum fault_stat {
	FAULT_STAT_FAILED,	/* STARTs without END: bad access, EFAULT, interrupted */
	FAULT_STAT_NO_START,	/* ENDs without START: begun before we came */
	FAULT_STAT_NO_VMA,	/* mapping not found by the walk */
	FAULT_STAT_CELLS_FULL,	/* loss: faults counted in the catch-all cell */
	FAULT_STAT_BAD_LOST,	/* loss: bad accesses without a record */
	FAULT_STAT_ENDS_MISSED, /* loss: ENDs that were skipped */
	FAULT_STATS,
};

/* What faults are counted by. Fields that were not asked for are 0. */
struct fault_key {
	__u64 proc_key; /* 0 with all else 0: the catch-all cell */
	__u64 stack;
	__u64 ino;   /* FAULT_MAP_FILE */
	__u64 range; /* first address */
	__u32 dev;
	__u32 tid;
	__u8 mapping; /* enum fault_mapping */
	__u8 cause;   /* enum fault_cause */
	__u8 pad[6];
};

#define FAULT_SLOTS 40 /* log2 of nanoseconds: up to 18 minutes */

/*
 * What belongs to a key. The id is a hash of it: two of 64k cells meet with a chance of
 * 1e-10. 0: the catch-all cell, or a free one.
 */
struct fault_cell {
	__u64 id;
	__u64 minor, major;
	__u64 timed, time_ns, major_ns, max_ns; /* of the faults whose START was seen */
	struct fault_key key;
	__u32 slots[FAULT_SLOTS];
	__u32 uid;
	__u32 sent; /* FAULT_SENT_* that need not be sent any more */
	char comm[16];
};

#define FAULT_SENT_STACK 1u
#define FAULT_SENT_FILE	 2u

/* What a process image did that is no successful fault; the kernel's counters at exit. */
struct fault_proc {
	__u64 failed, bad;
	__u64 exit_minor, exit_major;	/* task->min_flt, maj_flt of threads that have exited */
	__u64 taken_minor, taken_major; /* by the kernel, seen as its counters grew */
};

enum fault_event {
	EVENT_FAULT_FILE = 0x100, /* struct fault_file_event */
	EVENT_FAULT_BAD,	  /* struct fault_bad_event */
};

#define FAULT_NAME_LEN	 64
#define FAULT_NAME_DEPTH 12

/* The name of a file from its leaf up, for processes that have gone when it is wanted. */
struct fault_file_event {
	struct event ev;
	__u64 ino;
	__u32 dev;
	__u32 n; /* names that count */
	char names[FAULT_NAME_DEPTH][FAULT_NAME_LEN];
};

struct fault_vma {
	__u64 start, end; /* 0, 0: none */
	__u64 flags;
	__u64 ino;
	__u32 dev;
	__u32 mapping;
};

struct fault_bad_event {
	struct event ev;
	__u64 stack;
	__u64 address;
	__u64 ip;
	__s32 signal, code;
	__u32 has_address;
	__u32 pad;
	struct fault_vma at, below, above;
	char comm[16];
};

_Static_assert(sizeof(struct fault_cfg) == 56, "fault_cfg");
_Static_assert(sizeof(struct fault_key) == 48, "fault_key");
_Static_assert(sizeof(struct fault_cell) == 288, "fault_cell");
_Static_assert(sizeof(struct fault_proc) == 48, "fault_proc");
_Static_assert(sizeof(struct fault_vma) == 40, "fault_vma");
_Static_assert(sizeof(struct fault_bad_event) == 24 + 40 + 120 + 16, "fault_bad_event");

#endif
