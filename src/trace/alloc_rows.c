/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where two names share an address the first row names it, so the standard names come
 * first. __libc_ names are part of glibc's ABI (and of replacements that stand in for
 * it): programs call them directly, and a replacement need not make them aliases. In glibc
 * they are, so that what these rows say of its malloc() and calloc() holds for both names:
 * leaves, unlike musl's calloc(), which calls malloc(), and unlike memalign() and realloc()
 * of both.
 *
 * Not here: strdup() and the like (they call malloc), reallocarr() (its old pointer is
 * read through its argument), mi_heap_destroy() (frees blocks it does not name).
 */
#include "trace/alloc_rows.h"

#define ROW(n, c, ...)                                         \
	{                                                      \
		.name = n, .class = c, .spec = { __VA_ARGS__ } \
	}
#define ALLOC(n, c, ...)   ROW(n, c, .op = ALLOC_OP_ALLOC, __VA_ARGS__)
#define REALLOC(n, c, ...) ROW(n, c, .op = ALLOC_OP_REALLOC, __VA_ARGS__)
#define FREE(n, c, ptr)	   ROW(n, c, .op = ALLOC_OP_FREE, .ptr_arg = ptr)
#define SIZE(s)		   .size_arg = s
#define ITEMS(c, s)	   .count_arg = c, .size_arg = s
#define STORED(out)	   .out_arg = out, .ok = ALLOC_OK_ZERO

/* The malloc family, by what stands before the names. */
#define FAMILY(p, c) \
	ALLOC(p "malloc", c, SIZE(1)), ALLOC(p "calloc", c, ITEMS(1, 2)), FAMILY_REST(p, c)
#define FAMILY_REST(p, c)                                                                      \
	REALLOC(p "realloc", c, .ptr_arg = 1, SIZE(2)),                                        \
		REALLOC(p "reallocarray", c, .ptr_arg = 1, ITEMS(2, 3)), FREE(p "free", c, 1), \
		FREE(p "cfree", c, 1), ALLOC(p "posix_memalign", c, SIZE(3), STORED(1)),       \
		ALLOC(p "aligned_alloc", c, SIZE(2)), ALLOC(p "memalign", c, SIZE(2)),         \
		ALLOC(p "valloc", c, SIZE(1)), ALLOC(p "pvalloc", c, SIZE(1)),                 \
		FREE(p "free_sized", c, 1), FREE(p "free_aligned_sized", c, 1)

/* jemalloc's own: mallocx(size, flags), rallocx(p, size, flags)... */
#define JEMALLOC(p)                                                                           \
	ALLOC(p "mallocx", CLASS_NATIVE, SIZE(1)),                                            \
		REALLOC(p "rallocx", CLASS_NATIVE, .ptr_arg = 1, SIZE(2)),                    \
		ROW(p "xallocx", CLASS_NATIVE, .op = ALLOC_OP_RESIZE, .ptr_arg = 1, SIZE(2)), \
		FREE(p "sdallocx", CLASS_NATIVE, 1), FREE(p "dallocx", CLASS_NATIVE, 1)

#define MMAPS(p, kind_)                                                                    \
	ROW(p "mmap", CLASS_LIBC, .op = ALLOC_OP_MMAP, SIZE(2), .ok = ALLOC_OK_NOT_MINUS1, \
	    .kind = kind_),                                                                \
		ROW(p "mmap64", CLASS_LIBC, .op = ALLOC_OP_MMAP, SIZE(2),                  \
		    .ok = ALLOC_OK_NOT_MINUS1, .kind = kind_),                             \
		ROW(p "munmap", CLASS_LIBC, .op = ALLOC_OP_MUNMAP, .ptr_arg = 1, SIZE(2),  \
		    .ok = ALLOC_OK_ZERO, .kind = kind_),                                   \
		ROW(p "mremap", CLASS_LIBC, .op = ALLOC_OP_MREMAP, .ptr_arg = 1, SIZE(3),  \
		    .ok = ALLOC_OK_NOT_MINUS1, .kind = kind_)

