/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which files: named ones, those below a directory, those that processes have open or
 * mapped. The latter are opened through /proc/PID/fd and /proc/PID/map_files, which lead
 * to the file itself, whatever its name, deleted or in another mount namespace.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd_resident.h"

static void note_failure(struct resident_files *all, const char *path, int err)
{
	all->unreadable++;
	if (all->first_err)
		return;
	all->first_err = err;
	all->first_path = strdup(path);
}

/* O_NONBLOCK: what was a file may be a FIFO by now. O_NOATIME is for the owner only. */
static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

struct file_id {
	dev_t dev;
	ino_t ino;
};

static int id_compare(const void *a, const void *b)
{
	const struct file_id *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->dev == y->dev ? 0 : x->dev < y->dev ? -1 : 1;
}

/* 1: it was added before; 0: now it is known; -ENOMEM. */
static int make_known(struct resident_files *all, const struct stat *st)
{
	struct file_id *id = malloc(sizeof(*id)), **at;

	if (!id)
		return -ENOMEM;
	*id = (struct file_id){st->st_dev, st->st_ino};
	at = tsearch(id, &all->known, id_compare);
	if (at && *at == id)
		return 0;
	free(id);
	return at ? 1 : -ENOMEM;
}

static int append(struct resident_files *all, const struct resident_file *f, const char *path)
{
	int err = array_reserve(&all->v, &all->cap, all->n + 1, sizeof(all->v[0]));
	char *copy = err ? NULL : strdup(path);

	if (!copy)
		return -ENOMEM;
	all->v[all->n] = *f;
	all->v[all->n++].path = copy;
	return 0;
}

/* at: where it is opened; path: what it is called. Only regular files count. */
static int add_file(struct resident_files *all, const char *at, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct resident_file f = {0};
	struct stat st;
	int err;

	if (stat(at, &st) || !S_ISREG(st.st_mode))
		return 0;
	err = make_known(all, &st);
	if (err)
		return err < 0 ? err : 0;
	fd = open_file(at);
	err = fd < 0 ? fd : resident_stat(fd, &f, all->map);
	if (err == -ENOENT || err == -ESRCH) {
		all->vanished++;
		return 0;
	}
	if (err) {
		note_failure(all, path, err);
		return 0;
	}
	return append(all, &f, path);
}

int resident_add_path(struct resident_files *all, const char *path)
{
	char *const roots[] = {(char *)path, NULL};
	struct stat st;
	FTSENT *e;
	FTS *fts;
	int err = 0;

	if (stat(path, &st))
		return -errno;
	fts = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR | FTS_XDEV, NULL);
	if (!fts)
		return -errno;
	while (!err && (e = fts_read(fts))) {
		if (e->fts_info == FTS_F)
			err = add_file(all, e->fts_path, e->fts_path);
		else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR)
			note_failure(all, e->fts_path, -e->fts_errno);
	}
	fts_close(fts);
	return err;
}

/* Every link in a directory of /proc/PID. */
static int add_links(struct resident_files *all, const char *dir_path)
{
	DIR *dir = opendir(dir_path);
	struct dirent *e;
	int err = 0;

	if (!dir)
		return -errno;
	while (!err && (e = readdir(dir))) {
		char at[PATH_MAX], target[PATH_MAX];
		ssize_t n;

		if (e->d_name[0] == '.')
			continue;
		snprintf(at, sizeof(at), "%s/%s", dir_path, e->d_name);
		n = readlink(at, target, sizeof(target) - 1);
		if (n <= 0 || target[0] != '/')
			continue;
		target[n] = '\0';
		err = add_file(all, at, target);
	}
	closedir(dir);
	return err;
}

int resident_add_pid(struct resident_files *all, pid_t pid)
{
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	err = add_links(all, path);
	if (err)
		return err == -ENOENT ? -ESRCH : err;
	snprintf(path, sizeof(path), "/proc/%d/map_files", pid);
	err = add_links(all, path);
	if (!err)
		all->seen++;
	return err == -ENOENT ? -ESRCH : err;
}

int resident_add_all(struct resident_files *all)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	uint64_t pid;
	int err = 0;

	if (!dir)
		return -errno;
	while (err != -ENOMEM && (e = readdir(dir))) {
		if (parse_u64(e->d_name, 1, INT_MAX, &pid))
			continue;
		err = resident_add_pid(all, (pid_t)pid);
		if (err == -EACCES || err == -EPERM)
			note_failure(all, e->d_name, err);
	}
	closedir(dir);
	return err == -ENOMEM ? err : 0;
}

void resident_files_deinit(struct resident_files *all)
{
	for (size_t i = 0; i < all->n; i++)
		free(all->v[i].path);
	free(all->v);
	tdestroy(all->known, free);
	free(all->first_path);
}
