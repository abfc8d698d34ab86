/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_abi.h - the contract of bpf/cache.bpf.c with user space. Pages are base pages. */
#ifndef CACHE_ABI_H
#define CACHE_ABI_H

#include "abi.h"

/* What one row of counters stands for; CACHE_BY_TOTAL: the array, no table of rows. */
enum cache_by { CACHE_BY_TOTAL, CACHE_BY_FILE, CACHE_BY_PROCESS, CACHE_BY_CGROUP };

struct cache_cfg {
	__u32 by;
	__u32 system; /* every process is wanted: no target was named */
	__u32 page_shift;
	__u32 direct_events; /* the kernel has iomap's tracepoints of direct I/O */
	__u32 write_by_file; /* generic_perform_write() takes a file, not a kiocb */
	__u32 turns;	     /* events have four programs, bpf/turns.bpf.h */
};

struct cache_key {
	__u64 id;     /* inode, tgid or cgroup id */
	__u32 dev;    /* by file: the kernel's dev_t, major << 20 | minor */
	__u32 others; /* 1, the rest 0: the row of all that found the table full */
};

/*
 * Every page of a read, and every fault on a mapped file, is exactly one of hit, ra and
 * miss. A later event of a running call may turn a hit into a miss, so hits can go down.
 */
struct cache_counters {
	__u64 read_hits, read_ra, read_misses;
	__u64 map_hits, map_ra, map_misses;
	__u64 dirtied;	   /* pages that went from clean to dirty */
	__u64 write_added; /* pages that a write had to add */
	__u64 added;	   /* pages put into the cache */
	__u64 removed;	   /* pages that left it: reclaim, truncation, removal */
	__u64 unused;	   /* of these: prefetched and never used */
	__u64 direct_reads, direct_read_bytes;
	__u64 direct_writes, direct_write_bytes;
	__u64 events;
};

struct cache_row {
	struct cache_counters n;
};

/* By process: whose tgid it is, as the row was made or by its last exec. */
struct cache_name {
	__u32 uid;
	char comm[16];
};

enum cache_stat {
	CACHE_STAT_PENDING_FULL, /* prefetched pages not noted: they will count as hits */
	CACHE_STAT_ROWS_FULL,
	CACHE_STAT_THREADS_FULL,
	CACHE_STAT_DIRECT_FULL,
	CACHE_STAT_PATHS_LOST,
	CACHE_STAT_DIRECT_UNENDED, /* direct I/O whose end was not seen: bytes missing */
	CACHE_STAT_CALLS_BROKEN,   /* a read without a return: missed by the kernel's probe */
	CACHE_STAT_COUNT,
};

/* Follows on enum event_type: the name of a file that got a row. */
#define EVENT_CACHE_PATH 100
#define CACHE_NAMES	 2048 /* bytes */

struct cache_path_event {
	struct event ev;
	struct cache_key key;
	__u32 mode;		       /* of the inode */
	__u32 rdev;		       /* block devices: which */
	__u32 len;		       /* of names */
	__u32 cut;		       /* the path has more components */
	char names[CACHE_NAMES + 256]; /* leaf first, each with its NUL */
};

#define CACHE_PATH_HEADER 56u

_Static_assert(sizeof(struct cache_counters) == 128, "cache_counters");
_Static_assert(sizeof(struct cache_row) == 128, "cache_row");
_Static_assert(sizeof(struct cache_name) == 20, "cache_name");
_Static_assert(__builtin_offsetof(struct cache_path_event, names) == CACHE_PATH_HEADER,
	       "cache_path_event");

#endif
