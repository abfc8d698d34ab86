/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * elf_read.h - the ELF half of object.c, private to lib/. Files are hostile: libelf
 * reads with ELF_C_READ (pread, never mmap: a file truncated under a mapping would
 * raise SIGBUS), every table has a size limit, every string is checked for its NUL.
 */
#ifndef MEMTALLY_ELF_READ_H
#define MEMTALLY_ELF_READ_H

#include "lib/object.h"

/*
 * Fills machine, type, is_64bit, segments and build id of *o, whose fd or image is
 * set and whose size in bytes is given. -ENOEXEC: no little-endian executable or shared object,
 * damaged, or a segment reaches beyond the end of the file.
 */
int elf_load(struct object *o, uint64_t file_size);

#endif
