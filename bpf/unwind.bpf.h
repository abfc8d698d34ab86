/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind.bpf.h - user stacks of programs without frame pointers, inside BPF. Carries
 * the maps of the tables, which src/trace/unwind.c sizes before load and fills after.
 *
 *	struct walk w;
 *
 *	walk_start(&w, ctx, slice, false);	(a uprobe on the entry of a function)
 *	walk_run(&w, pcs);			(fills pcs, w.n, w.hash, w.status, w.flags)
 *
 * Where things live matters. Uprobe programs are preemptible since 6.0 (commit
 * 8c7dcb84e3b7 "bpf: implement sleepable uprobes by chaining gps"), so that state in a
 * per-CPU map would be shared by two tasks: *w belongs on the BPF stack, pcs in task
 * storage. And since 6.13 (commit a76ab5731e32 "bpf: Find eligible subprogs for private
 * stack support") the BPF stack of a uprobe program is itself per CPU, which crashes a
 * preemptible kernel: every program that walks ends with NO_PRIVATE_STACK(ctx).
 */
#ifndef MEMTALLY_UNWIND_BPF_H
#define MEMTALLY_UNWIND_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "unwind.h"

#ifdef __TARGET_ARCH_arm64
#define WALK_AARCH64 1
#else
#define WALK_AARCH64 0
#endif

/* Set by user space before load; the tables' sizes too. */
const volatile struct unwind_cfg unwind_cfg = {
	.max_frames = UNWIND_MAX_FRAMES,
	.mode = UNWIND_DWARF,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct unwind_row);
} unwind_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct unwind_block);
} unwind_blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct unwind_rule);
} unwind_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct unwind_mapping);
} unwind_mappings SEC(".maps");

/*
 * A program with a tail call gets no private stack; this one never goes anywhere. All
 * programs that use one such array must be of one type, and on newer kernels (6.18) of one
 * expected_attach_type: so others than uprobes, and those of session links, declare their
 * own with NO_PRIVATE_STACK_ARRAY() and use NO_PRIVATE_STACK_BY().
 */
#define NO_PRIVATE_STACK_ARRAY(name)                   \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY); \
		__uint(max_entries, 1);                \
		__type(key, __u32);                    \
		__type(value, __u32);                  \
	} name SEC(".maps")
#define NO_PRIVATE_STACK_BY(name, ctx) bpf_tail_call(ctx, &(name), 0)

NO_PRIVATE_STACK_ARRAY(unwind_no_tail);
#define NO_PRIVATE_STACK(ctx) NO_PRIVATE_STACK_BY(unwind_no_tail, ctx)

#define walk_read(dst, len, addr) bpf_probe_read_user(dst, len, (const void *)(addr))
#define walk_mapping(k)		  ((struct unwind_mapping *)bpf_map_lookup_elem(&unwind_mappings, &(k)))
#define walk_block(k)		  ((struct unwind_block *)bpf_map_lookup_elem(&unwind_blocks, &(k)))
#define walk_row(k)		  ((struct unwind_row *)bpf_map_lookup_elem(&unwind_rows, &(k)))
#define walk_rule(k)		  ((struct unwind_rule *)bpf_map_lookup_elem(&unwind_rules, &(k)))

#define WALK_STEP __noinline

#define WALK_MAX_URETPROBES 64 /* MAX_URETPROBE_DEPTH of the kernel */

struct walk;
#ifdef COMPAT_OLD
static __always_inline struct walk *walk_of_cpu(void);
#define WALK_OF_CPU() walk_of_cpu()
#endif
static __always_inline __u64 walk_untramp(struct walk *w);
static __always_inline int walk_find_vma(struct walk *w, __u64 pc);

#include "unwind_step.bpf.h"

#ifdef COMPAT_OLD
/* Nothing of ours interrupts a walk there: uprobes are not preemptible before v6.0. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk);
} walks SEC(".maps");

static __always_inline struct walk *walk_of_cpu(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&walks, &zero);
}
#define WALK_ON_STACK(w) struct walk *w = walk_of_cpu()
#else
/* Declares a pointer to the state of a walk, on the BPF stack where that can be; or NULL. */
#define WALK_ON_STACK(w) struct walk w##_own, *w = &w##_own
#endif

/*
 * A uretprobe replaces the return address on the stack by its trampoline; the kernel
 * keeps the original in a list, innermost first, with the place it was taken from.
 * Asked only where a pc is in no mapping (the trampoline's own is not in the tables),
 * so that walks without uretprobes pay nothing. The next frame goes on from here.
 */
static __always_inline __u64 walk_untramp(struct walk *w)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct return_instance *ri = (void *)w->tramp_next;

	if (w->tramp == WALK_TRAMP_UNKNOWN)
		w->tramp = BPF_CORE_READ(task, mm, uprobes_state.xol_area, vaddr);
	if (!w->tramp || w->tramp != w->pc)
		return 0;
	if (!ri)
		ri = BPF_CORE_READ(task, utask, return_instances);
	for (int i = 0; i < WALK_MAX_URETPROBES && ri; i++) {
		w->tramp_next = (__u64)ri;
		if (BPF_CORE_READ(ri, stack) == w->slot)
			return BPF_CORE_READ(ri, orig_ret_vaddr);
		ri = BPF_CORE_READ(ri, next);
	}
	return 0;
}

#include "unwind_vma.bpf.h"

/* From plain registers, at any instruction (page faults, samples). slice: may be NULL. */
static __always_inline void walk_start_regs(struct walk *w, const struct walk_regs *regs,
					    const struct unwind_slice *slice)
{
	walk_init(w, regs, slice);
}

/* The registers of a uprobe. In a uretprobe pc already is the real return address. */
static __always_inline struct walk_regs walk_regs_of(struct pt_regs *ctx)
{
	struct walk_regs regs = {
		.pc = PT_REGS_IP(ctx),
		.sp = PT_REGS_SP(ctx),
		.fp = PT_REGS_FP(ctx),
	};

#if WALK_AARCH64
	regs.aux = PT_REGS_RET(ctx);
#else
	regs.aux = ctx->bx;
	regs.r10 = ctx->r10;
#endif
	return regs;
}

/* From a uprobe: on the first instruction of a function, or (is_return) a uretprobe. */
static __always_inline void walk_start(struct walk *w, struct pt_regs *ctx,
				       const struct unwind_slice *slice, bool is_return)
{
	struct walk_regs regs = walk_regs_of(ctx);

	walk_init(w, &regs, slice);
	w->entry = !is_return;
	w->is_ra = is_return;
	if (is_return)
		w->slot = WALK_AARCH64 ? regs.sp : regs.sp - 8;
}

#endif
