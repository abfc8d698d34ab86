/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs of the walk's own tests: every stack to user space, or counted by hash. */
#define WALK_WINDOW 1024 /* as leak has it */
#include "unwind.bpf.h"
#include "walk_record.h"

char LICENSE[] SEC("license") = "GPL";

const volatile bool leaf_is_return;
const volatile __u32 stop_every; /* hits; lets another unwinder see the same stack */

__u32 until_stop;

struct scratch {
	struct walk_record rec;
	struct walk walk;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct unwind_slice);
} slices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u64);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16384);
	__uint(key_size, 4);
	__uint(value_size, 127 * 8);
} kernel_stacks SEC(".maps");

NO_PRIVATE_STACK_ARRAY(no_tail_raw_tp);

struct walk_totals totals; /* atomically: hits come from several CPUs */

static __always_inline struct scratch *record_get(struct unwind_slice *slice)
{
	struct scratch *s;
	__u64 id = bpf_get_current_pid_tgid();
	__u32 pid = id >> 32;
	struct unwind_slice *known = bpf_map_lookup_elem(&slices, &pid);

	if (!known)
		return NULL;
	*slice = *known;
	__sync_fetch_and_add(&totals.hits, 1);
	s = bpf_task_storage_get(&scratches, bpf_get_current_task_btf(), 0,
				 BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!s)
		__sync_fetch_and_add(&totals.no_storage, 1);
	else
		s->rec.head.pid = pid, s->rec.head.tid = (__u32)id;
	return s;
}

static __always_inline void record_finish(struct walk_record *rec, const struct walk *w)
{
	rec->head.hash = w->hash;
	rec->head.n = w->n;
	rec->head.status = w->status;
	rec->head.flags = w->flags;
	__sync_fetch_and_add(&totals.frames, w->n);
	if (w->flags & WALK_FLAG_BUSY)
		__sync_fetch_and_add(&totals.busy, 1);
	if (w->flags & WALK_FLAG_NEW)
		__sync_fetch_and_add(&totals.new_file, 1);
	if (w->status < WALK_STATUSES)
		__sync_fetch_and_add(&totals.status[w->status], 1);
}

static __always_inline void record_send(struct walk_record *rec)
{
	__u64 len = rec->head.n;

	len = len * 8 + offsetof(struct walk_record, pcs);
	if (len > sizeof(*rec))
		len = sizeof(*rec);
	if (bpf_ringbuf_output(&records, rec, len, 0))
		__sync_fetch_and_add(&totals.dropped, 1);
}

/* Every stack. */
SEC("uprobe")
int every_enter(struct pt_regs *ctx)
{
	struct unwind_slice slice;
	struct scratch *s = record_get(&slice);
	struct walk_record *rec;
	struct walk *w;

	if (!s)
		return 0;
	rec = &s->rec;
	w = &s->walk;
	walk_start(w, ctx, &slice, leaf_is_return);
	walk_run(w, rec->pcs);
	record_finish(rec, w);
	rec->head.seq = PT_REGS_PARM1(ctx);
	rec->head.stopped = stop_every && ++until_stop % stop_every == 0;
	record_send(rec);
	if (rec->head.stopped)
		bpf_send_signal_thread(19); /* SIGSTOP */
	NO_PRIVATE_STACK(ctx);
	return 0;
}

/* Distinct stacks only, counted: the way of leak, and what is measured. */
SEC("uprobe")
int count_enter(struct pt_regs *ctx)
{
	struct unwind_slice slice;
	struct scratch *s = record_get(&slice);
	__u64 one = 1, *count;
	struct walk_record *rec;
	struct walk *w;

	if (!s)
		return 0;
	rec = &s->rec;
	w = &s->walk;
	walk_start(w, ctx, &slice, leaf_is_return);
	walk_run(w, rec->pcs);
	record_finish(rec, w);
	count = bpf_map_lookup_elem(&stacks, &w->hash);
	if (count) {
		__sync_fetch_and_add(count, 1);
	} else if (!bpf_map_update_elem(&stacks, &w->hash, &one, BPF_NOEXIST)) {
		__sync_fetch_and_add(&totals.new_stacks, 1);
		record_send(rec);
	}
	NO_PRIVATE_STACK(ctx);
	return 0;
}

/* The kernel's frame-pointer walk, for comparison. */
SEC("uprobe")
int stackid_enter(struct pt_regs *ctx)
{
	__sync_fetch_and_add(&totals.hits, 1);
	if (bpf_get_stackid(ctx, &kernel_stacks, BPF_F_USER_STACK) < 0)
		__sync_fetch_and_add(&totals.dropped, 1);
	return 0;
}

/* Leaf pc anywhere: x86 page faults {address, regs, error_code}. */
SEC("raw_tp/page_fault_user")
int fault_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct unwind_slice slice;
	struct scratch *s = record_get(&slice);
	struct walk_regs regs = {};
	struct walk_record *rec;
	struct walk *w;

	if (!s)
		return 0;
	rec = &s->rec;
	w = &s->walk;
#if !WALK_AARCH64
	struct pt_regs *kregs = (struct pt_regs *)ctx->args[1];

	regs.pc = BPF_CORE_READ(kregs, ip);
	regs.sp = BPF_CORE_READ(kregs, sp);
	regs.fp = BPF_CORE_READ(kregs, bp);
	regs.aux = BPF_CORE_READ(kregs, bx);
	regs.r10 = BPF_CORE_READ(kregs, r10);
#endif
	walk_start_regs(w, &regs, &slice);
	walk_run(w, rec->pcs);
	record_finish(rec, w);
	rec->head.seq = ctx->args[0];
	record_send(rec);
	NO_PRIVATE_STACK_BY(no_tail_raw_tp, ctx);
	return 0;
}

/* New executable mapping: a record without frames, {n = 0}; seq is the time. */
SEC("raw_tp/sys_exit")
int mmap_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct walk_head rec = {};
	__u32 pid = id >> 32;

	if (!bpf_map_lookup_elem(&slices, &pid))
		return 0;
#if !WALK_AARCH64
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];

	if (BPF_CORE_READ(regs, orig_ax) != 9 || !(BPF_CORE_READ(regs, dx) & 4))
		return 0;
#endif
	rec.seq = bpf_ktime_get_ns();
	rec.pid = pid;
	if (bpf_ringbuf_output(&records, &rec, sizeof(rec), 0))
		__sync_fetch_and_add(&totals.dropped, 1);
	return 0;
}

/* Makes the kernel replace return addresses. */
SEC("uretprobe")
int nothing_exit(void *ctx)
{
	return 0;
}
