/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which file is it? (device, inode) as /proc/PID/maps shows it names a file exactly
 * only where stat() agrees: on btrfs the maps show the device of the file system while
 * stat() shows that of the subvolume, and two snapshots have files with equal inode
 * numbers; on overlayfs an mmap event of older kernels shows the inode of the layer
 * below, which containers share. So a file is identified by what fstat() says once it is
 * open, and a mapping's numbers serve as a short cut only where both were equal.
 */
#include "lib/object.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/elf_read.h"
#include "lib/object_open.h"

enum { IMAGE_BYTES_MAX = 1 << 20, ENTRIES_MIN = 256 };

struct entry {
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	bool used;
	int err;	       /* no object: why */
	struct timespec ctime; /* with err: of which state of the file */
	struct object *object;
};

struct objects {
	struct object **v;
	size_t n, cap;
	struct entry *entries; /* open addressing, a power of two, at most half full */
	size_t n_entries, cap_entries;
};

static void object_free(struct object *obj)
{
	if (!obj)
		return;
	lib_closep(&obj->fd);
	free(obj->path);
	free(obj->interp);
	free(obj->segments);
	free(obj->image);
	free(obj);
}

static void object_freep(struct object **obj)
{
	object_free(*obj);
}

struct objects *objects_new(void)
{
	struct objects *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->entries = calloc(ENTRIES_MIN, sizeof(*o->entries));
	o->cap_entries = ENTRIES_MIN;
	if (o->entries)
		return o;
	free(o);
	return NULL;
}

void objects_free(struct objects *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->n; i++)
		object_free(o->v[i]);
	free(o->v);
	free(o->entries);
	free(o);
}

size_t objects_count(const struct objects *o)
{
	return o->n;
}

struct object *objects_at(const struct objects *o, uint32_t id)
{
	return id < o->n ? o->v[id] : NULL;
}

/* The entry of that file, or the free one where it belongs. */
static struct entry *entry_find(struct entry *v, size_t cap, const struct entry *key)
{
	uint64_t hash =
		(key->inode ^ (uint64_t)key->dev_major << 40 ^ (uint64_t)key->dev_minor << 20) *
		0x9e3779b97f4a7c15ULL;

	for (size_t i = hash >> 32;; i++) {
		struct entry *e = &v[i & (cap - 1)];

		if (!e->used || (e->inode == key->inode && e->dev_major == key->dev_major &&
				 e->dev_minor == key->dev_minor))
			return e;
	}
}

static int entries_grow(struct objects *o)
{
	size_t cap = o->cap_entries * 2;
	struct entry *v;

	if (o->n_entries < o->cap_entries / 2)
		return 0;
	v = calloc(cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < o->cap_entries; i++)
		if (o->entries[i].used)
			*entry_find(v, cap, &o->entries[i]) = o->entries[i];
	free(o->entries);
	o->entries = v;
	o->cap_entries = cap;
	return 0;
}

static int entry_set(struct objects *o, const struct entry *e)
{
	int err = entries_grow(o);
	struct entry *to;

	if (err)
		return err;
	to = entry_find(o->entries, o->cap_entries, e);
	o->n_entries += !to->used;
	*to = *e;
	to->used = true;
	return 0;
}

static struct entry stat_entry(const struct stat *st)
{
	return (struct entry){
		.inode = st->st_ino,
		.dev_major = major(st->st_dev),
		.dev_minor = minor(st->st_dev),
		.ctime = st->st_ctim,
	};
}

/* Adds the object, giving it its id; takes it over on success only. */
static int objects_add(struct objects *o, struct object *obj)
{
	int err = array_reserve(&o->v, &o->cap, o->n + 1, sizeof(struct object *));

	if (err)
		return err;
	obj->id = (uint32_t)o->n;
	o->v[o->n++] = obj;
	return 0;
}

/* A file that is open and not in the table yet. Takes over fd, also on failure. */
static int object_load(int fd, const char *path, const struct stat *st, struct object **ret)
{
	_cleanup_(object_freep) struct object *obj = calloc(1, sizeof(*obj));
	int err;

	if (!obj) {
		close(fd);
		return -ENOMEM;
	}
	obj->fd = fd;
	obj->path = strdup(path);
	if (!obj->path)
		return -ENOMEM;
	obj->dev_major = major(st->st_dev);
	obj->dev_minor = minor(st->st_dev);
	obj->inode = st->st_ino;
	err = elf_load(obj, (uint64_t)st->st_size);
	if (!err)
		*ret = take_ptr(obj);
	return err;
}

/* The object of an open file, new or known. Takes over fd. */
static int objects_intern(struct objects *o, int fd, const char *path, const struct stat *st,
			  struct object **ret)
{
	_cleanup_(object_freep) struct object *obj = NULL;
	struct entry key = stat_entry(st), *known;
	int err;

	known = entry_find(o->entries, o->cap_entries, &key);
	if (known->object) {
		close(fd);
		*ret = known->object;
		return 0;
	}
	/* An inode number may come back with another file: the change time tells. */
	if (known->used && !memcmp(&known->ctime, &key.ctime, sizeof(key.ctime))) {
		close(fd);
		return known->err;
	}
	err = object_load(fd, path, st, &obj);
	if (err == -ENOEXEC) {
		key.err = err;
		return entry_set(o, &key) ?: err;
	}
	if (!err)
		err = objects_add(o, obj);
	if (err)
		return err;
	key.object = take_ptr(obj); /* the table's now */
	err = entry_set(o, &key);
	if (!err)
		*ret = key.object;
	return err;
}

