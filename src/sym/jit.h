/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jit.h - the JIT maps of all processes, each read at its first address and again when
 * the file has changed (looked at ten times a second at most).
 */
#ifndef MEMTALLY_SYM_JIT_H
#define MEMTALLY_SYM_JIT_H

#include <sys/types.h>

#include "lib/lib.h"

struct sym_jits;

struct sym_jits *sym_jits_new(void);
void sym_jits_free(struct sym_jits *j);
/* *ret_name is valid until the next call. -ENOENT, also for a process without a map. */
int sym_jits_find(struct sym_jits *j, pid_t pid, uint64_t address, const char **ret_name,
		  uint64_t *ret_start);
void sym_jits_forget(struct sym_jits *j, pid_t pid);
/* Maps that were there and not used: wrong owner, kind or size. */
uint64_t sym_jits_refused(const struct sym_jits *j);

#endif
