/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache_count.bpf.h - whose counters an event belongs to, and the name of a file when it
 * gets its first ones.
 *
 * Counters are per CPU. Where programs may be preempted (COUNTS_ATOMIC) another task may be at
 * them on the same CPU. Elsewhere they are plain: tracepoints run with preemption off, a program
 * that interrupts itself is skipped and counted by the kernel (recursion_misses), and what runs
 * in interrupts (the end of direct I/O) touches fields of its own.
 */
#ifndef CACHE_COUNT_BPF_H
#define CACHE_COUNT_BPF_H

#include "cache_types.bpf.h"
#include "cache_pending.bpf.h"

#define PATH_DEPTH 40
#define NAME_LEN   256

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cache_row);
} cache_total SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, ROWS_MAX);
	__uint(map_flags, TABLE_FLAGS);
	__type(key, struct cache_key);
	__type(value, struct cache_row);
} cache_rows SEC(".maps");

/* Names that are being gathered, by thread: it may be preempted at it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, struct cache_path_event);
} path_scratches SEC(".maps");

/* What a new entry of a table is copied from; never written. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cache_path_event);
} path_blank SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cache_row);
} row_blank SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* tgid, as in the row */
	__type(value, struct cache_name);
} cache_names SEC(".maps");

/* Adds to a field of the counters n, which are NULL for what is not wanted. */
#define CHARGE(n, field, by)                           \
	do {                                           \
		struct cache_counters *charged_ = (n); \
                                                       \
		if (charged_)                          \
			ADD(&charged_->field, (by));   \
	} while (0)

static __always_inline int cache_wanted(void)
{
#ifdef CACHE_CALLS
	__u32 tgid = task_ids() >> 32;
#else
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	__u32 tgid = cfg.pidns_ino ? task_ids() >> 32 : (__u32)task->tgid;
#endif

	if (tgid == cfg.self_tgid)
		return 0;
	if (cfg.scope == SCOPE_CGROUP)
		return bpf_current_task_under_cgroup(&cgroups, 0) == 1;
	return cache_cfg.system || bpf_map_lookup_elem(&procs, &tgid);
}

static __always_inline void file_key(struct inode___pc *host, struct cache_key *key)
{
	key->id = KREAD(host, i_ino);
	key->dev = KREAD2(host, i_sb, s_dev);
	key->others = 0;
}

static __always_inline void pending_file(struct inode___pc *host, struct pending_key *key)
{
	key->ino = KREAD(host, i_ino);
	key->dev = KREAD2(host, i_sb, s_dev);
	key->chunk = 0;
}

/* The dentry of a node in its inode's list. */
static __always_inline struct dentry___pc *alias_dentry(struct hlist_node___pc *node)
{
	if (bpf_core_field_exists(struct dentry___alias, d_alias))
		return (void *)node - bpf_core_field_offset(struct dentry___alias, d_alias);
	return (void *)node - bpf_core_field_offset(struct dentry___pc, d_u);
}

/* Leaf first, up to the root, which is its own parent. */
static __always_inline void path_fill(struct inode___pc *host, struct cache_path_event *e)
{
	struct hlist_node___pc *node = KREAD(host, i_dentry.first);
	struct dentry___pc *d, *parent;

	e->len = 0;
	e->cut = 0;
	if (!node)
		return;
	d = alias_dentry(node);
	for (int i = 0; i < PATH_DEPTH; i++) {
		long n;

		parent = BPF_CORE_READ(d, d_parent);
		if (!parent || parent == d)
			return;
		if (e->len > CACHE_NAMES - NAME_LEN)
			break;
		n = bpf_probe_read_kernel_str(e->names + (e->len & (CACHE_NAMES - 1)), NAME_LEN,
					      BPF_CORE_READ(d, d_name.name));
		if (n <= 0)
			return;
		e->len += n;
		d = parent;
	}
	e->cut = 1;
}

static __always_inline int path_output(struct inode___pc *host, const struct cache_key *key,
				       struct cache_path_event *e)
{
	__u64 len;

	event_fill(&e->ev, EVENT_CACHE_PATH, 0);
	e->key = *key;
	e->mode = KREAD(host, i_mode);
	e->rdev = KREAD(host, i_rdev);
	path_fill(host, e);
	len = CACHE_PATH_HEADER + (e->len & (2 * CACHE_NAMES - 1));
	if (len > sizeof(*e))
		len = sizeof(*e);
	return bpf_ringbuf_output(&events, e, len, 0);
}

static __noinline int path_send(struct inode___pc *host, const struct cache_key *key)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct cache_path_event *e;
	__u32 zero = 0;

	e = bpf_map_lookup_elem(&path_blank, &zero);
	if (e)
		bpf_map_update_elem(&path_scratches, &id, e, BPF_ANY);
	e = bpf_map_lookup_elem(&path_scratches, &id);
	if (!e || path_output(host, key, e))
		cache_count(CACHE_STAT_PATHS_LOST, 1);
	bpf_map_delete_elem(&path_scratches, &id);
	return 0;
}

static __always_inline void row_key(struct inode___pc *host, struct cache_key *key)
{
	key->dev = 0;
	key->others = 0;
	switch (cache_cfg.by) {
	case CACHE_BY_FILE:
		file_key(host, key);
		break;
	case CACHE_BY_PROCESS:
		key->id = task_ids() >> 32;
		break;
	default:
		key->id = bpf_get_current_cgroup_id();
	}
}

static __always_inline void name_task(__u64 tgid)
{
	struct cache_name name = {.uid = bpf_get_current_uid_gid()};

	bpf_get_current_comm(name.comm, sizeof(name.comm));
	bpf_map_update_elem(&cache_names, &tgid, &name, BPF_ANY);
}

/* Whichever CPU makes a row first announces it. */
static __always_inline struct cache_row *row_make(struct inode___pc *host,
						  const struct cache_key *key)
{
	__u32 zero = 0;
	struct cache_row *row = bpf_map_lookup_elem(&row_blank, &zero);

	if (!row)
		return NULL;
	if (cache_cfg.by == CACHE_BY_PROCESS)
		name_task(key->id);
	if (!bpf_map_update_elem(&cache_rows, key, row, BPF_NOEXIST) &&
	    cache_cfg.by == CACHE_BY_FILE)
		path_send(host, key);
	row = bpf_map_lookup_elem(&cache_rows, key);
	if (!row)
		cache_count(CACHE_STAT_ROWS_FULL, 1);
	return row;
}

static __always_inline struct cache_counters *row_find(struct inode___pc *host,
						       const struct cache_key *key)
{
	struct cache_key others = {.others = 1};
	struct cache_row *row;
	__u32 zero = 0;

	if (cache_cfg.by == CACHE_BY_TOTAL)
		row = bpf_map_lookup_elem(&cache_total, &zero);
	else
		row = bpf_map_lookup_elem(&cache_rows, key);
	if (!row && host && cache_cfg.by != CACHE_BY_TOTAL)
		row = row_make(host, key);
	if (!row && cache_cfg.by != CACHE_BY_TOTAL)
		row = bpf_map_lookup_elem(&cache_rows, &others);
	return row ? &row->n : NULL;
}

/* The counters for what the running task does to this file; NULL: not wanted. */
static __always_inline struct cache_counters *counters_of(struct inode___pc *host)
{
	struct cache_counters *n;
	struct cache_key key;

	if (!cache_wanted())
		return NULL;
	row_key(host, &key);
	n = row_find(host, &key);
	CHARGE(n, events, 1);
	return n;
}

#endif