static int read_image(pid_t pid, const struct mapping *m, struct object *obj)
{
	_cleanup_close_ int fd = -1;
	size_t len = m->end - m->start;
	char path[64];
	ssize_t n;

	if (len > IMAGE_BYTES_MAX)
		return -ENOEXEC;
	obj->image = malloc(len);
	if (!obj->image)
		return -ENOMEM;
	obj->image_len = len;
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = pread(fd, obj->image, len, (off_t)m->start);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ESRCH;
}

/* One vdso per kernel and ABI, but no inode to tell them apart: the bytes do. */
static int objects_get_vdso(struct objects *o, pid_t pid, const struct mapping *m,
			    struct object **ret)
{
	_cleanup_(object_freep) struct object *obj = calloc(1, sizeof(*obj));
	int err;

	if (!obj)
		return -ENOMEM;
	obj->fd = -1;
	err = read_image(pid, m, obj);
	if (err)
		return err;
	for (size_t i = 0; i < o->n; i++) {
		struct object *have = o->v[i];

		if (have->image && have->image_len == obj->image_len &&
		    !memcmp(have->image, obj->image, obj->image_len)) {
			*ret = have;
			return 0;
		}
	}
	obj->path = strdup(m->path);
	err = obj->path ? elf_load(obj, obj->image_len) : -ENOMEM;
	if (!err)
		err = objects_add(o, obj);
	if (!err)
		*ret = take_ptr(obj);
	return err;
}

int objects_get(struct objects *o, pid_t pid, const struct mapping *m, struct object **ret)
{
	struct entry key = {
		.inode = m->inode,
		.dev_major = m->dev_major,
		.dev_minor = m->dev_minor,
	};
	struct entry *known;
	size_t before = o->n;
	struct stat st;
	int fd, err;

	if (!m->inode)
		return strcmp(m->path, "[vdso]") ? -ENOENT : objects_get_vdso(o, pid, m, ret);
	/*
	 * The numbers equal those of a file we hold open, hence its inode number cannot have
	 * been given away. A device that stat() shows is never one of btrfs's maps.
	 */
	known = entry_find(o->entries, o->cap_entries, &key);
	if (known->object) {
		*ret = known->object;
		return 0;
	}
	fd = open_mapping_file(pid, m, &st);
	if (fd < 0)
		return fd;
	err = objects_intern(o, fd, m->path, &st, ret);
	if (!err && o->n > before)
		(*ret)->deleted = m->deleted;
	return err;
}

int objects_get_path(struct objects *o, const char *path, struct object **ret)
{
	struct stat st;
	int fd = open_regular_file(path, &st);

	return fd < 0 ? fd : objects_intern(o, fd, path, &st, ret);
}

int object_read(const struct object *o, uint64_t off, void *buf, size_t len)
{
	uint8_t *to = buf;
	ssize_t n;

	if (off > INT64_MAX - len)
		return -EBADMSG;
	if (o->image) {
		if (off > o->image_len || len > o->image_len - off)
			return -EBADMSG;
		memcpy(buf, o->image + off, len);
		return 0;
	}
	while (len) {
		n = pread(o->fd, to, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EBADMSG;
		to += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/*
 * Neighbouring segments may share a page of the file (the end of the constants and the
 * start of the data), so the offset alone may fit two. Execute permission tells best;
 * then that a segment is mapped from its first page on; write permission least, since
 * RELRO takes it away from the start of the data.
 */
static unsigned int segment_rank(const struct segment *s, const struct mapping *m, uint64_t page)
{
	bool exec = (s->flags & PF_X) != 0, write = (s->flags & PF_W) != 0;

	return (exec == !!(m->prot & MAP_EXEC)) * 4U +
	       (m->offset == (s->offset & ~(page - 1))) * 2U + (write == !!(m->prot & MAP_WRITE));
}

int object_bias(const struct object *o, const struct mapping *m, uint64_t *ret_bias)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const struct segment *best = NULL;

	for (size_t i = 0; i < o->n_segments; i++) {
		const struct segment *s = &o->segments[i];

		if (!s->filesz || m->offset < (s->offset & ~(page - 1)) ||
		    m->offset >= s->offset + s->filesz)
			continue;
		if (!best || segment_rank(s, m, page) > segment_rank(best, m, page))
			best = s;
	}
	if (!best)
		return -ENOENT;
	*ret_bias = m->start - m->offset + best->offset - best->vaddr;
	return 0;
}

int object_vaddr_to_offset(const struct object *o, uint64_t vaddr, uint64_t *ret_off)
{
	for (size_t i = 0; i < o->n_segments; i++) {
		const struct segment *s = &o->segments[i];

		if (vaddr >= s->vaddr && vaddr - s->vaddr < s->filesz) {
			*ret_off = s->offset + (vaddr - s->vaddr);
			return 0;
		}
	}
	return -ENOENT;
}

int object_offset_to_vaddr(const struct object *o, uint64_t off, uint64_t *ret_vaddr)
{
	for (size_t i = 0; i < o->n_segments; i++) {
		const struct segment *s = &o->segments[i];

		if (off >= s->offset && off - s->offset < s->filesz) {
			*ret_vaddr = s->vaddr + (off - s->offset);
			return 0;
		}
	}
	return -ENOENT;
}
