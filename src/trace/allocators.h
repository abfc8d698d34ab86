/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * allocators.h - which functions of an object allocate and free memory.
 *
 * A table of names (glibc, musl, jemalloc, tcmalloc, mimalloc, C++) is matched against
 * the function symbols of an object. operator new and delete count only where they
 * bypass malloc: in an object that brings its own malloc. Those of libstdc++ and libc++
 * call malloc, which is probed anyway, and so do those of a program that is linked
 * statically with glibc.
 *
 * Own allocators come as text, one function each:
 *
 *	--alloc OBJECT:FUNCTION:size=ARG[*ARG][,ptr=ret|*ARG][,old=ARG][,ok=TEST][,throws=yes]
 *	--free  OBJECT:FUNCTION[:ptr=ARG]
 *
 *	OBJECT    absolute path, or a glob for the last part of the path ("libcudart.so*"),
 *	          or "exe" or nothing for the program itself
 *	FUNCTION  symbol as nm prints it (mangled), or 0xADDRESS: ELF address, for stripped
 *	          files
 *	ARG       arg1 to arg6: integer and pointer arguments as the ABI passes them
 *	size      bytes; arg1*arg2 multiplies, as in calloc
 *	ptr       where the new block is found: returned (default) or stored through *ARG;
 *	          for --free the block itself (default arg1)
 *	old       the function is a realloc: ARG is given up when it succeeds
 *	ok        when the call succeeded, by what it returned: nonnull (default), zero
 *	          (default with ptr=*ARG) or notminus1
 *	throws    may leave by a C++ exception: then it must not get a return probe
 *
 *	--alloc 'libcudart.so*:cudaMalloc:size=arg2,ptr=*arg1'
 *	--free  'libcudart.so*:cudaFree'
 *	--alloc 'exe:pool_grow:size=arg3*arg4,old=arg2'
 */
#ifndef MEMTALLY_ALLOCATORS_H
#define MEMTALLY_ALLOCATORS_H

#include "alloc_spec.h"
#include "lib/object.h"
#include "lib/opts.h"

enum { ALLOC_CUSTOM_MAX = 64 };

struct alloc_custom {	/* one --alloc or --free */
	char *object;	/* glob, absolute path, or "" for the program */
	char *function; /* symbol, or "0x..." with by_vaddr */
	uint64_t vaddr;
	bool by_vaddr;
	struct alloc_spec spec; /* without .function */
};

/*
 * Parses what the options were given. *ret is owned by the caller: alloc_custom_free().
 * -EINVAL: *ret_msg (owned by the caller) then says what is wrong, where, in which text;
 * -E2BIG (with *ret_msg) above ALLOC_CUSTOM_MAX; -ENOMEM.
 */
int alloc_custom_parse(const struct opt_list *alloc, const struct opt_list *free_,
		       struct alloc_custom **ret, size_t *ret_n, char **ret_msg);
void alloc_custom_free(struct alloc_custom *custom, size_t n);

struct alloc_site {
	uint64_t vaddr, offset, size; /* ELF address, offset in the file, bytes (0: unknown) */
	struct alloc_spec spec;
	const char *name; /* lives as long as the allocators and their custom specs */
};

/* Why an object has no site. */
enum alloc_reason {
	ALLOC_FOUND,
	ALLOC_NONE,	       /* symbols, but no allocator among them: the usual case */
	ALLOC_STRIPPED_STATIC, /* a program without interpreter and function symbols */
	ALLOC_32BIT,
	ALLOC_FOREIGN,	  /* code of another machine */
	ALLOC_UNREADABLE, /* damaged symbol table, and nothing found */
};

struct alloc_found {
	struct alloc_site *sites; /* one per file offset, ascending */
	size_t n, cap;
	enum alloc_reason reason;
	bool damaged;	   /* a symbol table was unreadable: sites may be missing */
	bool is_libc;	   /* a libc, the dynamic loader, or a program that contains one */
	bool is_allocator; /* allocator library other than libc: its own mmaps are internal */
};

struct allocators;

/* The built-in table and the custom functions, which are borrowed. NULL: no memory. */
struct allocators *allocators_new(const struct alloc_custom *custom, size_t n_custom);
void allocators_free(struct allocators *a);

/*
 * Finds what to probe in an object. Returns 0 (also with no site: see reason) or
 * -ENOMEM. *ret is owned by the caller: alloc_found_deinit().
 */
int allocators_find(struct allocators *a, const struct object *obj, struct alloc_found *ret);
void alloc_found_deinit(struct alloc_found *f);

/* Has the i-th custom function been found in any object so far? */
bool allocators_matched(const struct allocators *a, size_t i);
/* Name of spec.function; never NULL. */
const char *allocators_name(const struct allocators *a, uint16_t function);
/* For people: "32-bit", "stripped and static"...; static. */
const char *alloc_reason_text(enum alloc_reason reason);

#endif
