/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * raw_stack.h - a stack whose walk came to a file that has no table yet: what the walk
 * knew there and a copy of the stack, so that user space goes on once it has the table.
 * Sent by bpf/raw_stack.bpf.h, finished by src/trace/finisher.c.
 */
#ifndef RAW_STACK_H
#define RAW_STACK_H

#include "abi.h"

#define RAW_STACK_BYTES 8192u
#define RAW_STACK_SMALL 2048u /* for a main thread with less than that on its stack */
#define RAW_STACK_CHUNK 1024u /* copied at once; the top of the stack cuts the last one */

#define RAW_PER_IMAGE  4096u	   /* raw stacks of one process image */
#define RAW_RING_BYTES (16u << 20) /* RAW_PER_IMAGE of the small ones, and a thousand */

/* The frame that the walk stands in, as struct walk of bpf/unwind_walk.bpf.h has it. */
struct raw_event {
	struct event ev;
	__u64 site;   /* of this one call */
	__u64 thread; /* for site_id() */
	__u64 pc, sp, fp, aux;
	__u64 r10;
	__u64 hash;	 /* of the n frames before */
	__u32 n;	 /* frames before, in pcs */
	__u32 stack_len; /* bytes from sp that could be read */
	__u8 kind;	 /* enum alloc_kind */
	__u8 flags;	 /* WALK_FLAG_* */
	__u8 is_ra, entry, lost;
	__u8 pad[3];
	__u64 pcs[ABI_MAX_FRAMES];
	__u8 stack[RAW_STACK_BYTES]; /* sent in two sizes */
};
#define RAW_EVENT_HEADER __builtin_offsetof(struct raw_event, stack)
_Static_assert(sizeof(struct raw_event) == 104 + 8 * ABI_MAX_FRAMES + RAW_STACK_BYTES, "raw_event");

static inline __attribute__((always_inline)) __u64 hash_mix(__u64 h, __u64 v)
{
	h = (h ^ v) * 0x9E3779B97F4A7C15ULL;
	return h ^ (h >> 32);
}

/*
 * The site of a stack: a hash over the frames (of the walk), the process image, the kind
 * and, if not 0, the thread. At 1M stacks two meet with a chance of 3e-8.
 */
static inline __attribute__((always_inline)) __u64 site_id(__u64 hash, __u64 proc_key, __u8 kind,
							   __u64 thread)
{
	__u64 id = hash_mix(hash_mix(hash, proc_key), kind + 1);

	if (thread)
		id = hash_mix(id, thread);
	return id ? id : 1;
}

#endif
