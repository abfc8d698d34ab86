/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attach.h - to raw tracepoints and software events; which tracepoints there are, without a
 * mounted tracefs. An event's id is read from a tracefs instance of our own that is mounted
 * nowhere (fsopen/fsmount, v5.2), where the usual places have none: machines in containers and
 * minimal images often don't.
 */
#ifndef MEMTALLY_ATTACH_H
#define MEMTALLY_ATTACH_H

#include "lib/lib.h"

struct bpf_object;
struct bpf_program;
struct bpf_link;

/* Id of a tracepoint: positive; -ENOENT if the kernel has none; -errno. */
int tracepoint_id(const char *category, const char *name);

/* Attaches to a raw tracepoint. 0 or -errno; *ret is the caller's. */
int attach_raw(struct bpf_program *prog, const char *name, struct bpf_link **ret);

/*
 * The program of the same event as its first one that does what all before `turn` were kept from
 * (bpf/turns.bpf.h), 1: the second one; NULL if it has none.
 */
struct bpf_program *program_turn(const struct bpf_object *obj, const struct bpf_program *first,
				 unsigned int turn);
/* Whether it is the first one, or the only one, of its event. */
bool program_is_first(const struct bpf_program *prog);

/*
 * Attaches to every event PERF_COUNT_SW_... on one CPU, of all processes. 0 or -errno,
 * -ENODEV: the CPU is off; *ret is the caller's. Period 1 is never throttled (linux 6.12
 * kernel/events/core.c, perf_swevent_event: the shortcut for period 1).
 */
int attach_software_event(struct bpf_program *prog, uint64_t config, int cpu,
			  struct bpf_link **ret);

#endif
