/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names.h - which of several names of one address to show, and how to show it.
 */
#ifndef MEMTALLY_SYM_NAMES_H
#define MEMTALLY_SYM_NAMES_H

#include "sym/strings.h"

enum { NAME_NO_PARAMS = 1, NAME_MANGLED = 2 };

/*
 * Order among aliases, lower is better: an exported name before a local one, fewer
 * leading underscores, a sized function before a label, a strong symbol before a weak
 * one, then the shorter: "malloc" of malloc, __libc_malloc and __malloc. bind and type
 * are the STB_* and STT_* of the ELF symbol.
 */
uint32_t sym_name_rank(const char *name, unsigned int bind, unsigned int type);

/*
 * The name as people write it: symbol versions ("@@GLIBC_2.2.5") cut off, C++ (Itanium
 * ABI) and Rust (legacy and v0) demangled by libiberty. A mangled name that is longer
 * than 4 KiB, or would become longer than 16 KiB, stays as it is: names come from files
 * of strangers and a few bytes can expand without end. NULL: no memory.
 */
const char *sym_name_readable(struct sym_strings *t, const char *name, unsigned int flags);

#endif
