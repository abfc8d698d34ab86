/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "methods.h"

#include <string.h>

#include "trace/features.h"

#define NEEDS_MAX 4

/* Rows of one part stand together, the best way first. */
static const struct method {
	const char *command, *part, *text;
	enum feature needs[NEEDS_MAX];
	size_t n;
} methods[] = {
	{"leak",
	 "probes",
	 "entry and return in one program, where returns can be skipped",
	 {FEATURE_UPROBE_SESSION, FEATURE_UPROBE_MULTI, FEATURE_UPROBE_MULTI_PID, FEATURE_RINGBUF},
	 4},
	{"leak",
	 "probes",
	 "all of a file in one link",
	 {FEATURE_UPROBE_MULTI, FEATURE_UPROBE_MULTI_PID, FEATURE_RINGBUF},
	 3},
	{"leak", "probes", "one perf event each", {FEATURE_COOKIE, FEATURE_RINGBUF}, 2},
	{"leak",
	 "probes",
	 "one perf event each, told by name",
	 {FEATURE_PROBE_NAME, FEATURE_RINGBUF},
	 2},
	{"leak", "state", "in the task", {FEATURE_TASK_STORAGE}, 1},
	{"leak", "state", "in a hash table", {0}, 0},
	{"leak", "new code", "at once", {FEATURE_TRACEPOINTS, FEATURE_FIND_VMA}, 2},
	{"leak", "new code", "at once, from the kernel's tree", {FEATURE_TRACEPOINTS}, 1},
	{"leak", "new code", "at the next look", {0}, 0},
	{"kmem", "slab, pages", "raw tracepoints", {FEATURE_RINGBUF}, 1},
	{"kmem", "slab caches", "from the events", {FEATURE_SLAB_EVENTS}, 1},
	{"kmem", "slab caches", "from the pages", {0}, 0},
	{"kmem", "check", "by the allocator's lists", {FEATURE_PERCPU_ELEM}, 1},
	{"kmem", "user stacks", "walked here", {FEATURE_PERCPU_ELEM}, 1},
	{"kmem", "vmalloc", "raw tracepoints", {FEATURE_RINGBUF, FEATURE_VMALLOC_EVENTS}, 2},
	{"faults", "faults", "software events, tracepoints", {FEATURE_RINGBUF}, 1},
	{"faults", "causes", "with error codes, from tracepoints", {FEATURE_EXCEPTIONS}, 1},
	{"faults", "causes", "with error codes, by fentry", {FEATURE_ABORTS}, 1},
	{"faults", "causes", "approximate", {0}, 0},
	{"faults",
	 "bare count",
	 "the kernel's counters of each task",
	 {FEATURE_TASK_ITER, FEATURE_TASK_STORAGE, FEATURE_EXCHANGE, FEATURE_CALLBACKS},
	 4},
	{"faults", "bare count", "software events", {FEATURE_RINGBUF}, 1},
	{"cachestat", "page cache", "typed tracepoints", {FEATURE_BTF, FEATURE_CACHE_EVENTS}, 2},
	{"cachestat", "page cache", "functions by fentry", {FEATURE_FENTRY}, 1},
	{"cachestat", "page cache", "functions by kprobes", {FEATURE_KPROBE}, 1},
	{"cachestat", "page cache", "system calls", {0}, 0},
	{"cachestat", "fault starts", "typed tracepoints", {FEATURE_FAULT_EVENTS}, 1},
	{"cachestat", "fault starts", "software event", {0}, 0},
	{"cachestat", "direct I/O", "typed tracepoints", {FEATURE_BTF, FEATURE_DIRECT_EVENTS}, 2},
	{"cachestat", "direct I/O", "functions by kprobes", {FEATURE_KPROBE}, 1},
	{"cachestat", "direct I/O", "system calls", {0}, 0},
	{"resident", "pages", "cachestat(2)", {FEATURE_CACHESTAT}, 1},
	{"resident", "pages", "mincore(2)", {0}, 0},
	{"resident", "all files", "task-iterators", {FEATURE_TASK_ITER}, 1},
	{"resident", "all files", "/proc", {0}, 0},
};

static const char *lacks(const struct method *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (!feature_has(m->needs[i]))
			return feature_name(m->needs[i]);
	return NULL;
}

static bool same_part(const struct method *a, const struct method *b)
{
	return !strcmp(a->command, b->command) && !strcmp(a->part, b->part);
}

static size_t part_end(size_t at)
{
	size_t end = at + 1;

	while (end < ARRAY_SIZE(methods) && same_part(&methods[at], &methods[end]))
		end++;
	return end;
}

bool method_choice(size_t n, struct method_choice *ret)
{
	size_t at = 0;

	for (; n && at < ARRAY_SIZE(methods); n--)
		at = part_end(at);
	if (at == ARRAY_SIZE(methods))
		return false;
	*ret = (struct method_choice){
		.command = methods[at].command,
		.part = methods[at].part,
		.lacked = lacks(&methods[at]),
	};
	for (size_t i = at; i < part_end(at) && !ret->text; i++)
		if (!lacks(&methods[i]))
			ret->text = methods[i].text;
	return true;
}
