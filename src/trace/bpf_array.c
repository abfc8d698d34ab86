/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/bpf_array.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <sys/mman.h>

int bpf_array_size(struct bpf_object *obj, const char *name, size_t n, struct bpf_array *a)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, name);

	if (!map)
		return -ENOENT;
	if (n > UINT32_MAX)
		return -EFBIG;
	a->max = n;
	return bpf_map__set_max_entries(map, (uint32_t)n);
}

int bpf_array_map(struct bpf_object *obj, const char *name, size_t element, struct bpf_array *a)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct bpf_map *map = bpf_object__find_map_by_name(obj, name);
	void *v;

	if (!map)
		return -ENOENT;
	a->max = bpf_map__max_entries(map);
	a->bytes = (a->max * element + page - 1) & ~(page - 1);
	v = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (v == MAP_FAILED)
		return -errno;
	a->v = v;
	return 0;
}

void bpf_array_unmap(struct bpf_array *a)
{
	if (a->v)
		munmap(a->v, a->bytes);
	a->v = NULL;
}
