/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe_name.bpf.h - which probe was hit. This header carries a map.
 *
 * Where probes have no cookies (before v5.15, 82e6b1eee6a8 "bpf: Allow to specify
 * user-provided bpf_cookie for BPF perf links") the kernel's own record of the hit tells:
 * each consumer of a uprobe puts the address of a struct uprobe_dispatch_data where
 * current->utask->vaddr is (since v3.14, b7e0bf341f6c "tracing/uprobes: Add @+file_offset
 * fetch method"), which leads to the path and offset that its perf event was opened with.
 * User space has chosen both, so no two probes of different meaning share them.
 */
#ifndef PROBE_NAME_BPF_H
#define PROBE_NAME_BPF_H

#include "common.bpf.h"

/* Filled by user space before it attaches. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* in advance: before v6.1 the kernel warns if not */
	__type(key, struct probe_name);
	__type(value, __u64);
} probe_names SEC(".maps");

static __always_inline __u64 probe_cookie_by_name(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct uprobe_dispatch_data *hit = (void *)BPF_CORE_READ(task, utask, vaddr);
	struct trace_uprobe *probe = BPF_CORE_READ(hit, tu);
	struct probe_name name = {.offset = BPF_CORE_READ(probe, offset)};
	__u64 *cookie;

	bpf_probe_read_kernel_str(name.path, sizeof(name.path), BPF_CORE_READ(probe, filename));
	cookie = bpf_map_lookup_elem(&probe_names, &name);
	return cookie ? *cookie : 0;
}

/* The cookie of the probe that was hit; 0, counted: it can't be told. */
static __always_inline __u64 probe_cookie(void *ctx)
{
	__u64 cookie = cfg.probe_names ? probe_cookie_by_name() : bpf_get_attach_cookie(ctx);

	if (!cookie)
		count(STAT_PROBE_NAME);
	return cookie;
}

#endif
