/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * table.h - address ranges with names, sorted once and then searched: ELF symbols,
 * functions of a DWARF unit, kallsyms and perf maps are all such tables.
 *
 * Three sources, three kinds of overlap, one search (the entries that hold an address
 * are found by walking back from the last start below it, stopped by the running
 * maximum of the ends):
 *   nested symbols           the innermost, that is the last start, wins;
 *   several names, one start the lowest rank wins (see names.h), ends are merged;
 *   JIT code moved over old  the newest (highest tag) wins.
 * An entry of unknown size ("open") reaches to the next start, at most to its end; it
 * loses against a sized entry that holds its start (labels inside assembly functions).
 */
#ifndef MEMTALLY_SYM_TABLE_H
#define MEMTALLY_SYM_TABLE_H

#include "lib/lib.h"

struct sym_entry {
	uint64_t start, end;
	uint64_t max_end;  /* filled by sym_table_sort() */
	const char *name;  /* not owned */
	uint32_t rank;	   /* lower is better */
	uint32_t tag : 31; /* meaning is the source's; order of appearance for newest_wins */
	uint32_t open : 1;
};

struct sym_table {
	struct sym_entry *v;
	size_t n, cap;
	bool newest_wins;
};

/* Copies *e. 0 or -ENOMEM. Empty ranges (start >= end) are left out silently. */
int sym_table_add(struct sym_table *t, const struct sym_entry *e);
/* To be called once, after the last sym_table_add(). */
void sym_table_sort(struct sym_table *t);
/* The entry for an address, or NULL. */
const struct sym_entry *sym_table_find(const struct sym_table *t, uint64_t address);
void sym_table_deinit(struct sym_table *t);

#endif
