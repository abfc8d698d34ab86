/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwinder.h - keeps the tables of bpf/unwind.bpf.h filled: each object is compiled once,
 * whoever maps it, and each process has a slice of sorted mappings.
 *
 * Order of calls: unwinder_new(), unwinder_prepare() for every process known so far,
 * unwinder_size_maps(), load, unwinder_publish(), then unwinder_update() for each
 * process now and whenever its executable mappings change.
 */
#ifndef MEMTALLY_TRACE_UNWINDER_H
#define MEMTALLY_TRACE_UNWINDER_H

#include "lib/maps.h"
#include "lib/object.h"
#include "unwind.h"

struct bpf_object;
struct unwinder;

struct unwinder_stats {
	uint64_t objects;	  /* compiled, once per build id */
	uint64_t objects_without; /* have no unwind information: frame pointers only */
	uint64_t objects_bad;	  /* unreadable or damaged */
	uint64_t objects_full;	  /* loss: did not fit into rows or blocks */
	uint64_t mappings_full;	  /* loss: processes or mappings that did not fit */
	uint64_t files_full;	  /* not found by inode: cut stacks until their slice is there */
	uint64_t rules_full;	  /* loss: rows whose rule did not fit */
	uint64_t bad_functions;	  /* functions whose description is damaged */
	uint64_t unsupported;	  /* rows that end a walk */
	uint64_t rows, rows_max, blocks, blocks_max, rules, mappings, mappings_max;
	uint64_t bytes;	   /* of kernel memory */
	uint64_t parse_ns; /* spent reading and compiling */
};

/* objects must outlive the unwinder. NULL without memory. */
struct unwinder *unwinder_new(struct objects *objects);
void unwinder_free(struct unwinder *u);

/* Compiles what a process maps, ahead of sizing. 0 or -ENOMEM. */
int unwinder_prepare(struct unwinder *u, pid_t pid, const struct maps *maps);
/* Compiles one object that is about to be mapped. 0 or -ENOMEM. */
int unwinder_prepare_object(struct unwinder *u, struct object *o);
/*
 * Sizes the arrays of a BPF object that is not loaded yet: what is prepared and room for
 * objects and processes to come. headroom_rows 0: a quarter more, at least 512 Ki rows
 * (4 MiB). 0, -ENOENT if the object does not include unwind.bpf.h, or what libbpf says.
 */
int unwinder_size_maps(struct unwinder *u, struct bpf_object *obj, size_t headroom_rows);
/* After load: maps the arrays and fills them. 0 or -errno. */
int unwinder_publish(struct unwinder *u, struct bpf_object *obj);

/*
 * Makes the slice for the mappings of a process; new objects are compiled and published
 * first. old: what an earlier update gave for this process (NULL: first time), given
 * back in exchange; a slice that a forked child's map entry was copied from needs no
 * mention. *ret must be visible to BPF, or *old out of its sight, before the next call:
 * only then may the place of the old slice be used again. Failures are -ENOSPC (the
 * slice array is full; counted; *old stays owned) and -ENOMEM.
 */
int unwinder_update(struct unwinder *u, pid_t pid, const struct maps *maps,
		    const struct unwind_slice *old, struct unwind_slice *ret);
/* Gives a slice back after its process entry is deleted. */
void unwinder_forget(struct unwinder *u, const struct unwind_slice *slice);

void unwinder_stats(const struct unwinder *u, struct unwinder_stats *ret);

#endif
