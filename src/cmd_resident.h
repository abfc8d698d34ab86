/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_resident.h - `memtally resident`: how much of which file is in the page cache.
 * cmd_resident.c runs it, resident_scan.c finds the files, resident_stat.c asks the
 * kernel about one, resident_print.c writes. Nothing is read from a file, mapped pages
 * are never touched: looking changes nothing.
 */
#ifndef MEMTALLY_CMD_RESIDENT_H
#define MEMTALLY_CMD_RESIDENT_H

#include <sys/types.h>

#include "lib/opts_common.h"

#define RESIDENT_CELLS 60

enum resident_sort {
	RESIDENT_SORT_CACHED,
	RESIDENT_SORT_SIZE,
	RESIDENT_SORT_PERCENT,
	RESIDENT_SORT_DIRTY,
};

struct resident_opts {
	struct common_opts common; /* sort: enum resident_sort */
	struct opt_list files;
	bool map;
};

struct resident_pages {
	uint64_t cached, dirty, writeback, evicted, recently_evicted;
	bool only_cached; /* by mincore: the others are not known */
};

struct resident_file {
	char *path;
	dev_t dev;
	ino_t ino;
	uint64_t size, pages; /* bytes; pages that it has */
	struct resident_pages n;
	uint8_t map[RESIDENT_CELLS]; /* --map: percent of each part */
};

struct resident_files {
	struct resident_file *v;
	size_t n, cap;
	bool map;
	void *known;	     /* tsearch() tree of device and inode: a file counts once */
	uint64_t unreadable; /* files that could not be asked about */
	int first_err;	     /* of the first of them */
	char *first_path;
	uint64_t vanished;
	uint64_t seen; /* processes looked at */
};

/*
 * Asks about an open regular file; the descriptor must be for reading. 0; -EPERM if the
 * kernel does not tell this user; -errno.
 */
int resident_stat(int fd, struct resident_file *f, bool map);

/* Adds a file or all regular files below a directory, not crossing into mounts. */
int resident_add_path(struct resident_files *all, const char *path);
/* Adds what a process has open or mapped. 0, -ESRCH, -EACCES or -ENOMEM. */
int resident_add_pid(struct resident_files *all, pid_t pid);
/* Adds what any process has open or mapped. */
int resident_add_all(struct resident_files *all);
void resident_files_deinit(struct resident_files *all);

int resident_print_text(const struct resident_opts *o, const struct resident_files *all, FILE *out);
/* The `file` lines; start, losses and end are the view's. */
int resident_print_json(const struct resident_opts *o, const struct resident_files *all, FILE *out);

#endif