/* operator new(size_t), ...: m or j is size_t on 64 and 32 bit; only 64 bit is probed. */
#define NEW(n, c)	  ALLOC(n, c, SIZE(1), .flags = ALLOC_FLAG_THROWS)
#define NEW_NOTHROW(n, c) ALLOC(n, c, SIZE(1))
#define CXX(w, d)                                                                    \
	NEW("_Zn" w "m", CLASS_CXX), NEW("_Zn" w "mSt11align_val_t", CLASS_CXX),     \
		NEW_NOTHROW("_Zn" w "mRKSt9nothrow_t", CLASS_CXX),                   \
		NEW_NOTHROW("_Zn" w "mSt11align_val_tRKSt9nothrow_t", CLASS_CXX),    \
		FREE("_Zd" d "Pv", CLASS_CXX, 1), FREE("_Zd" d "Pvm", CLASS_CXX, 1), \
		FREE("_Zd" d "PvSt11align_val_t", CLASS_CXX, 1),                     \
		FREE("_Zd" d "PvmSt11align_val_t", CLASS_CXX, 1),                    \
		FREE("_Zd" d "PvRKSt9nothrow_t", CLASS_CXX, 1),                      \
		FREE("_Zd" d "PvSt11align_val_tRKSt9nothrow_t", CLASS_CXX, 1)

/* gperftools: operator new and delete by C names. */
#define TCMALLOC(w, d)                                                                   \
	NEW("tc_" w, CLASS_NATIVE), NEW("tc_" w "_aligned", CLASS_NATIVE),               \
		NEW_NOTHROW("tc_" w "_nothrow", CLASS_NATIVE),                           \
		NEW_NOTHROW("tc_" w "_aligned_nothrow", CLASS_NATIVE),                   \
		FREE("tc_" d, CLASS_NATIVE, 1), FREE("tc_" d "_sized", CLASS_NATIVE, 1), \
		FREE("tc_" d "_aligned", CLASS_NATIVE, 1),                               \
		FREE("tc_" d "_sized_aligned", CLASS_NATIVE, 1),                         \
		FREE("tc_" d "_nothrow", CLASS_NATIVE, 1),                               \
		FREE("tc_" d "_aligned_nothrow", CLASS_NATIVE, 1)

/* mimalloc: h is the number of arguments before the usual ones (1: a heap). */
#define MIMALLOC(p, h)                                                                            \
	ALLOC(p "malloc_small", CLASS_NATIVE, SIZE(1 + (h))),                                     \
		ALLOC(p "zalloc", CLASS_NATIVE, SIZE(1 + (h))),                                   \
		ALLOC(p "mallocn", CLASS_NATIVE, ITEMS(1 + (h), 2 + (h))),                        \
		ALLOC(p "malloc_aligned", CLASS_NATIVE, SIZE(1 + (h))),                           \
		ALLOC(p "malloc_aligned_at", CLASS_NATIVE, SIZE(1 + (h))),                        \
		ALLOC(p "zalloc_aligned", CLASS_NATIVE, SIZE(1 + (h))),                           \
		ALLOC(p "zalloc_aligned_at", CLASS_NATIVE, SIZE(1 + (h))),                        \
		ALLOC(p "calloc_aligned", CLASS_NATIVE, ITEMS(1 + (h), 2 + (h))),                 \
		ALLOC(p "calloc_aligned_at", CLASS_NATIVE, ITEMS(1 + (h), 2 + (h))),              \
		REALLOC(p "reallocf", CLASS_NATIVE, .ptr_arg = 1 + (h), SIZE(2 + (h))),           \
		REALLOC(p "rezalloc", CLASS_NATIVE, .ptr_arg = 1 + (h), SIZE(2 + (h))),           \
		REALLOC(p "reallocn", CLASS_NATIVE, .ptr_arg = 1 + (h), ITEMS(2 + (h), 3 + (h))), \
		REALLOC(p "recalloc", CLASS_NATIVE, .ptr_arg = 1 + (h), ITEMS(2 + (h), 3 + (h))), \
		REALLOC(p "realloc_aligned", CLASS_NATIVE, .ptr_arg = 1 + (h), SIZE(2 + (h))),    \
		REALLOC(p "realloc_aligned_at", CLASS_NATIVE, .ptr_arg = 1 + (h), SIZE(2 + (h))), \
		REALLOC(p "rezalloc_aligned", CLASS_NATIVE, .ptr_arg = 1 + (h), SIZE(2 + (h))),   \
		REALLOC(p "rezalloc_aligned_at", CLASS_NATIVE, .ptr_arg = 1 + (h), SIZE(2 + (h)))

