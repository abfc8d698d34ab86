/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paths of the files that faults hit, by device and inode. */
#include <errno.h>
#include <string.h>

#include "faults.h"

struct file {
	uint32_t dev;
	uint64_t ino;
	char *path;
};

struct faults_files {
	struct file *v;
	size_t n, cap;
};

struct faults_files *faults_files_new(void)
{
	return calloc(1, sizeof(struct faults_files));
}

void faults_files_free(struct faults_files *t)
{
	for (size_t i = 0; t && i < t->n; i++)
		free(t->v[i].path);
	if (t)
		free(t->v);
	free(t);
}

static struct file *find(const struct faults_files *t, uint32_t dev, uint64_t ino)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].ino == ino && t->v[i].dev == dev)
			return &t->v[i];
	return NULL;
}

const char *faults_files_name(const struct faults_files *t, uint32_t dev, uint64_t ino)
{
	const struct file *f = find(t, dev, ino);

	return f ? f->path : "[file]";
}

static const char *path_of_inode(const struct maps *m, uint64_t ino)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].inode == ino && m->v[i].path)
			return m->v[i].path;
	return NULL;
}

static int keep(struct faults_files *t, uint32_t dev, uint64_t ino, char *path)
{
	if (!path || array_reserve(&t->v, &t->cap, t->n + 1, sizeof(*t->v))) {
		free(path);
		return -ENOMEM;
	}
	t->v[t->n++] = (struct file){dev, ino, path};
	return 0;
}

int faults_files_learn(struct faults_files *t, const struct process *p, const struct fault_vma *v)
{
	struct maps now = {0};
	const char *path;
	int err = 0;

	if (!p || !v->ino || find(t, v->dev, v->ino))
		return 0;
	path = path_of_inode(&p->maps, v->ino);
	if (!path && !p->ended && !maps_read(p->pid, &now))
		path = path_of_inode(&now, v->ino);
	if (path)
		err = keep(t, v->dev, v->ino, strdup(path));
	maps_deinit(&now);
	return err;
}

/* The path as /proc/PID/maps has it: with the mount point, which dentries do not know. */
static char *path_of_maps(const struct maps *m, const struct fault_file_event *e)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct mapping *v = &m->v[i];
		const char *base = v->path ? strrchr(v->path, '/') : NULL;

		/* Some file systems show another device there: the name must agree as well. */
		if (v->inode == e->ino && base && e->n &&
		    !strncmp(base + 1, e->names[0], FAULT_NAME_LEN - 1))
			return strdup(v->path);
	}
	return NULL;
}

/* From the names in the kernel, relative to the root of their file system. */
static char *path_of_names(const struct fault_file_event *e)
{
	uint32_t n = MIN(e->n, (uint32_t)FAULT_NAME_DEPTH);
	char *path = calloc(n + 1, FAULT_NAME_LEN + 1), *end = path;

	if (!path)
		return NULL;
	if (!n)
		return memcpy(path, "[file]", 7);
	for (uint32_t i = n; i > 0; i--) {
		*end++ = '/';
		end = stpncpy(end, e->names[i - 1], FAULT_NAME_LEN - 1);
	}
	*end = '\0';
	return path;
}

int faults_files_add(struct faults_files *t, const struct process *p,
		     const struct fault_file_event *e)
{
	struct maps now = {0};
	char *path = NULL;

	if (find(t, e->dev, e->ino))
		return 0;
	if (p)
		path = path_of_maps(&p->maps, e);
	if (!path && p && !p->ended && !maps_read(p->pid, &now))
		path = path_of_maps(&now, e);
	maps_deinit(&now);
	if (!path)
		path = path_of_names(e);
	return keep(t, e->dev, e->ino, path);
}
