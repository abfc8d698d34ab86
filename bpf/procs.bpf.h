/* SPDX-License-Identifier: GPL-2.0-or-later */
/* procs.bpf.h - how targets come and go by fork and exec; bodies of tracepoint programs. */
#ifndef PROCS_BPF_H
#define PROCS_BPF_H

#include "common.bpf.h"

#define CLONE_THREAD 0x00010000

/* task:task_newtask, with --follow. Runs in the parent, before the child does. */
static __always_inline int procs_newtask(__u32 child, __u64 clone_flags)
{
	__u32 parent = task_ids() >> 32;
	struct unwind_slice *slice;

	if (clone_flags & CLONE_THREAD)
		return 0;
	if (!bpf_map_lookup_elem(&procs, &parent))
		return 0;
	slice = bpf_map_lookup_elem(&slices, &parent);
	if (slice && bpf_map_update_elem(&slices, &child, slice, BPF_ANY))
		count(STAT_PROCS_FULL);
	proc_add(child, proc_new_key(child));
	return 0;
}

/* sched:sched_process_exec. A new image: nothing of the old one is there any more. */
static __always_inline int procs_exec(void)
{
	__u32 tgid = task_ids() >> 32;

	if (!bpf_map_lookup_elem(&procs, &tgid))
		return 0;
	bpf_map_delete_elem(&slices, &tgid);
	proc_add(tgid, proc_new_key(tgid));
	return 0;
}

#endif
