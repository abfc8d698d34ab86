/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probes_parts.h - inside struct probes: probes.c searches and asks, probes_links.c opens
 * what holds the probes in the kernel.
 */
#ifndef MEMTALLY_PROBES_PARTS_H
#define MEMTALLY_PROBES_PARTS_H

#include "trace/calibrate.h"
#include "trace/plan.h"
#include "trace/probes.h"
#include "trace/uprobe.h"

#define EVERY_PROCESS 0

/* One object that was searched. */
struct searched {
	const struct object *o;
	struct plan plan;
	struct alloc_found found;
};

/* One object probed for one process (or for all). */
struct attached {
	pid_t pid;
	const struct object *o;
	int *fds; /* links, and on older kernels the perf events under them */
	size_t n, cap;
	bool pending;
};

struct probes {
	struct probes_config cfg;
	struct probes_programs programs;
	struct calibration cal;
	bool multi;   /* one link for all offsets; else one perf event each */
	bool session; /* and one for entry and return */
	bool names;   /* no cookies: the program goes by struct probe_name */
	bool loaded;
	struct searched *searched;
	size_t n_searched, cap_searched;
	struct attached *attached;
	size_t n_attached, cap_attached;
	size_t n_found;
	struct strlist found, skipped, slow;
};

/* Opens the links of a planned object; 0 or a negative errno, with what was opened kept. */
int probes_links_open(const struct probes *p, struct attached *a, const struct plan *plan);
/* Detaches. */
void probes_links_close(struct attached *a);

#endif
