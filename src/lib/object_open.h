/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * object_open.h - finding the file behind a mapping, private to lib/.
 */
#ifndef MEMTALLY_OBJECT_OPEN_H
#define MEMTALLY_OBJECT_OPEN_H

#include <sys/stat.h>

#include "lib/maps.h"

/*
 * Opens a regular file: fd, -ENOEXEC for anything else, -errno. It is looked at with
 * O_PATH first, because what a target maps could be a device, where open() has effects.
 */
int open_regular_file(const char *path, struct stat *ret_st);

/*
 * Opens what pid has mapped there: by map_files (needs CAP_SYS_ADMIN or
 * CAP_CHECKPOINT_RESTORE; also reaches deleted files and other mount namespaces), else
 * by path, below the process's root or ours, if device and inode agree, else by the range that
 * covers m->start by now. fd; -ESRCH: no such process; -ESTALE: not there any more.
 */
int open_mapping_file(pid_t pid, const struct mapping *m, struct stat *ret_st);

#endif
