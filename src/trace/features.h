/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * features.h - what the running kernel offers. Everything is found by trying it, never by
 * its version (distributions backport), and tried once.
 */
#ifndef MEMTALLY_FEATURES_H
#define MEMTALLY_FEATURES_H

#include "lib/lib.h"

enum feature {
	FEATURE_BTF,
	FEATURE_RINGBUF,
	FEATURE_TASK_STORAGE,
	FEATURE_CALLBACKS,
	FEATURE_EXCHANGE,
	FEATURE_COOKIE,
	FEATURE_PROBE_NAME,
	FEATURE_UPROBE_MULTI,
	FEATURE_UPROBE_MULTI_PID,
	FEATURE_UPROBE_SESSION,
	FEATURE_TRACEPOINTS,
	FEATURE_FIND_VMA,
	FEATURE_PERCPU_ELEM,
	FEATURE_SLAB_EVENTS,
	FEATURE_PERCPU_SITES,
	FEATURE_EVENTS_SKIPPED,
	FEATURE_PREEMPT_OFF,
	FEATURE_VMALLOC_EVENTS,
	FEATURE_CACHE_EVENTS,
	FEATURE_DIRECT_EVENTS,
	FEATURE_FAULT_EVENTS,
	FEATURE_TASK_ITER,
	FEATURE_CACHESTAT,
	FEATURE_FENTRY,
	FEATURE_KPROBE,
	FEATURE_EXCEPTIONS,
	FEATURE_ABORTS,
	FEATURE_COUNT,
};

/* Whether the kernel has it; the first question tries it. */
bool feature_has(enum feature f);
/* Short name ("uprobe-multi"); what it is for, with the commit that brought it. Static. */
const char *feature_name(enum feature f);
const char *feature_about(enum feature f);

#endif
