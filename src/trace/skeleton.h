/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * skeleton.h - opening a BPF object that was built twice: as it is, and for kernels before
 * v5.13, or without exchanging instructions, which refuse some code even where it never
 * runs (bpf/compat.bpf.h, COMPAT_OLD).
 * Both have the same maps and programs, so that one skeleton serves them.
 */
#ifndef MEMTALLY_SKELETON_H
#define MEMTALLY_SKELETON_H

#include <stdbool.h>
#include <stddef.h>

struct bpf_object_skeleton;

/* A constant must lie at the same place in both; for each one that user space sets. */
#define SKELETON_SAME(name, constant)                                             \
	_Static_assert(offsetof(struct name##_bpf__rodata, constant) ==           \
			       offsetof(struct name##_old_bpf__rodata, constant), \
		       #constant)

/* Does the kernel need the objects that were built for old ones? */
bool skeleton_is_old(void);

/*
 * Opens s, or with is_old the object in old[0 .. old_size), which must stay. 0 or -errno; s is
 * the caller's in any case.
 */
int skeleton_open(struct bpf_object_skeleton *s, bool is_old, const void *old, size_t old_size);

#endif
