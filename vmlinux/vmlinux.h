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
	unsigned long vaddr; /* compat: of a uprobe_dispatch_data */
};

/* compat: which probe was hit, without cookies */
struct trace_uprobe {
	char *filename;
	unsigned long offset;
};

struct uprobe_dispatch_data {
	struct trace_uprobe *tu;
};

struct xol_area {
	unsigned long vaddr;
};

struct uprobes_state {
	struct xol_area *xol_area;
};

struct mm_struct {
	unsigned long start_stack;
	struct uprobes_state uprobes_state;
};

/* unwind, leak; kmem: objects of known caches */
struct task_struct {
	void *stack;
	pid_t pid, tgid;
	struct mm_struct *mm;
	struct files_struct *files;
	struct signal_struct *signal;
	struct sighand_struct *sighand;
	struct uprobe_task *utask;
};

/* unwind: mappings that user space has not told yet */
struct super_block {
	__u32 s_dev;
};

struct inode {
	unsigned long i_ino;
	long long i_size;
	struct super_block *i_sb;
};

struct dentry {
	struct inode *d_inode;
};

struct path {
	struct dentry *dentry;
};

struct file {
	struct inode *f_inode;
	struct path f_path;
};

struct backing_file {
	struct path user_path;
};

struct vm_area_struct {
	unsigned long vm_start, vm_end, vm_pgoff;
	struct file *vm_file;
};

/* kmem */
struct list_head {
	struct list_head *next, *prev;
};

typedef struct {
	int counter;
} atomic_t;

struct page {
	unsigned long compound_head;
	unsigned int page_type;
	atomic_t _refcount;
	void *mapping;
};

struct page___v7 { /* v7.x: renamed */
	unsigned long compound_info;
};

enum pagetype { PGTY_buddy = 0xf0, PGTY_table = 0xf2, PGTY_slab = 0xf5, PGTY_large_kmalloc = 0xf8 };
enum pageflags { PG_lru = 5, PG_slab = 9 };

struct page___v5_16 { /* before v5.17, d122019bf061 "mm: Split slab into its own type" */
	struct kmem_cache *slab_cache;
};

struct slab {
	struct kmem_cache *slab_cache;
	void *freelist;
};

struct kmem_cache_cpu {
	void **freelist;
	struct slab *slab;
};

struct slab_sheaf {
	struct list_head barn_list;
	unsigned int size;
	void *objects[1];
};

struct node_barn {
	struct list_head sheaves_full;
};

struct slub_percpu_sheaves {
	struct slab_sheaf *main, *spare, *rcu_free;
};

struct kmem_cache_node {
	struct node_barn *barn;
};

struct kmem_cache_per_node_ptrs {
	struct node_barn *barn;
};

struct kmem_cache {
	struct kmem_cache_cpu *cpu_slab;
	struct slub_percpu_sheaves *cpu_sheaves;
	unsigned int size, offset, sheaf_capacity;
	const char *name;
	unsigned long random;
	struct kmem_cache_node *node[1];
};

struct kmem_cache___v7 {
	struct kmem_cache_per_node_ptrs per_node[1];
};

struct bpf_array {
	void *pptrs[1];
};

struct bpf_ringbuf {
	struct page **pages;
};

struct bpf_ringbuf_map {
	struct bpf_ringbuf *rb;
};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif
