/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.h - one epoll set for everything a tracer waits for: event rings, timers,
 * signals, processes that end. Nothing in memtally sleeps for a fixed time.
 */
#ifndef MEMTALLY_LOOP_H
#define MEMTALLY_LOOP_H

#include <sys/types.h>

#include "lib/lib.h"

struct loop;

/* Called when fd is readable. A negative errno ends the loop with that error. */
typedef int (*loop_fn)(void *arg, int fd);

struct loop *loop_new(void);
void loop_free(struct loop *l);

/* Watches fd, which stays the caller's. 0 or -errno. */
int loop_add(struct loop *l, int fd, loop_fn fn, void *arg);
void loop_remove(struct loop *l, int fd);
/*
 * A timer owned by the loop; first and interval in ns (interval 0: once). fn gets the
 * timer's fd after the expirations were read.
 */
int loop_add_timer(struct loop *l, uint64_t first_ns, uint64_t interval_ns, loop_fn fn, void *arg);
/* from_user: sent by kill() and the like, not by the terminal or the kernel. */
typedef int (*loop_signal_fn)(void *arg, int signo, bool from_user);
/* Blocks SIGINT, SIGTERM, SIGHUP and SIGCHLD and delivers them to fn. */
int loop_add_signals(struct loop *l, loop_signal_fn fn, void *arg);

/* Outside a loop: waits until fd is readable or the monotonic time until_ns has come. */
void loop_wait_readable(int fd, uint64_t until_ns);

/* Runs until loop_stop() (0) or an error (-errno). */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);

#endif
