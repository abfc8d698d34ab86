/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leak_check.c - what can be told to be wrong before anything is attached.
 */
#include <errno.h>

#include "leak.h"
#include "lib/log.h"
#include "trace/features.h"

/* What nothing works without, and how to say that it is missing. */
int leak_check_kernel(void)
{
	const struct {
		enum feature feature;
		const char *missing;
	} needs[] = {
		{FEATURE_BTF,
		 "BTF type information (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF)"},
		{FEATURE_RINGBUF, "BPF ring buffer (v5.8 or newer)"},
		{feature_has(FEATURE_COOKIE) ? FEATURE_COOKIE : FEATURE_PROBE_NAME,
		 "cookies of uprobes (v5.15 or newer), nor a record of which one was hit"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if (feature_has(needs[i].feature))
			continue;
		log_error("this kernel has no %s", needs[i].missing);
		return -EOPNOTSUPP;
	}
	return 0;
}

/* The tracepoint of fork tells pids of the initial namespace only. */
int leak_check_follow(const struct leak *l)
{
	if (!l->o->common.follow || !cmd_in_pid_namespace())
		return 0;
	log_error("--follow needs the initial pid namespace: run memtally outside the container");
	return -EOPNOTSUPP;
}

/* A function named by --alloc or --free that no mapped file has is a mistake of the user. */
int leak_check_specs(struct leak *l)
{
	for (size_t i = 0; i < l->n_custom; i++) {
		const struct alloc_custom *c = &l->custom[i];

		if (allocators_matched(l->allocators, i))
			continue;
		log_error("no function '%s' in what the target maps as '%s'", c->function,
			  c->object[0] ? c->object : "exe");
		return -ENOENT;
	}
	return 0;
}
