/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The id of a cgroup is the inode number of its directory and, alone, its file handle
 * (kernfs_encode_fh, v5.5, 33c5ac9175195). Opening by handle takes one step but needs
 * CAP_DAC_READ_SEARCH; who lacks it walks the tree.
 */
#include "lib/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>

#include "lib/mounts.h"

#define FILEID_KERNFS 0xfe

/* What of the path is below the mount point; NULL: it is not there. */
static char *below(const char *mount, const char *path)
{
	size_t n = strlen(mount);

	if (strncmp(path, mount, n) != 0 || (path[n] && path[n] != '/'))
		return NULL;
	return strdup(path[n] ? path + n : "/");
}

/* 0 or -ENOENT; another error: handles do not work here. */
static int by_handle(const char *mount, uint64_t id, char **ret)
{
	struct {
		struct file_handle h;
		uint64_t id;
	} handle = {.h = {.handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS}};
	_cleanup_close_ int at = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	char link[64], path[4096];
	ssize_t n;

	memcpy(handle.h.f_handle, &id, sizeof(id));
	if (at >= 0)
		fd = open_by_handle_at(at, &handle.h, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ESTALE ? -ENOENT : -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	*ret = below(mount, path);
	return *ret ? 0 : -ENOENT;
}

static int by_walk(const char *mount, uint64_t id, char **ret)
{
	char *const roots[] = {(char *)mount, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	FTSENT *e;

	if (!fts)
		return -errno;
	while (!*ret && (e = fts_read(fts)))
		if (e->fts_info == FTS_D && e->fts_statp->st_ino == id)
			*ret = below(mount, e->fts_path);
	fts_close(fts);
	return *ret ? 0 : -ENOENT;
}

struct search {
	uint64_t id;
	char *path;
	int err;
};

static bool on_mount(const struct mount *m, void *arg)
{
	struct search *s = arg;

	if (strcmp(m->type, "cgroup2") != 0)
		return false;
	s->err = by_handle(m->at, s->id, &s->path);
	if (s->err && s->err != -ENOENT)
		s->err = by_walk(m->at, s->id, &s->path);
	return !s->err;
}

int cgroup_path(uint64_t id, char **ret)
{
	struct search s = {.id = id, .err = -EOPNOTSUPP};
	int err = mounts_each(on_mount, &s);

	if (err < 0)
		return err;
	if (!s.err)
		*ret = s.path;
	return s.err;
}
