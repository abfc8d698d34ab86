/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/unwind_objects.h"

#include <bpf/bpf.h>
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/log.h"
#include "trace/features.h"

#define KERNEL_MINOR_BITS 20 /* of its dev_t; user space's is another */

static struct unwind_object_key make_key(uint64_t ino, uint32_t major, uint32_t minor)
{
	return (struct unwind_object_key){.ino = ino, .dev = major << KERNEL_MINOR_BITS | minor};
}

static struct unwind_object_key object_key(const struct object *o)
{
	return make_key(o->inode, o->dev_major, o->dev_minor);
}

static struct unwind_object_key mapping_key(const struct mapping *m)
{
	return make_key(m->inode, m->dev_major, m->dev_minor);
}

static int describe(const struct object *o, const struct unwind_place *place,
		    struct unwind_object *ret)
{
	struct unwind_object v = {.block = place->block, .n_blocks = place->n_blocks};
	struct stat st;
	size_t n = 0;

	if (fstat(o->fd, &st))
		return -errno;
	v.size = (uint64_t)st.st_size;
	for (size_t i = 0; i < o->n_segments && n < UNWIND_MAX_SEGMENTS; i++) {
		const struct segment *s = &o->segments[i];

		if (s->flags & PF_X)
			v.segments[n++] = (struct unwind_segment){
				.offset = s->offset,
				.size = s->filesz,
				.base = s->offset - s->vaddr + place->first,
			};
	}
	*ret = v;
	return n ? 0 : -ENOENT;
}

static int enter(int map, const struct unwind_object_key *key, const struct unwind_object *v)
{
	struct unwind_object have;

	if (bpf_map_update_elem(map, key, v, BPF_NOEXIST) == 0)
		return 0;
	if (errno != EEXIST || bpf_map_lookup_elem(map, key, &have))
		return -errno;
	if (!memcmp(&have, v, sizeof(have)) || !have.n_blocks)
		return 0;
	log_debug("two files are inode %llu of one device", (unsigned long long)key->ino);
	have = (struct unwind_object){0};
	return bpf_map_update_elem(map, key, &have, BPF_EXIST) ? -errno : 0;
}

/* How the kernel numbers a file in mappings: nothing but a mapping tells. */
static int own_mapping_key(const struct object *o, struct unwind_object_key *ret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at = mmap(NULL, page, PROT_READ, MAP_PRIVATE, o->fd, 0);
	const struct mapping *m;
	struct maps maps;
	int err;

	if (at == MAP_FAILED)
		return -errno;
	err = maps_read(getpid(), &maps);
	if (!err) {
		m = maps_find(&maps, (uintptr_t)at);
		err = m && m->inode ? 0 : -ENOENT;
		if (!err)
			*ret = mapping_key(m);
		maps_deinit(&maps);
	}
	munmap(at, page);
	return err;
}

int unwind_objects_add(int map, const struct object *o, const struct unwind_place *place)
{
	struct unwind_object_key key = object_key(o), mapped;
	struct unwind_object v;
	int err;

	if (o->fd < 0)
		return 0; /* the vdso: no file */
	err = describe(o, place, &v);
	if (!err)
		err = enter(map, &key, &v);
	/* Only devices without hardware have different numbers in mappings. */
	if (err || o->dev_major || own_mapping_key(o, &mapped) ||
	    !memcmp(&mapped, &key, sizeof(key)))
		return err;
	return enter(map, &mapped, &v);
}

int unwind_objects_alias(int map, const struct object *o, const struct unwind_place *place,
			 const struct mapping *m)
{
	struct unwind_object_key key = mapping_key(m), known = object_key(o);
	struct unwind_object v;
	int err;

	if (o->fd < 0 || !m->inode || !memcmp(&key, &known, sizeof(key)))
		return 0;
	err = describe(o, place, &v);
	return err ? err : enter(map, &key, &v);
}

bool unwind_objects_same_build(const struct object *a, const struct object *b)
{
	if (!a->build_id_len || a->build_id_len != b->build_id_len || a->machine != b->machine ||
	    a->n_segments != b->n_segments || memcmp(a->build_id, b->build_id, a->build_id_len))
		return false;
	for (size_t i = 0; i < a->n_segments; i++)
		if (a->segments[i].vaddr != b->segments[i].vaddr ||
		    a->segments[i].offset != b->segments[i].offset ||
		    a->segments[i].filesz != b->segments[i].filesz)
			return false;
	return true;
}

void unwind_configure(struct unwind_cfg *cfg)
{
	cfg->page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	cfg->find_vma = feature_has(FEATURE_FIND_VMA);
}
