/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot.h - plain data that passes between rooms: frames with names, rows of a
 * report. No behaviour here.
 */
#ifndef MEMTALLY_SNAPSHOT_H
#define MEMTALLY_SNAPSHOT_H

#include "lib/lib.h"

struct frame {
	uint64_t address;	/* as the stack walk gave it (a return address is not lowered) */
	const char *function;	/* demangled, or NULL */
	uint64_t offset;	/* address - start of function; 0 if inlined */
	const char *object;	/* path, "[kernel]", module, "[vdso]", "[jit]", or NULL */
	const char *build_id;	/* hex, or NULL */
	uint64_t object_offset; /* offset in the file of the looked-up address */
	const char *file;	/* source file, or NULL */
	int line;		/* 0: unknown */
	bool inlined;
};

/* same order as the BPF side's WALK_* */
enum stack_status {
	STACK_COMPLETE,
	STACK_DEPTH,
	STACK_NO_MAPPING,
	STACK_NO_ROW,
	STACK_UNSUPPORTED,
	STACK_FAULT,
	STACK_NONE, /* stack could not be kept; counted as a loss */
};

struct block {
	uint64_t address, bytes;
	uint64_t age_ns;
};

#define AGE_UNKNOWN UINT64_MAX

struct row {
	int pid, tid;	  /* tid 0: all threads */
	const char *comm; /* any bytes */
	const char *kind; /* "malloc", "mmap", "slab", ... */
	/* kernel memory; NULL where it does not apply */
	const char *cache;  /* slab cache */
	const char *gfp;    /* flags of the first allocation */
	int order;	    /* of pages, with gfp */
	const char *cgroup; /* of the first allocation's task */
	uint64_t cgroup_id; /* the same, unresolved; 0: none */
	uint64_t bytes, count;
	bool estimated; /* sampled and rescaled */
	bool has_ages;	/* blocks were walked: max and p50 are exact */
	uint64_t age_mean_ns, age_max_ns, age_p50_ns; /* p50: AGE_UNKNOWN once merged */
	uint64_t allocs, frees;	      /* calls since counting began; rates are made of them */
	double alloc_rate, free_rate; /* calls per second since the last report */
	double growth_rate;	      /* bytes per second since the last report */
	const char *verdict;	      /* or NULL */
	enum stack_status status;
	uint64_t stack_id;
	uint64_t *addresses; /* raw stack, leaf first */
	size_t n_addresses;
	uint64_t user_stack;  /* kernel memory: its id, whose frames follow; 0: none */
	bool leaf_is_return;  /* addresses[0] is a return address too */
	struct frame *frames; /* filled for printed rows only */
	size_t n_frames;
	struct block *blocks; /* -a only, oldest first; malloc'ed */
	size_t n_blocks;
};

struct loss {
	const char *name; /* JSON key */
	uint64_t count;
	const char *what; /* one line for people */
	const char *cure; /* option or action that cures it */
};

#endif
