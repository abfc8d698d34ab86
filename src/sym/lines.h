/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lines.h - what DWARF says about one address: the chain of inlined calls and a source
 * position for each of them.
 */
#ifndef MEMTALLY_SYM_LINES_H
#define MEMTALLY_SYM_LINES_H

#include <elfutils/libdwfl.h>

#include "lib/lib.h"

struct sym_lines;

#define SYM_INLINE_MAX 64

struct sym_call {
	const char *name; /* linkage name if there is one; NULL: unknown */
	uint64_t start;	  /* of the function itself; 0 for inlined calls */
	const char *file; /* or NULL */
	const char *dir;  /* directory to put before a relative file, absolute; or NULL */
	int line;	  /* 0: unknown */
};

/* bias: what the Dwfl adds to vaddrs. NULL: no debug information, or no memory. */
struct sym_lines *sym_lines_new(Dwfl_Module *mod, GElf_Addr bias);
void sym_lines_free(struct sym_lines *l);

/*
 * Fills calls, innermost first; the last one is the function that was called for real
 * (name NULL if DWARF has lines only). Returns how many: 0 if vaddr is unknown. Strings
 * live as long as the module.
 */
size_t sym_lines_find(struct sym_lines *l, uint64_t vaddr, struct sym_call calls[SYM_INLINE_MAX]);

#endif
