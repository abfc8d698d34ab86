/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resident_abi.h - what bpf/resident.bpf.c writes: one record for each file of each task. */
#ifndef RESIDENT_ABI_H
#define RESIDENT_ABI_H

#include <linux/types.h>

#define RESIDENT_PATH 4096

/* Followed by `len` bytes of path with its NUL (0: it has none that is short enough). */
struct resident_record {
	__u64 pages;	  /* in the page cache; 0: of overlayfs, not known */
	__u64 size;	  /* bytes */
	__u64 ino;	  /* of the file with the pages: below overlayfs the real one */
	__u64 own_ino;	  /* of the file that was opened */
	__u64 start, end; /* of the mapping; 0: a descriptor */
	__u32 dev;	  /* kernel's dev_t, major << 20 | minor */
	__u32 pid;	  /* thread, in the initial pid namespace */
	__u32 fd;
	__u32 len;
};

_Static_assert(sizeof(struct resident_record) == 64, "resident_record");

#endif
