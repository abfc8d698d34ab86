/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of files by device and inode. The kernel told the components inside the file
 * system when the file was first seen; where that is mounted is in mountinfo. Device
 * numbers are the kernel's: major << 20 | minor.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd_cache.h"
#include "lib/mounts.h"

struct name {
	struct cache_key key;
	uint32_t mode, rdev;
	char *path;  /* from the root of the file system; NULL: has none */
	char *shown; /* what cache_paths_find() made of it; or NULL */
};

struct cache_paths {
	struct name *v;
	size_t n, cap;
	bool sorted;
};

struct cache_paths *cache_paths_new(void)
{
	return calloc(1, sizeof(struct cache_paths));
}

void cache_paths_free(struct cache_paths *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].path);
		free(p->v[i].shown);
	}
	free(p->v);
	free(p);
}

/* "c\0b\0a\0" to "/a/b/c"; what is cut begins with "...". */
static char *join_names(const char *names, size_t len, bool cut)
{
	char *path = malloc(len + 8), *to;

	if (!path)
		return NULL;
	to = stpcpy(path, cut ? "..." : "");
	while (len) {
		size_t end = len - (names[len - 1] == '\0'), start = end;

		while (start && names[start - 1])
			start--;
		*to++ = '/';
		memcpy(to, names + start, end - start);
		to += end - start;
		len = start;
	}
	*to = '\0';
	return path;
}

int cache_paths_take(struct cache_paths *p, const struct cache_path_event *e, size_t len)
{
	struct name name = {.key = e->key, .mode = e->mode, .rdev = e->rdev};
	int err;

	if (len < CACHE_PATH_HEADER)
		return 0;
	len = MIN(len - CACHE_PATH_HEADER, (size_t)e->len);
	if (len) {
		name.path = join_names(e->names, len, e->cut);
		if (!name.path)
			return -ENOMEM;
	}
	err = array_reserve(&p->v, &p->cap, p->n + 1, sizeof(p->v[0]));
	if (err) {
		free(name.path);
		return err;
	}
	p->v[p->n++] = name;
	p->sorted = false;
	return 0;
}

static int name_compare(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->key.id != y->key.id)
		return x->key.id < y->key.id ? -1 : 1;
	return x->key.dev == y->key.dev ? 0 : x->key.dev < y->key.dev ? -1 : 1;
}

/* Where a mount shows the path: its root must lead there. NULL: it does not. */
static char *mount_path(const char *root, const char *at, const char *path)
{
	size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
	char *full;

	if (strncmp(path, root, n) != 0 || (path[n] != '/' && path[n]))
		return NULL;
	if (asprintf(&full, "%s%s", strcmp(at, "/") == 0 ? "" : at, path + n) < 0)
		return NULL;
	return full;
}

struct file_mount {
	uint32_t dev;
	const char *path;
	char *full;
};

static bool on_mount(const struct mount *m, void *arg)
{
	struct file_mount *f = arg;

	if ((m->major << 20 | m->minor) == f->dev)
		f->full = mount_path(m->root, m->at, f->path);
	return f->full;
}

/* Where the first mount of the device shows the path. */
static char *find_mount(uint32_t dev, const char *path)
{
	struct file_mount f = {dev, path, NULL};

	mounts_each(on_mount, &f);
	return f.full;
}

static char *describe(const struct name *name, const struct cache_key *key)
{
	unsigned int major = key->dev >> 20, minor = key->dev & 0xfffff;
	char *text;
	int n;

	if (name && name->path && *name->path != '.') {
		text = find_mount(key->dev, name->path);
		if (text)
			return text;
	}
	if (name && name->path)
		n = asprintf(&text, "[%u:%u]%s", major, minor, name->path);
	else if (name && S_ISBLK(name->mode))
		n = asprintf(&text, "<blockdev %u:%u>", name->rdev >> 20, name->rdev & 0xfffff);
	else
		n = asprintf(&text, "[%u:%u]:%" PRIu64 "%s", major, minor, (uint64_t)key->id,
			     name ? " (unlinked)" : "");
	return n < 0 ? NULL : text;
}

char *cache_paths_find(struct cache_paths *p, const struct cache_key *key)
{
	struct name want = {.key = *key}, *name;

	if (!p->sorted && p->n)
		qsort(p->v, p->n, sizeof(p->v[0]), name_compare);
	p->sorted = true;
	name = p->n ? bsearch(&want, p->v, p->n, sizeof(want), name_compare) : NULL;
	if (!name)
		return describe(NULL, key);
	if (!name->shown)
		name->shown = describe(name, key);
	return name->shown ? strdup(name->shown) : NULL;
}
