/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/skeleton.h"

#include <bpf/libbpf.h>

#include "trace/features.h"

bool skeleton_is_old(void)
{
	return !feature_has(FEATURE_CALLBACKS) || !feature_has(FEATURE_EXCHANGE);
}

int skeleton_open(struct bpf_object_skeleton *s, bool is_old, const void *old, size_t old_size)
{
	if (is_old) {
		s->data = (void *)old; /* only read */
		s->data_sz = old_size;
	}
	return bpf_object__open_skeleton(s, NULL);
}
