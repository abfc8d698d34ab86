/* SPDX-License-Identifier: GPL-2.0-or-later */
/* walk_record.h - what unwind.bpf.c sends to its driver. */
#ifndef MEMTALLY_TESTS_WALK_RECORD_H
#define MEMTALLY_TESTS_WALK_RECORD_H

#include "unwind.h"

struct walk_head {
	__u64 seq; /* argument of the probed function; fault address; time of an mmap */
	__u32 pid, tid;
	__u64 hash;
	__u32 n, status, flags; /* n 0: an executable mapping was made */
	__u32 stopped;		/* the process stops itself behind this */
};

struct walk_record {
	struct walk_head head;
	__u64 pcs[UNWIND_MAX_FRAMES];
};

struct walk_totals {
	__u64 hits, frames, no_storage, dropped, new_stacks;
	__u64 status[WALK_STATUSES];
	__u64 busy, new_file; /* WALK_FLAG_BUSY, WALK_FLAG_NEW */
};

#endif
