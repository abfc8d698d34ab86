/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debugfile.h - where the separate debug file of an ELF file is searched, in this order:
 *   1. by build id below the root of a process that maps the file,
 *   2. by .gnu_debuglink below that root: beside the file, in .debug/, and in the debug
 *      directory,
 *   3. what libdwfl does by itself in our own root: build id, debuglink, dwz files, and
 *      debuginfod, which it asks only if DEBUGINFOD_URLS is set.
 * (https://sourceware.org/gdb/current/onlinedocs/gdb.html/Separate-Debug-Files.html)
 * A file is used only if its build id is that of the ELF file, or, if that has none, if
 * the checksum of the debuglink agrees.
 */
#ifndef MEMTALLY_SYM_DEBUGFILE_H
#define MEMTALLY_SYM_DEBUGFILE_H

#include <libelf.h>
#include <sys/types.h>

#include "lib/lib.h"

struct sym_debugfile {
	Elf *elf;	  /* the file itself */
	const char *path; /* as the process sees it */
	const char *dir;  /* the debug directory */
	pid_t pid;
	unsigned int refused; /* counted here: files of another build */
};

/* An open fd and its malloc'ed path, or -ENOENT. Steps 1 and 2 only. */
int sym_debugfile_open(struct sym_debugfile *d, char **ret_path);

#endif
