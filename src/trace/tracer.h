/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracer.h - the life of a run, the same for every command: which processes, when to
 * report, when it ends. A command gives a few functions and never sees a signal, a
 * timer or a pid.
 *
 *	tracer_new	targets are checked, a program is started and held
 *	tracer_scan	ops->object for every executable file mapped (or about to be)
 *	  (the command opens, sizes and loads its BPF object)
 *	tracer_bind	the processes are made known to the BPF side
 *	  (the command attaches its probes)
 *	tracer_run	the program goes on; ticks and events until the end
 *	tracer_free
 */
#ifndef MEMTALLY_TRACER_H
#define MEMTALLY_TRACER_H

#include <sys/resource.h>

#include "abi.h"
#include "lib/object.h"
#include "trace/loop.h"
#include "trace/process.h"
#include "trace/unwinder.h"

struct tracer_config {
	const int *pids;
	size_t n_pids;
	bool follow, all;
	/*
	 * What is counted belongs to the machine: no process is known here or to the BPF side,
	 * and the run ends by time, by count or by a signal. Without targets only.
	 */
	bool machine;
	/*
	 * The kernel is the target: pids and a cgroup only say whose calls count, any process may
	 * be one, and nothing of their mappings is followed; no program. No target: the machine.
	 * Without tracer_bind() there are only ticks.
	 */
	bool kernel;
	const char *cgroup;    /* path of a cgroup v2 directory, or NULL */
	char *const *program;  /* NULL-terminated, or NULL */
	struct rlimit memlock; /* the program's RLIMIT_MEMLOCK */
	uint64_t interval_ns;  /* 0: one report at the end */
	uint64_t count;	       /* reports; 0: no limit */
	uint64_t duration_ns;  /* 0: no limit */
	bool no_stacks;	       /* no unwind tables are made */
};

struct tracer;

/* Each but tick may be NULL: nothing is to be done. */
struct tracer_ops {
	/* A process has this file mapped executable (or will, before its first instruction). */
	int (*object)(void *arg, struct process *p, struct object *o);
	/* A record of the event ring; EVENT_PROC is the tracer's own affair. */
	int (*event)(void *arg, const struct event *ev, size_t len);
	/* A stack that was finished late; call_site is the one site that the BPF side gave it. */
	int (*stack)(void *arg, const struct stack_event *ev, uint64_t call_site);
	/* Time for a report; last: the run is over. */
	int (*tick)(void *arg, bool last);
	/* A process image has begun (its key is known), or ended: then it may be freed. */
	int (*process)(void *arg, struct process *p);
};

/* The maps that the tracer shares with the BPF side (bpf/common.bpf.h). */
struct tracer_maps {
	int procs, slices, events, cgroups;
	int raws;	     /* 0: not in use */
	uint32_t max_frames; /* with raws */
};

/*
 * 0, or a negative errno with *ret_msg a line that says what was wrong with which target
 * (owned by the caller; may be NULL).
 */
int tracer_new(const struct tracer_config *c, const struct tracer_ops *ops, void *arg,
	       struct tracer **ret, char **ret_msg);
void tracer_free(struct tracer *t);

struct processes *tracer_processes(struct tracer *t);
struct objects *tracer_objects(struct tracer *t);
struct unwinder *tracer_unwinder(struct tracer *t);

/* As loop_add_timer(); it runs during tracer_run(). */
int tracer_add_timer(struct tracer *t, const struct loop_timer *timer, int (*fn)(void *arg, int fd),
		     void *arg);

/* As loop_add(): fn is called while fd is readable, during tracer_run(). */
int tracer_add_fd(struct tracer *t, int fd, int (*fn)(void *arg, int fd), void *arg);
/* During tracer_run(), where there is an interval: another one from now on. 0 or -errno. */
int tracer_set_interval(struct tracer *t, uint64_t ns);
/* During tracer_run(): the last report, then it returns. 0 or what the report returned. */
int tracer_stop(struct tracer *t);

int tracer_scan(struct tracer *t);
struct bpf_object;
/* obj: loaded; its unwind tables are filled. NULL: the command takes no stacks. */
int tracer_bind(struct tracer *t, const struct tracer_maps *maps, struct bpf_object *obj);
/* 0 at a regular end; -errno. The exec of a program that can't be started: its -errno. */
int tracer_run(struct tracer *t);
/* Has the exec of the program succeeded? Until then an error is about the program. */
bool tracer_program_began(const struct tracer *t);
/* Reads what the rings hold; a tick should begin with it. */
int tracer_drain(struct tracer *t);
/* Finishes stacks only; may be called from ops->event. */
int tracer_drain_raws(struct tracer *t);
/*
 * After tracer_run(): ends the program we started, if it still runs. True if there was a
 * program and it has ended: *ret_status is then its wait status.
 */
bool tracer_finish_program(struct tracer *t, int *ret_status);
/*
 * Process events that the kernel lost and that nobody can tell any more, as a target has
 * ended since: mappings may be missing. After any loss the mappings of targets are read again.
 */
uint64_t tracer_lost(const struct tracer *t);
/* Process events that the kernel lost, and that nothing is missing of. */
uint64_t tracer_repaired(const struct tracer *t);
/* Monotonic time at which tracer_bind() was called; 0 before. */
uint64_t tracer_start_ns(const struct tracer *t);

#endif
