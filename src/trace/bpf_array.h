/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf_array.h - a BPF array that both sides see as memory (BPF_F_MMAPABLE).
 */
#ifndef MEMTALLY_TRACE_BPF_ARRAY_H
#define MEMTALLY_TRACE_BPF_ARRAY_H

#include "lib/lib.h"

struct bpf_object;

struct bpf_array {
	void *v;       /* NULL until mapped */
	size_t n, max; /* elements; n is the user's */
	size_t bytes;
};

/* Before load: room for n elements. 0, -ENOENT, -EFBIG or what libbpf says. */
int bpf_array_size(struct bpf_object *obj, const char *name, size_t n, struct bpf_array *a);
/* After load: maps it; element in bytes. 0, -ENOENT or what mmap() says. */
int bpf_array_map(struct bpf_object *obj, const char *name, size_t element, struct bpf_array *a);
void bpf_array_unmap(struct bpf_array *a);

#endif
