/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracer_parts.h - the parts of the tracer among themselves: tracer.c (its life),
 * tracer_targets.c (who is traced), tracer_watch.c (what processes do), tracer_end.c (when
 * to report and when it is over).
 */
#ifndef MEMTALLY_TRACER_PARTS_H
#define MEMTALLY_TRACER_PARTS_H

#include "trace/loop.h"
#include "trace/procwatch.h"
#include "trace/ringbuf.h"
#include "trace/spawn.h"
#include "trace/tracer.h"

struct exit_watch {
	struct tracer *t;
	pid_t pid;
	int fd; /* pidfd; -1 once it has ended */
};

struct tracer {
	struct tracer_config cfg;
	struct tracer_ops ops;
	void *arg;
	struct loop *loop;
	struct objects *objects;
	struct processes *processes;
	struct unwinder *unwinder;
	struct procwatch *watch;
	struct ringbuf ring, raws; /* raws: not open where not in use */
	struct tracer_maps maps;
	struct spawn spawn;
	bool spawn_began, spawn_ended;
	int spawn_status;
	struct exit_watch **exits;
	size_t n_exits, cap_exits;
	size_t running; /* processes watched that have not ended */
	bool bound, finished;
	uint64_t gaps;	    /* of the process events, that were looked after */
	uint64_t lost_told; /* process events by then */
	uint64_t lost;	    /* of these: there was no one to ask what they told */
	uint64_t ticks, start_ns;
	unsigned int interrupts;
};

/* Fills t->processes by what the configuration asks for. -errno with *ret_msg set. */
int targets_add(struct tracer *t, char **ret_msg);

/* Tells the command, if it wants to know. What it returns. */
int tell_object(struct tracer *t, struct process *p, struct object *o);
int tell_process(struct tracer *t, struct process *p);
/* Tells the command of an executable mapping. */
int watch_announce(struct tracer *t, struct process *p, const struct mapping *m);
/* Gives the walk in BPF the mappings of a process as they are now. */
int watch_publish(struct tracer *t, struct process *p);
/* Reads the process events of the kernel. */
int watch_drain(struct tracer *t);
/*
 * The process of a record with its mappings up to date. 0; *ret NULL: it was gone before
 * anyone could look.
 */
int watch_image(struct tracer *t, const struct event *ev, struct process **ret);
/* Callback of the BPF event ring. */
int watch_on_record(void *arg, const void *data, size_t len);

/* The rings of events and of stacks to be finished, as t->maps has them: 0 or -errno. */
int rings_open(struct tracer *t);

/* Waits for the end of a process: 0, -ESRCH if it has ended already, -errno. */
int end_watch(struct tracer *t, pid_t pid);
/* Ends the run if nothing is left to trace. */
int end_try(struct tracer *t);
int end_on_signal(void *arg, int signo, bool from_user);
int end_on_interval(void *arg, int fd);
int end_on_duration(void *arg, int fd);

#endif
