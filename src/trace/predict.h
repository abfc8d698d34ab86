/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * predict.h - which files a program will have mapped at its first instruction, found
 * before it runs: so that probes are live when it starts. A prediction may miss a file
 * or name one too many; the mapping events of procwatch.h tell in the end.
 */
#ifndef MEMTALLY_PREDICT_H
#define MEMTALLY_PREDICT_H

#include "lib/lib.h"

/*
 * The program, its interpreter and the libraries that the loader will load for it, no
 * path twice, the program first. argv[0] is looked up as execvp() does and scripts are
 * followed to their interpreter. The libraries are asked of the program's own loader
 * (ld.so --list), in our environment, so that LD_PRELOAD and LD_LIBRARY_PATH count; it
 * runs no code of the program. Without an answer they are missing, and that is no error.
 *
 * *ret is owned by the caller: predict_free(). -ENOENT: no such program or interpreter;
 * -EACCES: not executable, or a directory; -ELOOP: scripts of scripts; -ENOMEM; -errno.
 */
int predict_objects(char *const *argv, char ***ret, size_t *ret_n);
void predict_free(char **paths, size_t n);

#endif
