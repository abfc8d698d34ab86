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
#include <linux/magic.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

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
static int make_known(struct resident_files *all, dev_t dev, ino_t ino)
{
	struct file_id *id = malloc(sizeof(*id)), **at;

	if (!id)
		return -ENOMEM;
	*id = (struct file_id){dev, ino};
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

int resident_add(struct resident_files *all, const struct resident_file *f, const char *path)
{
	int err = make_known(all, f->dev, f->ino);

	return err ? MIN(err, 0) : append(all, f, path);
}

/* Files made up when they are read have no page cache, and to open one may do something. */
static bool is_made_up(struct resident_files *all, const char *at, dev_t dev)
{
	static const long magics[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC,	  DEBUGFS_MAGIC,      TRACEFS_MAGIC,
		SECURITYFS_MAGIC, SELINUX_MAGIC,  CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
		BPF_FS_MAGIC,	  PSTOREFS_MAGIC, EFIVARFS_MAGIC,     BINFMTFS_MAGIC,
		0x62656570, /* configfs */
	};
	struct statfs fs;

	if (all->asked_dev == dev)
		return all->made_up;
	if (statfs(at, &fs))
		return false;
	all->asked_dev = dev;
	all->made_up = false;
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		all->made_up |= (long)fs.f_type == magics[i];
	return all->made_up;
}

static int ask_file(struct resident_files *all, const char *at, struct resident_file *f)
{
	_cleanup_close_ int fd = open_file(at);

	return fd < 0 ? fd : resident_stat(fd, f, all->map);
}

/*
 * at: where it is opened; path: what it is called. 0, also if nobody can tell (noted);
 * -EOPNOTSUPP: it is something that has no page cache; -ENOMEM.
 */
static int add_file(struct resident_files *all, const char *at, const char *path)
{
	struct resident_file f = {.path = NULL};
	struct stat st;
	int err;

	if (stat(at, &st))
		return 0;
	if ((!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) || is_made_up(all, at, st.st_dev))
		return -EOPNOTSUPP;
	err = make_known(all, st.st_dev, st.st_ino);
	if (err)
		return MIN(err, 0);
	f.dev = st.st_dev;
	f.ino = st.st_ino;
	/* What is empty has no pages: not even opened. */
	err = S_ISREG(st.st_mode) && !st.st_size ? 0 : ask_file(all, at, &f);
	if (err == -ENOENT || err == -ESRCH) {
		all->vanished++;
		return 0;
	}
	if (err == -ENOMEM)
		return err;
	if (err) {
		note_failure(all, path, err);
		return 0;
	}
	if (all->only_cached && !f.n.cached)
		return 0;
	return append(all, &f, path);
}

static int add_found(struct resident_files *all, const char *at, const char *path)
{
	int err = add_file(all, at, path);

	return err == -EOPNOTSUPP ? 0 : err;
}

static int add_tree(struct resident_files *all, const char *path)
{
	char *const roots[] = {(char *)path, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR | FTS_XDEV, NULL);
	FTSENT *e;
	int err = 0;

	if (!fts)
		return -errno;
	while (!err && (e = fts_read(fts))) {
		if (e->fts_info == FTS_F)
			err = add_found(all, e->fts_path, e->fts_path);
		else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR)
			note_failure(all, e->fts_path, -e->fts_errno);
	}
	fts_close(fts);
	return err;
}

int resident_add_path(struct resident_files *all, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	return S_ISDIR(st.st_mode) ? add_tree(all, path) : add_file(all, path, path);
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
		err = add_found(all, at, target);
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
