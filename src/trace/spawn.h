/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spawn.h - a program started by us: held before its exec until the probes are live.
 */
#ifndef MEMTALLY_SPAWN_H
#define MEMTALLY_SPAWN_H

#include <sys/resource.h>
#include <sys/types.h>

#include "lib/lib.h"

struct spawn {
	pid_t pid;
	int go_fd;   /* writing one byte lets it exec */
	int fail_fd; /* the exec's errno arrives here; end of file: it succeeded */
};

/*
 * Forks a child that waits. Call before signals are blocked, so that the program starts
 * with the signal mask and handlers the user's shell gave us. memlock: its RLIMIT_MEMLOCK, for
 * libbpf raises ours where the kernel charges maps to it (before Linux 5.11). 0 or -errno.
 */
int spawn_hold(char *const *argv, const struct rlimit *memlock, struct spawn *ret);
/* Lets it exec and waits until that has happened: 0, or the exec's -errno (child reaped). */
int spawn_release(struct spawn *s);
/* Ends a child that was never released; closes the fds. Accepts a zeroed struct. */
void spawn_deinit(struct spawn *s);

#endif
