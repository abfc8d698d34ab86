/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_resident.h - `memtally resident`: how much of which file is in the page cache.
 * cmd_resident.c runs it, resident_opts.c has the options, resident_scan.c and
 * resident_iter.c find the files, resident_stat.c asks the kernel about one,
 * resident_print.c writes. Nothing is read from a file, mapped pages
 * are never touched: looking changes nothing.
 */
#ifndef MEMTALLY_CMD_RESIDENT_H
#define MEMTALLY_CMD_RESIDENT_H

#include <sys/sysmacros.h>
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

extern const struct opts_spec resident_spec;

/* Where numbers come from; only the first knows more than how many pages are there. */
enum resident_method {
	RESIDENT_CACHESTAT,
	RESIDENT_MINCORE,
	RESIDENT_ITERATOR, /* the kernel's own count, of a file that could not be asked about */
	RESIDENT_BLOCKS,   /* hugetlbfs: what the file has allocated */
};

struct resident_pages {
	enum resident_method method;
	uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

/* Through whom a file can be reached: the mapping, or the descriptor if end is 0. */
struct resident_holder {
	pid_t pid;
	uint32_t fd;
	uint64_t start, end;
	ino_t ino; /* of the file there; differs from the real one on overlayfs */
};

struct resident_file {
	char *path;
	dev_t dev;
	ino_t ino;
	uint64_t size, pages; /* bytes; pages that it has */
	struct resident_pages n;
	struct resident_holder holder; /* RESIDENT_ITERATOR */
	uint8_t map[RESIDENT_CELLS];   /* --map: percent of each part */
};

struct resident_files {
	struct resident_file *v;
	size_t n, cap;
	uint64_t page_size; /* bytes */
	bool map;
	bool by_iterator;
	bool only_cached;    /* files without a page in the cache are left out */
	dev_t asked_dev;     /* the last file system asked about */
	bool made_up;	     /* its answer: its files have no page cache */
	void *known;	     /* tsearch() tree of device and inode: a file counts once */
	uint64_t unreadable; /* files that could not be asked about */
	int first_err;	     /* of the first of them */
	char *first_path;
	uint64_t vanished;
};

/*
 * Asks about an open regular file; the descriptor must be for reading. 0; -EPERM if the
 * kernel does not tell this user; -errno.
 */
int resident_stat(int fd, struct resident_file *f, bool map);

/*
 * Adds a file, a block device or all regular files below a directory, not crossing into
 * mounts. 0; -EOPNOTSUPP: it is something that has no page cache; -errno.
 */
int resident_add_path(struct resident_files *all, const char *path);
/* Adds what a process has open or mapped. 0, -ESRCH, -EACCES or -ENOMEM. */
int resident_add_pid(struct resident_files *all, pid_t pid);
/* Adds what any process has open or mapped and cached, by looking through /proc. */
int resident_add_all(struct resident_files *all);
/* Adds *f under this name (copied), unless it is there already. 0 or -ENOMEM. */
int resident_add(struct resident_files *all, const struct resident_file *f, const char *path);

/* Whether this user and this kernel have the iterators. */
bool resident_iter_usable(void);
/* As resident_add_all(), by the kernel's iterators; they give only sizes and counts. */
int resident_iter(struct resident_files *all);
/* Asks about a file that an iterator found. -ESTALE: it is no longer there. */
int resident_complete(struct resident_file *f, bool map);

const char *resident_method_name(enum resident_method m);
void resident_files_deinit(struct resident_files *all);

int resident_print_text(const struct resident_opts *o, const struct resident_files *all, FILE *out);
/* The `file` lines; start, losses and end are the view's. */
int resident_print_json(const struct resident_opts *o, const struct resident_files *all, FILE *out);

#endif
