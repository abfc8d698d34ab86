/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debugfile.h - where the separate debug file of an ELF file is searched: first below
 * the root of a process that maps the file, then below ours;
 *   1. DIR/.build-id/xx/yyyy.debug, by build id,
 *   2. by .gnu_debuglink: beside the file, in .debug/ there, and in DIR/its/directory.
 * (https://sourceware.org/gdb/current/onlinedocs/gdb.html/Separate-Debug-Files.html)
 * A file is used only if its build id is the wanted one, or, if none is known, if the
 * checksum of the debuglink agrees.
 *
 * Not libdwfl's own search, because it knows no other roots, blocks on pipes, and loads
 * libdebuginfod with all of curl even if no server is set, which a static binary had
 * better not.
 */
#ifndef MEMTALLY_SYM_DEBUGFILE_H
#define MEMTALLY_SYM_DEBUGFILE_H

#include <libelf.h>
#include <sys/types.h>

#include "lib/lib.h"

struct sym_debugfile {
	const char *dir; /* DIR, normally /usr/lib/debug */
	pid_t pid;
	unsigned int refused; /* counted here: files of another build */
};

struct sym_debugfile_want {
	const void *id;	    /* build id */
	size_t id_len;	    /* 0: none, the checksum counts */
	const char *beside; /* path of the file that has the link */
	const char *link;   /* name or (with a build id) path; NULL: none */
	uint32_t crc;
};

/* Fills *ret by what the file itself says; the pointers live as long as elf. */
void sym_debugfile_want(Elf *elf, const char *path, struct sym_debugfile_want *ret);

/* An open fd and its malloc'ed path, or -ENOENT, -ENOMEM. */
int sym_debugfile_open(struct sym_debugfile *d, const struct sym_debugfile_want *want,
		       char **ret_path);

#endif
