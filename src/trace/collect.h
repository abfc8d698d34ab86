/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * collect.h - what the kernel keeps for us. BPF maps are read by batches of a few thousand
 * elements where the kernel has them for the map (v5.6), element by element otherwise.
 */
#ifndef MEMTALLY_COLLECT_H
#define MEMTALLY_COLLECT_H

#include "lib/lib.h"
#include "abi.h"

struct bpf_object;
struct bpf_program;

struct collect_map {
	int fd;
	size_t key_size, value_size;
};

/*
 * Walks a hash map. Elements that come or go meanwhile may be seen or not, none is seen
 * twice within a bucket. A non-zero result of fn ends the walk. 0, what fn returned, or
 * -errno.
 */
int collect_each(const struct collect_map *map,
		 int (*fn)(const void *key, const void *value, void *arg), void *arg);
/*
 * The same, one by one, for maps that nobody deletes from meanwhile: in a batch the kernel may
 * go over thousands of empty buckets and keeps programs of perf events and classic
 * tracepoints from being run (bpf/turns.bpf.h).
 */
int collect_each_gently(const struct collect_map *map,
			int (*fn)(const void *key, const void *value, void *arg), void *arg);

/* Outstanding blocks of a site; in SAMPLE_UNITs when sampling. */
int64_t collect_count(const struct site *s);

/* Mean age of a site's outstanding blocks, ns, exact to about 1 ms without a walk. */
uint64_t collect_mean_age(const struct site *s, uint64_t now_ns);

/*
 * For a walk of sites; arg: struct site_list, to which it is added, and whose array is freed
 * by the caller. Rows are made of such a list once the event ring was read after it: the
 * stack of a site that came just before is there then. 0 or -ENOMEM.
 */
struct site_list {
	struct site_entry {
		uint64_t id;
		struct site site;
	} * v;
	size_t n, cap;
};
int collect_site(const void *key, const void *value, void *arg);

/*
 * For a walk of sites; arg: uint64_t, to which the outstanding blocks of a site are added whose
 * stack found no room in the event ring so far. 0.
 */
int collect_unsent(const void *key, const void *value, void *arg);

/* Sums a per-CPU array of n u64 counters into ret[n]. 0 or -errno. */
int collect_stats(int fd, uint64_t *ret, size_t n);

/* What the kernel accounts for all maps (memlock in fdinfo), bytes; what it does not say is 0. */
uint64_t collect_map_bytes(const struct bpf_object *obj);

/* Of one program; times need bpf_enable_stats(). */
struct program_counts {
	uint64_t runs, run_ns;
	uint64_t misses; /* runs that the kernel skipped: recursion */
};

/* Zeros where it is not loaded. */
struct program_counts collect_program(const struct bpf_program *p);
/* Of all programs. */
uint64_t collect_run_ns(const struct bpf_object *obj);
/*
 * Misses of all programs but those of which exempt() is true (NULL: of none), less those that
 * later programs of the same events made up for (bpf/turns.bpf.h; STAT_EVENTS_SAVED in the map
 * stats_fd), whose own misses are none then. known: what it was before. A task that was preempted
 * between the programs of an event has missed the first and not come to the others, so where it is
 * more than that it is read again, for 70 ms at most: of what was missed when it began, the
 * result may be too much, never too little.
 */
uint64_t collect_misses(const struct bpf_object *obj, bool (*exempt)(const struct bpf_program *p),
			int stats_fd, uint64_t known);

#endif
