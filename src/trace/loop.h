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

struct loop *loop_new(void);
void loop_free(struct loop *l);

/*
 * Calls fn whenever fd, which stays the caller's, is readable. A negative errno of fn ends
 * the loop with that error. 0 or -errno.
 */
int loop_add(struct loop *l, int fd, int (*fn)(void *arg, int fd), void *arg);
void loop_remove(struct loop *l, int fd);
struct loop_timer {
	uint64_t first_ns, interval_ns; /* interval 0: once */
};

/* A timer owned by the loop. fn gets the timer's fd after the expirations were read. */
int loop_add_timer(struct loop *l, const struct loop_timer *timer, int (*fn)(void *arg, int fd),
		   void *arg);
/* Sets the timers that call fn with arg anew. 0 or -errno. */
int loop_set_timer(struct loop *l, const struct loop_timer *timer, int (*fn)(void *arg, int fd),
		   void *arg);
/*
 * Blocks SIGINT, SIGTERM, SIGHUP and SIGCHLD and delivers them to fn. from_user: sent by
 * kill() and the like, not by the terminal or the kernel.
 */
int loop_add_signals(struct loop *l, int (*fn)(void *arg, int signo, bool from_user), void *arg);

/* Outside a loop: waits until fd is readable or the monotonic time until_ns has come. */
void loop_wait_readable(int fd, uint64_t until_ns);

/* Runs until loop_stop() (0) or an error (-errno). */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);

#endif
