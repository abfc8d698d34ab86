/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/object_open.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

int open_regular_file(const char *path, struct stat *ret_st)
{
	_cleanup_close_ int handle = open(path, O_PATH | O_CLOEXEC);
	char self[64];
	int fd;

	if (handle < 0 || fstat(handle, ret_st))
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -ENOEXEC;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", handle);
	fd = open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

static bool same_device(const struct mapping *m, const struct stat *st)
{
	return major(st->st_dev) == m->dev_major && minor(st->st_dev) == m->dev_minor;
}

static bool same_file(const struct mapping *m, const struct stat *st)
{
	return same_device(m, st) && st->st_ino == m->inode;
}

static int open_map_file(pid_t pid, const struct mapping *m, struct stat *ret_st)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", (int)pid, m->start, m->end);
	fd = open_regular_file(path, ret_st);
	/* Another file at the same addresses by now? Told only where the devices compare. */
	if (fd >= 0 && same_device(m, ret_st) && ret_st->st_ino != m->inode) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

/*
 * The kernel prints the path as seen from our root where it can be reached from there
 * (a chroot below it), else from the root of the other mount namespace.
 */
static int open_path(pid_t pid, const struct mapping *m, struct stat *ret_st)
{
	_cleanup_free_ char *path = NULL;
	size_t root;
	int fd;

	if (m->path[0] != '/' || m->deleted)
		return -ESTALE;
	if (asprintf(&path, "/proc/%d/root%s", (int)pid, m->path) < 0)
		return -ENOMEM;
	root = strlen(path) - strlen(m->path);
	for (int i = 0; i < 2; i++) {
		fd = open_regular_file(i ? path + root : path, ret_st);
		if (fd >= 0 && same_file(m, ret_st))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -ESTALE;
}

/* The mapping was split or merged since: map_files only has today's ranges. */
static int open_current_map(pid_t pid, const struct mapping *m, struct stat *ret_st)
{
	_cleanup_(maps_deinit) struct maps maps = {};
	const struct mapping *now;
	int err = maps_read(pid, &maps);

	if (err)
		return err;
	now = maps_find(&maps, m->start);
	if (!now || !now->inode || (strcmp(now->path, m->path) && now->inode != m->inode))
		return -ESTALE;
	return open_map_file(pid, now, ret_st);
}

int open_mapping_file(pid_t pid, const struct mapping *m, struct stat *ret_st)
{
	int fd = open_map_file(pid, m, ret_st), later;

	if (fd >= 0 || fd == -EMFILE || fd == -ENFILE)
		return fd;
	later = open_path(pid, m, ret_st);
	if (later < 0)
		later = open_current_map(pid, m, ret_st);
	if (later >= 0 || later == -ESRCH)
		return later;
	return fd == -ENOENT ? -ESTALE : fd;
}
