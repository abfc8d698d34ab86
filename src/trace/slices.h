/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slices.h - allocates slices of the mappings array. Walks may still read a slice
 * after it is given back: its place is reused only after an RCU grace period.
 */
#ifndef MEMTALLY_TRACE_SLICES_H
#define MEMTALLY_TRACE_SLICES_H

#include "lib/lib.h"
#include "unwind.h"

struct slice {
	struct unwind_slice at;
	uint32_t refs;	     /* processes with these very mappings; 0: given back */
	uint64_t retired_ns; /* when refs became 0 */
	uint64_t hash;
};

struct slices {
	struct unwind_mapping *array; /* shared with BPF */
	size_t max;
	struct slice *v; /* sorted by at.lo */
	size_t n, cap;
	size_t used; /* mappings in slices, given back or not */
};

/* A slice with this content, shared or new. 0, -ENOSPC or -ENOMEM. */
int slices_get(struct slices *s, const struct unwind_mapping *m, size_t n,
	       struct unwind_slice *ret);
void slices_put(struct slices *s, const struct unwind_slice *slice);
bool slices_equal(const struct slices *s, const struct unwind_slice *slice,
		  const struct unwind_mapping *m, size_t n);
void slices_deinit(struct slices *s);

#endif
