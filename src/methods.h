/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * methods.h - by which way each command does its parts on this kernel, and why not by a
 * better one: for `memtally features`. The commands themselves ask the same features.
 */
#ifndef MEMTALLY_METHODS_H
#define MEMTALLY_METHODS_H

#include "lib/lib.h"

struct method_choice {
	const char *command, *part;
	const char *text;   /* the way taken; NULL: there is none here */
	const char *lacked; /* the feature that the best way misses; NULL: it is the best one */
};

/* Part n of all commands, from 0, best ways first within it; false behind the last. Static. */
bool method_choice(size_t n, struct method_choice *ret);

#endif
