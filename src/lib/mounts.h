/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mounts.h - what is mounted where, as this process sees it. */
#ifndef MEMTALLY_MOUNTS_H
#define MEMTALLY_MOUNTS_H

#include "lib/lib.h"

struct mount {
	unsigned int major, minor;
	const char *root; /* directory of the file system that is shown */
	const char *at;	  /* where */
	const char *type; /* "ext4" */
};

/*
 * Calls fn for every line of /proc/self/mountinfo (names unescaped, valid during the call)
 * until it returns true. 1: it did; 0: it never did; -errno.
 */
int mounts_each(bool (*fn)(const struct mount *m, void *arg), void *arg);

#endif
