/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/features.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <string.h>

#include "trace/attach.h"
#include "trace/uprobe.h"

static bool probe_btf(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool ok = btf && !libbpf_get_error(btf);

	if (ok)
		btf__free(btf);
	return ok;
}

static bool probe_ringbuf(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 1;
}

static bool probe_task_storage(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL) == 1 &&
	       libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_task_storage_get, NULL) == 1;
}

static bool probe_find_vma(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_find_vma, NULL) == 1;
}

static bool probe_exceptions(void)
{
	return tracepoint_id("exceptions", "page_fault_user") > 0;
}

static bool probe_tracepoints(void)
{
	return tracepoint_id("sched", "sched_process_exec") > 0;
}

/* All of them are tried in one go. */
static const struct uprobe_features *uprobes(void)
{
	static struct uprobe_features f;
	static bool tried;

	if (!tried && uprobe_features_probe(&f))
		f = (struct uprobe_features){0};
	tried = true;
	return &f;
}

static bool probe_cookie(void)
{
	return uprobes()->perf_cookie;
}

static bool probe_multi(void)
{
	return uprobes()->multi;
}

static bool probe_multi_pid(void)
{
	return uprobes()->multi_process;
}

static bool probe_session(void)
{
	return uprobes()->session;
}

static const struct {
	const char *name, *about;
	bool (*probe)(void);
} features[FEATURE_COUNT] = {
	[FEATURE_BTF] = {"btf", "kernel types for CO-RE; needed by everything", probe_btf},
	[FEATURE_RINGBUF] = {"ringbuf",
			     "BPF ring buffer; needed by everything (v5.8, 457f44363a88)",
			     probe_ringbuf},
	[FEATURE_TASK_STORAGE] = {"task-storage",
				  "state by thread; else a hash table (v5.12, a10787e6d58c)",
				  probe_task_storage},
	[FEATURE_COOKIE] = {"uprobe-cookie", "one program for all functions (v5.15, 82e6b1eee6a8)",
			    probe_cookie},
	[FEATURE_UPROBE_MULTI] = {"uprobe-multi",
				  "all probes of a file in one link (v6.6, 89ae89f53d20)",
				  probe_multi},
	[FEATURE_UPROBE_MULTI_PID] = {"uprobe-multi-pid",
				      "multi links see all threads of a process "
				      "(v6.10, 46ba0e49b642)",
				      probe_multi_pid},
	[FEATURE_UPROBE_SESSION] = {"uprobe-session",
				    "entry and return in one program (v6.13, d920179b3d48)",
				    probe_session},
	[FEATURE_TRACEPOINTS] = {"tracepoints", "process events; needed by --follow and exec",
				 probe_tracepoints},
	[FEATURE_FIND_VMA] = {"find-vma",
			      "whole stacks at once after exec and dlopen (v5.17, 7c7e3d31e785)",
			      probe_find_vma},
	[FEATURE_EXCEPTIONS] = {"exceptions",
				"error codes of page faults: exact causes, at less cost",
				probe_exceptions},
};

/* MEMTALLY_WITHOUT="NAME,NAME": as if the kernel had not these, to test what then happens. */
static bool is_denied(const char *name)
{
	const char *denied = getenv("MEMTALLY_WITHOUT");
	size_t len = strlen(name), n;

	for (; denied && *denied; denied += n + (denied[n] == ',')) {
		n = strcspn(denied, ",");
		if (n == len && strncmp(denied, name, n) == 0)
			return true;
	}
	return false;
}

bool feature_has(enum feature f)
{
	static enum {
		UNKNOWN,
		NO,
		YES
	} known[FEATURE_COUNT]; /* a cache: the kernel won't change */

	if (known[f] == UNKNOWN)
		known[f] = !is_denied(features[f].name) && features[f].probe() ? YES : NO;
	return known[f] == YES;
}

const char *feature_name(enum feature f)
{
	return features[f].name;
}

const char *feature_about(enum feature f)
{
	return features[f].about;
}
