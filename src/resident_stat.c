/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One file's pages: by cachestat(2) (v6.5, cf264e1329fb), else by mincore(2), which knows
 * only which pages are there, and tells that to the file's owner and to who may write it;
 * others would be told that all are (v5.2, 134fca9063ad), so they are refused here.
 */
#include <errno.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "cmd_resident.h"
#include "trace/features.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

#define WINDOW (64ULL << 20) /* bytes mapped at once for mincore */

/* As the system call has them; len 0: to the end. */
struct cachestat_range {
	uint64_t off, len;
};

struct cachestat_result {
	uint64_t cache, dirty, writeback, evicted, recently_evicted;
};

static int by_cachestat(int fd, uint64_t off, uint64_t len, struct resident_pages *ret)
{
	struct cachestat_range range = {off, len};
	struct cachestat_result r;

	if (syscall(SYS_cachestat, fd, &range, &r, 0))
		return -errno;
	*ret = (struct resident_pages){
		.cached = r.cache,
		.dirty = r.dirty,
		.writeback = r.writeback,
		.evicted = r.evicted,
		.recently_evicted = r.recently_evicted,
	};
	return 0;
}

static bool mincore_tells(int fd)
{
	struct stat st;
	char path[64];

	if (!geteuid())
		return true;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return (!fstat(fd, &st) && st.st_uid == geteuid()) || !access(path, W_OK);
}

static int mincore_window(int fd, uint64_t off, size_t len, uint64_t *cached)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = (len + page - 1) / page;
	_cleanup_free_ unsigned char *in = malloc(n);
	void *map;
	int err = 0;

	if (!in)
		return -ENOMEM;
	map = mmap(NULL, len, PROT_NONE, MAP_SHARED, fd, (off_t)off);
	if (map == MAP_FAILED)
		return -errno;
	if (mincore(map, len, in))
		err = -errno;
	munmap(map, len);
	for (size_t i = 0; i < n && !err; i++)
		*cached += in[i] & 1;
	return err;
}

static int by_mincore(int fd, uint64_t off, uint64_t len, struct resident_pages *ret)
{
	uint64_t cached = 0;
	int err = mincore_tells(fd) ? 0 : -EPERM;

	for (uint64_t at = 0; at < len && !err; at += WINDOW)
		err = mincore_window(fd, off + at, (size_t)MIN(WINDOW, len - at), &cached);
	if (err)
		return err;
	*ret = (struct resident_pages){.method = RESIDENT_MINCORE, .cached = cached};
	return 0;
}

static bool is_on(int fd, long magic)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && (long)fs.f_type == magic;
}

/*
 * cachestat(2) refuses hugetlbfs, whose pages are in no page cache and not evicted; mincore(2)
 * says that none is there.
 */
static int by_blocks(int fd, const struct resident_file *f, struct resident_pages *ret)
{
	struct stat st;

	if (!is_on(fd, HUGETLBFS_MAGIC) || fstat(fd, &st))
		return -EOPNOTSUPP;
	*ret = (struct resident_pages){
		.method = RESIDENT_BLOCKS,
		.cached = f->size ? (uint64_t)st.st_blocks * 512 * f->pages / f->size : 0,
	};
	return 0;
}

/*
 * On overlayfs cachestat(2) may look at the overlay's own inode, which has no pages; what
 * is mapped is the real file.
 */
static int pages_of(int fd, uint64_t off, uint64_t len, struct resident_pages *ret)
{
	struct resident_pages n;
	int err;

	if (!feature_has(FEATURE_CACHESTAT))
		return is_on(fd, HUGETLBFS_MAGIC) ? -EOPNOTSUPP : by_mincore(fd, off, len, ret);
	err = by_cachestat(fd, off, len, &n);
	if (!err && !n.cached && is_on(fd, OVERLAYFS_SUPER_MAGIC))
		return by_mincore(fd, off, len, ret);
	if (!err)
		*ret = n;
	return err;
}

/* Parts of whole pages; a file of fewer pages than cells repeats them. */
static int fill_map(int fd, struct resident_file *f, uint64_t page)
{
	struct resident_pages n;
	int err = 0;

	for (uint64_t i = 0; i < RESIDENT_CELLS && f->pages && !err; i++) {
		uint64_t from = i * f->pages / RESIDENT_CELLS;
		uint64_t to = MAX((i + 1) * f->pages / RESIDENT_CELLS, from + 1);

		err = pages_of(fd, from * page, MIN(to * page, f->size) - from * page, &n);
		if (!err)
			f->map[i] = (uint8_t)(MIN(n.cached, to - from) * 100 / (to - from));
	}
	return err;
}

static int size_of(int fd, struct resident_file *f)
{
	struct stat st;
	off_t end;

	if (fstat(fd, &st))
		return -errno;
	end = S_ISBLK(st.st_mode) ? lseek(fd, 0, SEEK_END) : st.st_size;
	if (end < 0)
		return -errno;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->size = (uint64_t)end;
	return 0;
}

int resident_stat(int fd, struct resident_file *f, bool map)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int err = size_of(fd, f);

	if (err)
		return err;
	f->pages = (f->size + page - 1) / page;
	if (!f->size)
		return 0;
	err = pages_of(fd, 0, f->size, &f->n);
	if (err == -EOPNOTSUPP)
		return by_blocks(fd, f, &f->n);
	if (!err && map)
		err = fill_map(fd, f, page);
	return err;
}

const char *resident_method_name(enum resident_method m)
{
	static const char *const names[] = {"cachestat", "mincore", "iterator", "blocks"};

	return names[m];
}
