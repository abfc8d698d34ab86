/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind_vma.bpf.h - mappings that no slice knows yet, looked up in the kernel. Part of
 * unwind.bpf.h; carries maps.
 *
 * The slice of a process follows its mappings by some milliseconds, in which an exec'd
 * program or a fresh library already runs. So a pc that no slice knows is looked up in
 * the kernel's own list, by bpf_find_vma() (v5.17, 7c7e3d31e785 "bpf: Introduce helper
 * bpf_find_vma") or by reading the list without a lock (vma.bpf.h), and the file there by its
 * inode. Never on the ordinary path: a look-up costs as much as two frames.
 *
 * With UNWIND_NO_FIND_VMA it is left out.
 */
#ifndef MEMTALLY_UNWIND_VMA_BPF_H
#define MEMTALLY_UNWIND_VMA_BPF_H

#define WALK_EBUSY 16

/* By inode; filled with every object that has a table, mapped yet or not. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* in advance: before v6.1 the kernel warns if not */
	__type(key, struct unwind_object_key);
	__type(value, struct unwind_object);
} unwind_objects SEC(".maps");

#ifndef UNWIND_NO_FIND_VMA
#include "vma.bpf.h"

struct walk_vma {
	__u64 start, len, offset, size;
	__u64 file; /* 0: not of a file */
	struct unwind_object_key key, overlay;
};

#ifndef COMPAT_OLD
static long walk_on_vma(struct task_struct *task, struct vm_area_struct *vma, void *arg)
{
	struct file *file = vma->vm_file;
	struct walk_vma *v = arg;
	struct inode *inode;

	v->start = vma->vm_start;
	v->len = vma->vm_end - v->start;
	v->offset = vma->vm_pgoff << (unwind_cfg.page_shift & 31);
	v->file = (__u64)file;
	if (!file)
		return 0;
	inode = file->f_inode;
	v->size = inode->i_size;
	v->key.ino = inode->i_ino;
	v->key.dev = inode->i_sb->s_dev;
	return 0;
}
#endif

/* None may be found where the list is being changed: that is -EBUSY too. */
static __always_inline long walk_read_vma(struct walk_vma *v, __u64 pc)
{
	struct mm_struct___vma *mm =
		BPF_CORE_READ((struct task_struct___vma *)bpf_get_current_task(), mm);
	struct vma_scratch *s;
	struct file *file;
	struct inode *inode;
	__u32 zero = 0;

	s = bpf_map_lookup_elem(&vma_scratches, &zero);
	if (!s || !mm || !vma_locate(s, mm, pc))
		return -WALK_EBUSY;
	v->start = VMA_FIELD(s, vm_start);
	v->len = VMA_FIELD(s, vm_end) - v->start;
	v->offset = VMA_FIELD(s, vm_pgoff) << (unwind_cfg.page_shift & 31);
	v->file = VMA_FIELD(s, vm_file);
	file = (void *)v->file;
	inode = BPF_CORE_READ(file, f_inode);
	v->size = BPF_CORE_READ(inode, i_size);
	v->key.ino = BPF_CORE_READ(inode, i_ino);
	v->key.dev = BPF_CORE_READ(inode, i_sb, s_dev);
	return 0;
}

static __always_inline long walk_ask_vma(struct walk_vma *v, __u64 pc)
{
#ifndef COMPAT_OLD
	if (unwind_cfg.find_vma)
		return bpf_find_vma(bpf_get_current_task_btf(), pc, walk_on_vma, v, 0);
#endif
	return walk_read_vma(v, pc);
}

/*
 * On overlayfs f_inode is the file of the layer below, while user space is shown that of
 * the overlay: by f_path, since v6.5 (62d53c4a1dfe "fs: use backing_file container for
 * internal files with \"fake\" f_path") by what surrounds the struct file. If this file
 * is surrounded by nothing, what is read there matches no known file.
 */
static __always_inline void walk_overlay_key(struct walk_vma *v)
{
	struct backing_file *backing = (void *)v->file;
	struct file *file = (void *)v->file;
	struct dentry *dentry;
	struct inode *inode;

	if (bpf_core_type_exists(struct backing_file))
		dentry = BPF_CORE_READ(backing, user_path.dentry);
	else
		dentry = BPF_CORE_READ(file, f_path.dentry);
	inode = BPF_CORE_READ(dentry, d_inode);
	v->overlay.ino = BPF_CORE_READ(inode, i_ino);
	v->overlay.dev = BPF_CORE_READ(inode, i_sb, s_dev);
}

static __always_inline struct unwind_object *walk_vma_object(struct walk_vma *v)
{
	struct unwind_object *o = bpf_map_lookup_elem(&unwind_objects, &v->key);

	return o ? o : bpf_map_lookup_elem(&unwind_objects, &v->overlay);
}

/*
 * A mapping without a table goes into the cache as well: JIT code is not asked for once
 * a frame. -EBUSY: a writer holds mmap_lock, and nobody can wait for it here.
 */
static __always_inline int walk_find_vma(struct walk *w, __u64 pc)
{
	struct walk_vma v = {};
	struct unwind_object *o = NULL;
	__u64 at;
	long err;

	if (w->pc == w->tramp)
		return 0;
	err = walk_ask_vma(&v, pc);
	if (err) {
		w->flags |= err == -WALK_EBUSY ? WALK_FLAG_BUSY : 0;
		return 0;
	}
	w->m_start = v.start;
	w->m_len = v.len;
	w->m_n_blocks = 0;
	w->m_unknown = 1;
	if (!v.file)
		return 0;
	o = bpf_map_lookup_elem(&unwind_objects, &v.key);
	if (!o) {
		walk_overlay_key(&v);
		o = walk_vma_object(&v);
	}
	if (!o || o->size != v.size) {
		w->flags |= WALK_FLAG_NEW;
		return 0;
	}
	at = pc - v.start + v.offset;
	for (int i = 0; i < UNWIND_MAX_SEGMENTS; i++) {
		if (at - o->segments[i].offset >= o->segments[i].size)
			continue;
		w->m_base = pc - at + o->segments[i].base;
		w->m_block = o->block;
		w->m_n_blocks = o->n_blocks;
		w->m_unknown = 0;
		return 1;
	}
	return 0;
}
#else
static __always_inline int walk_find_vma(struct walk *w, __u64 pc)
{
	return 0;
}
#endif

#endif
