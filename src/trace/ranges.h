/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ranges.h - mapped memory as ranges of addresses, for one process image. mmap may lay a
 * range over others, munmap may cut a hole or span several, mremap moves or resizes: all of
 * it is set arithmetic on a sorted table. A range knows the site that made it; what was
 * there before we came, and file-backed memory, has none and counts nowhere.
 */
#ifndef MEMTALLY_RANGES_H
#define MEMTALLY_RANGES_H

#include "lib/lib.h"

#define RANGE_UNCOUNTED 0ULL /* site of ranges that are not the program's to answer for */

struct range {
	uint64_t start, end;
	uint64_t site;
	uint64_t born_ns;
	uint64_t first; /* start of the mmap it is a rest of: rests count as one allocation */
};

struct ranges;

struct ranges *ranges_new(void);
void ranges_free(struct ranges *r);

/* Lays a range over whatever is there. Lengths are rounded up to pages. 0 or -ENOMEM. */
int ranges_map(struct ranges *r, uint64_t start, uint64_t length, uint64_t site, uint64_t born_ns);
/* munmap or the old half of mremap by thread tid; kept aside until undone or superseded. */
int ranges_unmap(struct ranges *r, uint32_t tid, uint64_t start, uint64_t length);
/* The thread's pending unmap failed in the kernel: what it removed is put back. */
int ranges_undo(struct ranges *r, uint32_t tid);
/*
 * The thread's pending mremap succeeded: counted memory is charged to `site` anew; memory
 * that was there before us stays uncounted, only its growth is charged.
 */
int ranges_remap(struct ranges *r, uint32_t tid, uint64_t start, uint64_t length, uint64_t site,
		 uint64_t born_ns);

/* Is any of the memory the program's? */
bool ranges_counted(const struct ranges *r);
size_t ranges_count(const struct ranges *r);
const struct range *ranges_at(const struct ranges *r, size_t i);

#endif
