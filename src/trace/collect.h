/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * collect.h - BPF maps into arrays: by batches of a few thousand elements where the kernel
 * has them for the map (v5.6), element by element otherwise.
 */
#ifndef MEMTALLY_COLLECT_H
#define MEMTALLY_COLLECT_H

#include "lib/lib.h"
#include "abi.h"

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

/* Outstanding blocks of a site; in SAMPLE_UNITs when sampling. */
int64_t collect_count(const struct site *s);

/* Mean age of a site's outstanding blocks, ns, exact to about 1 ms without a walk. */
uint64_t collect_mean_age(const struct site *s, uint64_t now_ns);

/* Sums a per-CPU array of n u64 counters into ret[n]. 0 or -errno. */
int collect_stats(int fd, uint64_t *ret, size_t n);

/*
 * What the kernel accounts for a map (memlock in fdinfo), bytes; 0 if it does not say.
 */
uint64_t collect_map_bytes(int fd);

#endif
