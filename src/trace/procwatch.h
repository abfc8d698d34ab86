/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * procwatch.h - forks, execs, exits and executable mappings of all processes, from the
 * side-band records of perf: one dummy software event per CPU (pid -1). Needs no tracefs
 * and no tracepoint, and loses no process that starts between a look and an attach.
 *
 * What differs from /proc/PID/maps (measured on 6.18):
 *  - The path is seen from the root of the process, not from ours (chroot).
 *  - Device and inode agree with maps, on overlayfs too; older kernels give those of the
 *    layer below there. On btrfs stat() shows another device than both. objects_get()
 *    copes with either, so leave the comparison to it.
 *  - Only mappings with PROT_EXEC are told, and none is told when it goes away.
 *  - An exec is told (EXEC) before the mappings of the new image.
 */
#ifndef MEMTALLY_PROCWATCH_H
#define MEMTALLY_PROCWATCH_H

#include "lib/maps.h"

enum proc_event_type {
	PROC_EVENT_MMAP, /* mapping; its path is valid during the callback only */
	PROC_EVENT_FORK, /* a process, or a thread if pid == ppid; tid is the new one */
	PROC_EVENT_EXIT, /* of the thread tid */
	PROC_EVENT_COMM, /* comm: of the thread tid */
	PROC_EVENT_EXEC, /* comm: as exec set it; tid == pid from now on */
	PROC_EVENT_LOST, /* lost records of one CPU: anything may be missing */
};

struct proc_event {
	enum proc_event_type type;
	pid_t pid, tid, ppid; /* ppid: FORK and EXIT */
	uint64_t time_ns;     /* CLOCK_MONOTONIC */
	struct mapping mapping;
	char comm[64]; /* any bytes, NUL-terminated */
	uint64_t lost;
};

struct procwatch;

/* 0; -EACCES or -EPERM: no CAP_PERFMON; what else perf_event_open() or mmap() said. */
int procwatch_new(struct procwatch **ret);
void procwatch_free(struct procwatch *w);

/* For epoll: readable when there may be records. They stay the watch's. */
size_t procwatch_n_fds(const struct procwatch *w);
int procwatch_fd(const struct procwatch *w, size_t i);

/*
 * Delivers what happened before the call, in the order of time over all CPUs: also what
 * is delivered by a later call is later, unless a CPU was held up while writing a record
 * that nothing delivered depends on. Stops at the first non-zero result of fn and returns
 * it (the rest of this round is gone); -ENOMEM. Not to be called from fn.
 */
int procwatch_drain(struct procwatch *w, int (*fn)(const struct proc_event *e, void *arg),
		    void *arg);

/* Records that the kernel dropped, as far as it has told: it does with a later record. */
uint64_t procwatch_lost(const struct procwatch *w);
/* Changes when records were dropped, or may have been as a ring was found full. */
uint64_t procwatch_gaps(const struct procwatch *w);

#endif
