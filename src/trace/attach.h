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

/* Links in the order they were made. Zeroed: none. */
struct links {
	struct bpf_link **v;
	size_t n, cap;
};

/*
 * Keeps what an attaching function of libbpf returned, which is destroyed if there is no memory
 * for that. 0 or -errno, that of the function if it failed.
 */
int links_keep(struct links *l, struct bpf_link *link);
/* Detaches all, the last one first. */
void links_drop(struct links *l);

/* Attaches to a raw tracepoint. 0 or -errno. */
int attach_raw(struct links *l, struct bpf_program *prog, const char *name);

/*
 * An event may have several programs, each of which does what all before it were kept from
 * (bpf/turns.bpf.h). The one of this turn, 1: the second one; NULL: there is none.
 */
struct bpf_program *program_turn(const struct bpf_object *obj, const struct bpf_program *first,
				 unsigned int turn);
/*
 * Sets whether an event's programs are loaded: `usual` of them, or all that there are on a kernel
 * that skips events (FEATURE_EVENTS_SKIPPED). Of no other is anything set.
 */
void turns_load(const struct bpf_object *obj, struct bpf_program *first, unsigned int usual,
		bool load);
/* Attaches these to a raw tracepoint, the first one first. 0 or -errno. */
int turns_attach(struct links *l, const struct bpf_object *obj, struct bpf_program *first,
		 unsigned int usual, const char *name);
/* Whether it is the first one, or the only one, of its event. */
bool program_is_first(const struct bpf_program *prog);

/*
 * Attaches to every event PERF_COUNT_SW_... on each CPU that is on, of all processes. 0 or -errno.
 * Period 1 is never throttled (linux 6.12 kernel/events/core.c, perf_swevent_event: the shortcut
 * for period 1).
 */
int attach_software_event(struct links *l, struct bpf_program *prog, uint64_t config);

#endif
