/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kallsyms.h - names of kernel code from the text of /proc/kallsyms, lines of
 * "ffffffff81000000 T name\t[module]".
 */
#ifndef MEMTALLY_SYM_KALLSYMS_H
#define MEMTALLY_SYM_KALLSYMS_H

#include "lib/lib.h"

struct sym_kallsyms;

/*
 * Takes over text (malloc'ed, text[len] == '\0') also on failure. Lines that do not
 * parse are left out. -EACCES: every address is zero, which is how the kernel shows
 * them to those who may not know; -ENODATA: no line was a symbol; -ENOMEM.
 */
int sym_kallsyms_new(char *text, size_t len, struct sym_kallsyms **ret);
void sym_kallsyms_free(struct sym_kallsyms *k);

struct sym_kernel_symbol {
	const char *name;   /* as long as the table lives */
	const char *module; /* without brackets; NULL: the kernel itself */
	uint64_t start;
};

/* -ENOENT if the address is in no function. */
int sym_kallsyms_find(const struct sym_kallsyms *k, uint64_t address,
		      struct sym_kernel_symbol *ret);

#endif
