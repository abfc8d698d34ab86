/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * raw_stack.h - a stack whose walk came to a file that has no table yet: what the walk
 * knew there and a copy of the stack, so that user space goes on once it has the table.
 * Sent by bpf/raw_stack.bpf.h, finished by src/trace/finisher.c.
 */
#ifndef RAW_STACK_H
#define RAW_STACK_H

#include "abi.h"

#define RAW_STACK_BYTES	 8192u
#define RAW_STACK_SMALL	 2048u /* for a main thread with less than that on its stack */
#define RAW_STACK_CHUNK	 1024u /* copied at once; the top of the stack cuts the last one */
#define RAW_FRAMES_SMALL 16u   /* room for frames in the small record */

#define RAW_PER_IMAGE  7168u	   /* raw stacks of one process image */
#define RAW_RING_BYTES (16u << 20) /* RAW_PER_IMAGE of the small ones */

/* The frame that the walk stands in, as struct walk of bpf/unwind_walk.bpf.h has it. */
struct raw_event {
	struct event ev;
	__u64 site;   /* of this one call */
	__u64 thread; /* for site_id() */
	__u64 pc, sp, fp, aux;
	__u64 r10;
	__u64 hash;	 /* of the n frames before */
	__u32 n;	 /* frames before */
	__u32 stack_len; /* bytes from sp that could be read */
	__u8 kind;	 /* enum alloc_kind */
	__u8 flags;	 /* WALK_FLAG_* */
	__u8 is_ra, entry, lost;
	__u8 room; /* for frames, in data */
	__u8 pad[2];
	__u64 data[ABI_MAX_FRAMES + RAW_STACK_BYTES / 8]; /* room frames, then the stack */
};
#define RAW_EVENT_HEADER      __builtin_offsetof(struct raw_event, data)
#define RAW_EVENT_SIZE(fr, b) (RAW_EVENT_HEADER + (fr)*8 + (b))
_Static_assert(sizeof(struct raw_event) == 104 + 8 * ABI_MAX_FRAMES + RAW_STACK_BYTES, "raw_event");
_Static_assert(RAW_PER_IMAGE *(RAW_EVENT_SIZE(RAW_FRAMES_SMALL, RAW_STACK_SMALL) + 8) <=
		       RAW_RING_BYTES,
	       "raws of an image");

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
