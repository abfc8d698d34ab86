/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resolve.h - addresses of files to frames, each (object, vaddr) once: opens the module
 * of an object when its first address is asked for and caches what came out.
 */
#ifndef MEMTALLY_SYM_RESOLVE_H
#define MEMTALLY_SYM_RESOLVE_H

#include "sym/cache.h"
#include "sym/sym.h"

struct sym_resolver;

/* opts->debug_dir is set. NULL: no memory. */
struct sym_resolver *sym_resolver_new(const struct symbolizer_opts *opts);
void sym_resolver_free(struct sym_resolver *r);

/* A copy of a string that lives as long as the resolver; NULL for NULL or no memory. */
const char *sym_resolver_keep(struct sym_resolver *r, const char *text);

struct sym_place {
	const struct object *object;
	pid_t pid; /* a process that maps it: debug files below its root are used */
	uint64_t vaddr;
	bool is_return;
};

/*
 * The frames of a place, innermost inlined call first; their `address` is the vaddr,
 * object_offset is not set.
 * *ret_signal: the code is a signal trampoline, the next frame is no return address.
 * *ret is valid until the next call. Returns the number of frames (>= 1) or -ENOMEM.
 */
int sym_resolver_get(struct sym_resolver *r, const struct sym_place *place,
		     const struct frame **ret, bool *ret_signal);

/* Fills resolved, objects and debug_refused. */
void sym_resolver_stats(const struct sym_resolver *r, struct symbolizer_stats *ret);

#endif
