/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * maps.h - the mappings of one process as plain data: read from /proc/PID/maps at
 * attach, kept up to date afterwards by mmap events. Sorted by start, no overlaps.
 */
#ifndef MEMTALLY_MAPS_H
#define MEMTALLY_MAPS_H

#include <sys/types.h>

#include "lib/lib.h"

enum { MAP_READ = 1, MAP_WRITE = 2, MAP_EXEC = 4, MAP_SHARED_VM = 8 };

struct mapping {
	uint64_t start, end;
	uint64_t offset; /* bytes into the file */
	uint64_t inode;	 /* 0: anonymous */
	uint32_t dev_major, dev_minor;
	uint32_t prot; /* MAP_* above */
	bool deleted;  /* the path had " (deleted)" behind it */
	char *path;    /*
			* owned; seen from our root if reachable (chroot), else from the root of
			* its mount namespace; "" if anonymous, "[vdso]", "[heap]"...
			*/
};

struct maps {
	struct mapping *v;
	size_t n, cap;
};

/*
 * Parses the text of /proc/PID/maps (any bytes; octal escapes \012 undone). Returns
 * 0, -EBADMSG or -ENOMEM. *ret is then owned by the caller: maps_deinit().
 */
int maps_parse(const char *text, size_t len, struct maps *ret);
/* Reads /proc/PID/maps: -ESRCH if the process is gone; empty for kernel threads. */
int maps_read(pid_t pid, struct maps *ret);
/* The mapping that holds addr, or NULL. Valid until the next change of *m. */
const struct mapping *maps_find(const struct maps *m, uint64_t addr);
/*
 * Lays *add over the table as MAP_FIXED does: what it covers is cut or split. The
 * path is copied. 0 or -ENOMEM (table then unchanged).
 */
int maps_insert(struct maps *m, const struct mapping *add);
/* Deep copy, for fork. */
int maps_copy(const struct maps *m, struct maps *ret);
void maps_deinit(struct maps *m);

#endif
