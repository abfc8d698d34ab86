/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind_objects.h - the table `unwind_objects` of bpf/unwind.bpf.h: the walk finds an
 * object there by the inode of a mapping that it has to look up in the kernel.
 */
#ifndef MEMTALLY_TRACE_UNWIND_OBJECTS_H
#define MEMTALLY_TRACE_UNWIND_OBJECTS_H

#include "lib/object.h"
#include "unwind.h"

/* Where an object's table lies in the arrays. */
struct unwind_place {
	uint64_t first; /* vaddr of the first covered byte */
	uint32_t block, n_blocks;
};

/*
 * Enters an object under the numbers that fstat() gives and, where they differ (btrfs), a
 * mapping of ours shows. 0, -ENOENT if nothing of it is executable, -E2BIG if the table is
 * full, -errno.
 */
int unwind_objects_add(int map, const struct object *o, const struct unwind_place *place);
/* Also under the numbers of a mapping, if they are others. As above. */
int unwind_objects_alias(int map, const struct object *o, const struct unwind_place *place,
			 const struct mapping *m);
/*
 * Same build: the id agrees and, as anyone can write an id, the layout too. Saves the
 * tables of the same library in other containers.
 */
bool unwind_objects_same_build(const struct object *a, const struct object *b);

/*
 * Before load: what the walk may ask of this kernel. Leaves mode and max_frames alone.
 * may_wait: a thread that runs through a file never seen before is held up until its table
 * is there, 4 ms at most and once per file; not for programs that run with interrupts off.
 */
void unwind_configure(struct unwind_cfg *cfg, bool may_wait);

#endif
