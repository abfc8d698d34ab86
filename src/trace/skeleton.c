/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/skeleton.h"

#include <bpf/libbpf.h>

#include "trace/features.h"

int skeleton_open(struct bpf_object_skeleton *s, const void *old, size_t old_size)
{
	if (!feature_has(FEATURE_CALLBACKS)) {
		s->data = (void *)old; /* only read */
		s->data_sz = old_size;
	}
	return bpf_object__open_skeleton(s, NULL);
}
