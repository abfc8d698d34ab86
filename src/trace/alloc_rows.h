/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alloc_rows.h - the built-in allocator functions as data, private to allocators.c.
 */
#ifndef MEMTALLY_ALLOC_ROWS_H
#define MEMTALLY_ALLOC_ROWS_H

#include "alloc_spec.h"
#include "lib/lib.h"

enum alloc_class {
	CLASS_LIBC,   /* the names every malloc replacement has */
	CLASS_NATIVE, /* proof of jemalloc, tcmalloc or mimalloc */
	CLASS_CXX,    /* operator new and delete: see allocators.h */
};

struct alloc_row {
	const char *name;
	enum alloc_class class;
	struct alloc_spec spec; /* without .function: the row's index */
};

extern const struct alloc_row alloc_rows[];
extern const size_t alloc_rows_count;

#endif
