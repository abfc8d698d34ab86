/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * perfmap.h - names of JIT code from /tmp/perf-PID.map, lines of "START SIZE name" with
 * hex numbers (linux/tools/perf/Documentation/jit-interface.txt). The runtime appends
 * to the file while it runs; newer lines replace older ones at the same place.
 */
#ifndef MEMTALLY_SYM_PERFMAP_H
#define MEMTALLY_SYM_PERFMAP_H

#include <sys/types.h>

#include "lib/lib.h"

struct sym_perfmap;

/*
 * Takes over text (malloc'ed, text[len] == '\0') also on failure. Lines that do not
 * parse are left out (the last one may be half written). -ENOMEM.
 */
int sym_perfmap_new(char *text, size_t len, struct sym_perfmap **ret);
void sym_perfmap_free(struct sym_perfmap *p);
/* Name as long as the map lives; -ENOENT. */
int sym_perfmap_find(const struct sym_perfmap *p, uint64_t address, const char **ret_name,
		     uint64_t *ret_start);

/* What to recognise a changed file by. */
struct sym_perfmap_version {
	uint64_t inode, bytes;
	int64_t mtime_ns;
};

/*
 * Reads the map of a process, as the process sees it: its mount namespace, its own idea
 * of its pid. It is refused (-EPERM) unless it is a plain file that belongs to root or
 * to the user of the process, or (-EFBIG) above 64 MiB. -EALREADY: still *version.
 * *version is updated on success.
 */
int sym_perfmap_read(pid_t pid, struct sym_perfmap_version *version, struct sym_perfmap **ret);

#endif
