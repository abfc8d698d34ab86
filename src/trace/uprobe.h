/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uprobe.h - attaching one BPF program to instructions of a file, below libbpf: libbpf
 * 1.1.2 has neither multi nor session links. Three ways, best first:
 *
 *   session  one link, the program runs at entry and return of a call (v6.13,
 *            d920179b3d48 "bpf: Add support for uprobe multi session attach")
 *   multi    one link for many offsets of one file (v6.6, 89ae89f53d20 "bpf: Add multi
 *            uprobe link")
 *   perf     one perf event per offset (v4.17), cookies since v5.15 (82e6b1eee6a8 "bpf: Allow
 *            to specify user-provided bpf_cookie for BPF perf links")
 *
 * None follows forks. perf's attr.inherit must never be used here: the kernel then makes
 * a new event inside fork() of the traced program and takes the path from the same address
 * in that program's memory. Measured on 6.18: its fork() fails with EINVAL; where the
 * address happens to hold the path there, fork() works but the child's hits do not run
 * the BPF program. To follow forks use pid 0 (every process) and filter in the program,
 * or attach to the child when it appears.
 *
 * Offsets are file offsets. A path may be "/proc/self/fd/N": so a file of another mount
 * namespace, or one without a name any more, is probed through an open descriptor.
 */
#ifndef MEMTALLY_TRACE_UPROBE_H
#define MEMTALLY_TRACE_UPROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bpf_insn;

enum uprobe_kind { UPROBE_ENTRY, UPROBE_RETURN, UPROBE_SESSION };

struct uprobe_multi {
	const char *path;
	const uint64_t *offsets;
	const uint64_t *cookies; /* may be NULL; else n of them */
	size_t n;
	enum uprobe_kind kind;
	/*
	 * 0: every process. Else only that one, all its threads; before v6.10 the kernel
	 * compared the task, see uprobe_features.multi_process.
	 */
	pid_t pid;
};

/*
 * Attaches prog_fd, loaded with expected_attach_type uprobe_attach_type(kind). Returns
 * the link's fd, owned by the caller (closing it detaches all), or a negative errno:
 * -EINVAL also where the kernel does not know such links, -ESRCH for a pid that is gone,
 * -EOPNOTSUPP or -EBADF for a file that cannot be probed.
 */
int uprobe_multi_attach(int prog_fd, const struct uprobe_multi *m);

/* The expected_attach_type a program must be loaded with for multi and session links. */
int uprobe_attach_type(enum uprobe_kind kind);

struct uprobe_perf {
	const char *path;
	uint64_t offset;
	uint64_t cookie; /* 0: none; others need v5.15 */
	pid_t pid;	 /* -1: every process; else that process, all its threads */
	bool is_return;
	bool on_exec; /* stays off until pid executes a program */
};

struct uprobe_perf_link {
	int perf_fd;
	int link_fd; /* -1 without a cookie: the perf event holds the program */
};

/*
 * Attaches prog_fd (no expected_attach_type) through a perf event, without tracefs.
 * 0 or a negative errno; -ENOENT where the kernel has no uprobe PMU. The caller ends it
 * with uprobe_perf_detach(); each one waits for the kernel's RCU grace period.
 */
int uprobe_perf_attach(int prog_fd, const struct uprobe_perf *p, struct uprobe_perf_link *ret);
void uprobe_perf_detach(struct uprobe_perf_link *link);

/*
 * Closes fds of links and perf events in a thread of its own, in order: each such close
 * waits 20 to 60 ms for the kernel's grace period, which takes no CPU time but holds up
 * the caller. Probes may hit until then. Closes them itself where no thread can be made.
 */
void uprobe_close_later(const int *fds, size_t n);

/* What was tried and worked, on an own function of this program. */
struct uprobe_features {
	bool perf;	    /* single probes */
	bool perf_cookie;   /* with cookies */
	bool multi;	    /* multi links, with cookies */
	bool multi_process; /* their pid means the process, not one thread */
	bool session;	    /* session links */
};

/*
 * Attaches and hits each way once, no version is asked (a few ms; the detaching goes on
 * in the background). 0; -EPERM where nothing may be attached at all; another
 * negative errno when the attempt itself could not be made. The caller keeps the result.
 */
int uprobe_features_probe(struct uprobe_features *ret);

/* File offset in /proc/self/exe of a function of this program; -ENOENT if it has none. */
int uprobe_self_offset(const void *function, uint64_t *ret);

/* Loads n instructions as a GPL program for `kind` links, or for perf events (-1). fd. */
int uprobe_prog_load(const struct bpf_insn *insns, size_t n, int kind);

#endif
