/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process.h - the processes that are traced, as user space sees them: one entry per
 * process image. A fork makes an entry with a copy of the parent's mappings; an exec ends
 * an image and begins another with the same pid; an ended image stays as long as a report
 * may need its mappings.
 */
#ifndef MEMTALLY_PROCESS_H
#define MEMTALLY_PROCESS_H

#include <sys/types.h>

#include "lib/maps.h"
#include "trace/ranges.h"
#include "unwind.h"

struct process {
	pid_t pid;
	uint64_t key;	      /* proc_key of the BPF side; 0 until it is known */
	uint64_t born_ns;     /* monotonic, of the fork or exec; 0: was there before */
	uint64_t known_ns;    /* when we learned of it, */
	uint64_t known_reads; /* and after how many reads of the event ring */
	char comm[64];	      /* any bytes, NUL-terminated */
	char *exe;	      /* owned; may be NULL */
	struct maps maps;
	struct ranges *ranges; /* NULL until the first mapping event or seeding */
	struct unwind_slice slice;
	bool maps_changed; /* since the unwinder saw them last */
	bool ended;	   /* exited, or replaced by exec */
	bool replaced;	   /* by exec: its memory is gone, not leaked */
	bool in_report;	   /* ended, but its stacks are still to be named */
	bool swept;	   /* ended, and no more blocks of it are to be taken out of the tables */
};

struct processes;

struct processes *processes_new(void);
void processes_free(struct processes *p);
size_t processes_count(const struct processes *p); /* ended ones too */
struct process *processes_at(const struct processes *p, size_t i);
/* The running image of a pid; NULL if it is none of ours. */
struct process *processes_find_pid(const struct processes *p, pid_t pid);
/* By proc_key, ended ones too; NULL if unknown. */
struct process *processes_find_key(const struct processes *p, uint64_t key);

/*
 * The image that a key of that time belongs to: of those whose fork or exec was seen and
 * that have no key yet, the last one by then; ended ones too. NULL: none.
 */
struct process *processes_find_unnamed(const struct processes *p, pid_t pid, uint64_t time_ns);

/*
 * Adds a running process, reading its mappings, comm and exe from /proc. An entry for the
 * same pid is ended first. 0, -ESRCH, -EACCES or -ENOMEM.
 */
int processes_add(struct processes *p, pid_t pid, struct process **ret);
/* A child whose mappings are its parent's. 0 or -ENOMEM. */
int processes_fork(struct processes *p, const struct process *parent, pid_t pid,
		   struct process **ret);
/* Ends the image of pid and begins an empty one; comm as exec set it. 0 or -ENOMEM. */
int processes_exec(struct processes *p, pid_t pid, const char *comm, struct process **ret);

/* The BPF side's event ring was read to its end: to be called each time. */
void processes_ring_read(struct processes *p);

/*
 * Frees what has ended and is not in_report, unless its key may still come. Pointers to other
 * entries stay valid.
 */
void processes_drop_ended(struct processes *p);

/*
 * Adds what a running image has mapped now to its mappings; what it has no more stays, for
 * the stacks that go through it. 0, -ESRCH if it is gone, -EACCES or -ENOMEM.
 */
int process_read_again(struct process *p);

/* Names a program that has not executed yet as it will be named. */
void process_will_run(struct process *p, const char *path);

/* Why a pid can't be a target: 0, or a negative errno with *ret_why set (static text). */
int process_check_target(pid_t pid, const char **ret_why);

/* Seeds p->ranges with what is mapped now, uncounted. 0 or -ENOMEM. */
int process_seed_ranges(struct process *p);

#endif
