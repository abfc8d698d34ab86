/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rootfile.h - files named by a process, opened as the process would: below its root
 * directory, in its mount namespace.
 */
#ifndef MEMTALLY_SYM_ROOTFILE_H
#define MEMTALLY_SYM_ROOTFILE_H

#include <sys/types.h>

#include "lib/lib.h"

/*
 * Opens a plain file read-only. Symbolic links are followed, but stay below that root
 * (openat2 RESOLVE_IN_ROOT, kernel commit fddb5d430ad9 in v5.6; without it, links as the
 * last component are refused). Never blocks on a pipe or device. Returns the fd or what
 * open() said; -EPERM: no plain file.
 */
int sym_rootfile_open(pid_t pid, const char *path);

#endif
