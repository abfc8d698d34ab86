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

#endif
