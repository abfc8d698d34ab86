/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which way the page cache is watched: the tracepoints of reads where the kernel has them; else
 * the functions that read, by fentry or kprobe; else system calls. And what each can't see.
 */
#include <errno.h>

#include "cmd_cache.h"
#include "lib/log.h"
#include "trace/features.h"

static bool can_probe_functions(void)
{
	return feature_has(FEATURE_FENTRY) || feature_has(FEATURE_KPROBE);
}

int cache_method_choose(struct cache *c)
{
	c->method = (enum cache_method)c->o->method;
	if (c->method == CACHE_METHOD_AUTO)
		c->method = feature_has(FEATURE_CACHE_EVENTS) ? CACHE_METHOD_TRACEPOINTS
			    : can_probe_functions()	      ? CACHE_METHOD_FUNCTIONS
							      : CACHE_METHOD_SYSCALLS;
	if (c->method == CACHE_METHOD_TRACEPOINTS && !feature_has(FEATURE_CACHE_EVENTS)) {
		log_error("--method tracepoints: this kernel has no "
			  "filemap:mm_filemap_get_pages (v6.12)");
		return -EOPNOTSUPP;
	}
	if (c->method == CACHE_METHOD_FUNCTIONS && !can_probe_functions()) {
		log_error("--method functions: this kernel has neither fentry nor kprobes");
		return -EOPNOTSUPP;
	}
	return 0;
}

const char *cache_method_name(const struct cache *c)
{
	switch (c->method) {
	case CACHE_METHOD_FUNCTIONS:
		return feature_has(FEATURE_FENTRY) ? "functions (fentry)" : "functions (kprobe)";
	case CACHE_METHOD_SYSCALLS:
		return "syscalls";
	default:
		return "tracepoints";
	}
}

size_t cache_found(const struct cache *c, const char **lines)
{
	size_t n = 0;

	switch (c->method) {
	case CACHE_METHOD_FUNCTIONS:
		lines[n++] = feature_has(FEATURE_FENTRY)
				     ? "reads, mapped files (functions, by fentry)"
				     : "reads, mapped files (functions, by kprobe)";
		break;
	case CACHE_METHOD_SYSCALLS:
		lines[n++] = "reads (system calls)";
		break;
	default:
		lines[n++] = "reads, mapped files (filemap tracepoints)";
	}
	lines[n++] = "dirtied and evicted pages (tracepoints)";
	if (c->direct_events)
		lines[n++] = "direct I/O (iomap tracepoints)";
	else if (c->direct_functions)
		lines[n++] = "direct I/O (kprobes of iomap)";
	else if (c->method == CACHE_METHOD_SYSCALLS)
		lines[n++] = "direct I/O (system calls on files opened with O_DIRECT)";
	return n;
}

size_t cache_skipped(const struct cache *c, const char **lines)
{
	bool syscalls = c->method == CACHE_METHOD_SYSCALLS;
	size_t n = 0;

	lines[n++] = "tmpfs, DAX and FUSE without page cache events";
	if (syscalls) {
		lines[n++] = "mapped files";
		lines[n++] = "reads by sendfile, splice, io_uring, aio, 32-bit programs and "
			     "kernel threads";
	} else {
		lines[n++] = "pages of a mapping after its first fault (16 or more are mapped at "
			     "once)";
		lines[n++] = "single accesses of MAP_POPULATE (approximate)";
	}
	if (c->method == CACHE_METHOD_TRACEPOINTS)
		lines[n++] = "some pages of io_uring and aio reads that are unaligned or random, "
			     "and wait (approximate)";
	else
		lines[n++] = "which of several CPUs used a prefetched page first (approximate)";
	if (c->direct_events || c->direct_functions)
		lines[n++] = "direct I/O on block devices and file systems without iomap";
	else
		lines[n++] = syscalls ? "asynchronous direct I/O" : "direct I/O";
	return n;
}
