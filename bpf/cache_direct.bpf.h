/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache_direct.bpf.h - direct I/O by the tracepoints of iomap (absent in v6.1, there in
 * v6.12), charged to who began it.
 *
 * A request that its caller waits for ends in the caller's context, and counts there with
 * the bytes done. An asynchronous one often ends in an interrupt, where the kernel skips
 * programs that are active on that CPU: bursts of ends go unseen on a busy machine. It
 * therefore counts when it has been queued, with all bytes it was queued for; its end, if
 * seen, takes back what an error or a short read left undone.
 */
#ifndef CACHE_DIRECT_BPF_H
#define CACHE_DIRECT_BPF_H

#include "cache_count.bpf.h"
#include "cache_thread.bpf.h"
#include "cache_turns.bpf.h"

#define IOCB_NOWAIT 0x8 /* RWF_NOWAIT */

enum { DIRECT_QUEUED = 1, DIRECT_ENDED = 2 };

struct direct {
	struct cache_key key;
	__u64 queued; /* bytes, set before DIRECT_QUEUED */
	__u32 state;
	__u8 wanted, write;
	__u8 may_not_end; /* nothing to read, or refused for it would have to wait */
	__u8 pad;
};

/* By kiocb. What ended without an event leaves its entry to the next with the same kiocb. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, TABLE_FLAGS);
	__type(key, __u64);
	__type(value, struct direct);
} directs SEC(".maps");

/* Interrupts come in between, so atomic. */
static __always_inline void direct_charge(const struct direct *d, __u64 requests, __s64 bytes)
{
	struct cache_counters *n = d->wanted ? row_find(NULL, &d->key) : NULL;

	if (!n)
		return;
	if (requests)
		__sync_fetch_and_add(d->write ? &n->direct_writes : &n->direct_reads, requests);
	/* clang makes an atomic "or" of an addition of 0, which kernels before v5.12 lack. */
	if (bytes)
		__sync_fetch_and_add(d->write ? &n->direct_write_bytes : &n->direct_read_bytes,
				     bytes);
}

static __always_inline int direct_is_write(struct kiocb___pc *iocb)
{
	__u64 id = (__u64)iocb;
	struct direct *d = bpf_map_lookup_elem(&directs, &id);

	return d && d->write;
}

#ifdef CACHE_CALLS
/* Without an atomic fetch (v5.12): an end at the very instant of the queueing counts twice. */
static __always_inline __u32 direct_state(struct direct *d, __u32 bit)
{
	__u32 old = *(volatile __u32 *)&d->state;

	*(volatile __u32 *)&d->state = old | bit;
	return old;
}
#else
static __always_inline __u32 direct_state(struct direct *d, __u32 bit)
{
	return __sync_fetch_and_or(&d->state, bit);
}
#endif

static __always_inline int direct_ended(struct kiocb___pc *iocb, __s64 bytes)
{
	__u64 id = (__u64)iocb;
	struct direct *d = bpf_map_lookup_elem(&directs, &id);

	if (!d)
		return 0;
	if (direct_state(d, DIRECT_ENDED) & DIRECT_QUEUED)
		direct_charge(d, 0, bytes - d->queued);
	else
		direct_charge(d, 1, bytes);
	bpf_map_delete_elem(&directs, &id);
	return 0;
}

/* The caller won't wait for its `bytes`; the end may have come already. */
static __always_inline int direct_queued(struct cache_thread *t, __u64 bytes)
{
	struct direct *d = bpf_map_lookup_elem(&directs, &t->direct);

	if (!d)
		return 0;
	d->queued = bytes;
	if (!(direct_state(d, DIRECT_QUEUED) & DIRECT_ENDED))
		direct_charge(d, 1, bytes);
	return 0;
}

static __always_inline int direct_began(struct kiocb___pc *iocb, struct iov_iter___pc *iter,
					__u8 write)
{
	struct file___pc *file = KREAD(iocb, ki_filp);
	struct address_space___pc *mapping = KREAD(file, f_mapping);
	struct inode___pc *host = KREAD(mapping, host);
	__u64 left = KREAD(host, i_size) - KREAD(iocb, ki_pos), bytes = KREAD(iter, count);
	struct cache_thread *t = cache_thread();
	struct direct d = {.write = write};
	__u64 id = (__u64)iocb;
	struct direct *old;

	if (!write && (__s64)left < (__s64)bytes)
		bytes = (__s64)left > 0 ? left : 0;
	d.may_not_end = KREAD(iocb, ki_flags) & IOCB_NOWAIT || !bytes;
	old = bpf_map_lookup_elem(&directs, &id);
	if (old && old->wanted && !old->state && !old->may_not_end)
		cache_count(CACHE_STAT_DIRECT_UNENDED, 1);
	d.wanted = cache_wanted();
	if (cache_cfg.by != CACHE_BY_TOTAL)
		row_key(host, &d.key);
	if (d.wanted)
		row_find(host, &d.key);
	if (bpf_map_update_elem(&directs, &id, &d, BPF_ANY))
		cache_count(CACHE_STAT_DIRECT_FULL, 1);
	if (t) {
		t->direct = id;
		t->direct_bytes = bytes;
	}
	return 0;
}

/* Before the begin: what that notes while this is not attached would never end. */
SEC("?tp_btf/iomap_dio_complete")
int BPF_PROG(cache_direct_end, struct kiocb___pc *iocb, int error, ssize_t ret)
{
	return direct_ended(iocb, ret > 0 ? ret : 0);
}

static __always_inline int on_direct_queued(void)
{
	struct cache_thread *t = cache_thread_find();

	return t ? direct_queued(t, t->direct_bytes) : 0;
}

CACHE_PROGRAMS(direct_queued, CACHE_DIRECT_QUEUED, iomap_dio_rw_queued, ctx[1], on_direct_queued())

static __always_inline int on_direct_begin(struct kiocb___pc *iocb, struct iov_iter___pc *iter)
{
	/* Not ki_flags: IOCB_WRITE is not set by write(2). */
	return direct_began(iocb, iter, KREAD(iter, data_source));
}

CACHE_PROGRAMS(direct_begin, CACHE_DIRECT_BEGIN, iomap_dio_rw_begin,
	       KREAD((struct kiocb___pc *)ctx[0], ki_pos),
	       on_direct_begin((void *)ctx[0], (void *)ctx[1]))

/* The pages over the range can't be dropped: the write goes through the cache after all. */
static __always_inline int on_direct_refused(void)
{
	struct cache_thread *t = cache_thread_find();

	if (t)
		bpf_map_delete_elem(&directs, &t->direct);
	return 0;
}

CACHE_PROGRAMS(direct_refused, CACHE_DIRECT_REFUSED, iomap_dio_invalidate_fail, ctx[1],
	       on_direct_refused())

#endif
