/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmlinux.h - the kernel types memtally reads, by hand: only the fields used, found by
 * CO-RE on the running kernel whatever their offsets there. Each struct names its user.
 * The build therefore needs the BTF of no machine.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#include <linux/types.h>
#include <linux/bpf.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef int pid_t;
typedef _Bool bool;
enum { false, true };

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#endif

#if defined(__TARGET_ARCH_x86)
/* uprobes, unwind */
struct pt_regs {
	unsigned long r15, r14, r13, r12;
	unsigned long bp, bx;
	unsigned long r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di;
	unsigned long orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31], sp, pc, pstate;
};

struct pt_regs {
	struct user_pt_regs user_regs;
};
#endif

/* unwind: return addresses replaced by pending uretprobes */
struct return_instance {
	unsigned long stack, orig_ret_vaddr;
	struct return_instance *next;
};

struct uprobe_task {
	struct return_instance *return_instances;
};

struct xol_area {
	unsigned long vaddr;
};

struct uprobes_state {
	struct xol_area *xol_area;
};

struct mm_struct {
	struct uprobes_state uprobes_state;
};

/* unwind, leak */
struct task_struct {
	pid_t pid, tgid;
	struct mm_struct *mm;
	struct uprobe_task *utask;
};

struct trace_entry {
	int pid;
};

/* leak: processes made by clone() */
struct trace_event_raw_task_newtask {
	struct trace_entry ent;
	pid_t pid;
	u64 clone_flags;
};

/* kmem */
struct kmem_cache {
	unsigned int size;
	const char *name;
};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif
