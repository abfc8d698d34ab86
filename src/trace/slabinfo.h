/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slabinfo.h - what the kernel itself says of its memory, without a probe: slab caches and
 * their merged names, vmalloc areas by caller, free pages kept per CPU.
 */
#ifndef MEMTALLY_SLABINFO_H
#define MEMTALLY_SLABINFO_H

#include "lib/lib.h"
#include "lib/strlist.h"

/* One line of /proc/slabinfo, or one caller of /proc/vmallocinfo. */
struct slab_counter {
	char name[64];
	uint64_t objects;      /* in use, as the kernel counts: with those cached per CPU */
	uint64_t object_bytes; /* vmalloc: 0 */
	uint64_t bytes;	       /* of the pages behind it */
};

struct slab_counters {
	struct slab_counter *v;
	size_t n, cap;
};

void slab_counters_deinit(struct slab_counters *c);

/*
 * Each parses the text of its file (NUL-terminated, changed in place) into *ret, sorted by
 * name. 0, -EBADMSG when the heading is unknown, -ENOMEM.
 */
int slabinfo_parse(char *text, uint64_t page_bytes, struct slab_counters *ret);
int vmallocinfo_parse(char *text, uint64_t page_bytes, struct slab_counters *ret);

int slabinfo_read(struct slab_counters *ret);	 /* -EACCES and the like too */
int vmallocinfo_read(struct slab_counters *ret); /* needs root */
/* NULL if there is none of that name. */
const struct slab_counter *slab_counters_find(const struct slab_counters *c, const char *name);

/* Pages on the per-CPU free lists: the sum of "count:" in the text of /proc/zoneinfo. */
uint64_t zoneinfo_percpu_pages(const char *text);

/*
 * Caches that share one by merging. Each other name of the cache `name` (a cache or an
 * alias of one) is added to *ret. dir: /sys/kernel/slab. 0, or -errno: names are then not
 * known.
 */
int slab_aliases(const char *dir, const char *name, struct strlist *ret);

#endif