const struct alloc_row alloc_rows[] = {
	FAMILY("", CLASS_LIBC),
	MMAPS("", ALLOC_KIND_MMAP),
	CXX("w", "l"),
	CXX("a", "a"),
	JEMALLOC(""),
	REALLOC("reallocf", CLASS_LIBC, .ptr_arg = 1, SIZE(2)),
	FREE("vfree", CLASS_LIBC, 1),
	ALLOC("__libc_malloc", CLASS_LIBC, SIZE(1), .flags = ALLOC_FLAG_LEAF),
	ALLOC("__libc_calloc", CLASS_LIBC, ITEMS(1, 2), .flags = ALLOC_FLAG_LEAF),
	FAMILY_REST("__libc_", CLASS_LIBC),
	MMAPS("__", ALLOC_KIND_MMAP),
	ALLOC("__posix_memalign", CLASS_LIBC, SIZE(3), STORED(1)),
	FAMILY("je_", CLASS_NATIVE),
	JEMALLOC("je_"),
	FAMILY("_rjem_", CLASS_NATIVE),
	JEMALLOC("_rjem_"),
	FAMILY("tc_", CLASS_NATIVE),
	ALLOC("tc_malloc_skip_new_handler", CLASS_NATIVE, SIZE(1)),
	TCMALLOC("new", "delete"),
	TCMALLOC("newarray", "deletearray"),
	FAMILY("mi_", CLASS_NATIVE),
	MIMALLOC("mi_", 0),
	MIMALLOC("mi_heap_", 1),
	ALLOC("mi_zalloc_small", CLASS_NATIVE, SIZE(1)),
	FREE("mi_free_size", CLASS_NATIVE, 1),
	FREE("mi_free_size_aligned", CLASS_NATIVE, 1),
	FREE("mi_free_aligned", CLASS_NATIVE, 1),
	ALLOC("mi_heap_malloc", CLASS_NATIVE, SIZE(2)),
	ALLOC("mi_heap_calloc", CLASS_NATIVE, ITEMS(2, 3)),
	REALLOC("mi_heap_realloc", CLASS_NATIVE, .ptr_arg = 2, SIZE(3)),
	NEW("mi_new", CLASS_NATIVE),
	NEW("mi_new_aligned", CLASS_NATIVE),
	NEW_NOTHROW("mi_new_nothrow", CLASS_NATIVE),
	NEW_NOTHROW("mi_new_aligned_nothrow", CLASS_NATIVE),
	ALLOC("mi_new_n", CLASS_NATIVE, ITEMS(1, 2), .flags = ALLOC_FLAG_THROWS),
	REALLOC("mi_new_realloc", CLASS_NATIVE, .ptr_arg = 1, SIZE(2), .flags = ALLOC_FLAG_THROWS),
	REALLOC("mi_new_reallocn", CLASS_NATIVE, .ptr_arg = 1, ITEMS(2, 3),
		.flags = ALLOC_FLAG_THROWS),
	ALLOC("mi_heap_alloc_new", CLASS_NATIVE, SIZE(2), .flags = ALLOC_FLAG_THROWS),
	ALLOC("mi_heap_alloc_new_n", CLASS_NATIVE, ITEMS(2, 3), .flags = ALLOC_FLAG_THROWS),
};

const size_t alloc_rows_count = ARRAY_SIZE(alloc_rows);
