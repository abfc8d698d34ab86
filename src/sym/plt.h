/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plt.h - names for the stubs of .plt, .plt.sec and .plt.got, which have no symbols. A
 * stub jumps through a slot of the global offset table: the slot is read out of its
 * instructions and looked up among the relocations, so that every linker's layout
 * (lazy, IBT, non-lazy) is covered by one rule.
 */
#ifndef MEMTALLY_SYM_PLT_H
#define MEMTALLY_SYM_PLT_H

#include <libelf.h>

#include "sym/module.h"

struct sym_plt;

/* NULL: no stubs, or no memory. The Elf must outlive it. */
struct sym_plt *sym_plt_new(Elf *elf);
void sym_plt_free(struct sym_plt *p);
int sym_plt_find(const struct sym_plt *p, uint64_t vaddr, struct sym_symbol *ret);

#endif
