/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alloc_spec.h - what one allocator function does, in the 64 bits of a probe's cookie.
 *
 * One BPF program serves every allocator function: which argument is the size, which
 * the pointer, and how success is told comes with the probe. So a new allocator is a
 * new table row, and --alloc/--free need no new program.
 */
#ifndef ALLOC_SPEC_H
#define ALLOC_SPEC_H

#include <linux/types.h>

enum alloc_op {
	ALLOC_OP_NONE,
	ALLOC_OP_ALLOC,	  /* returns new memory */
	ALLOC_OP_REALLOC, /* gives up ptr_arg, returns new memory, or fails and changes nothing */
	ALLOC_OP_RESIZE,  /* changes the size of ptr_arg in place; returns the resulting size */
	ALLOC_OP_FREE,	  /* gives up ptr_arg */
	ALLOC_OP_MMAP,	  /* mmap(addr, length, prot, flags, fd, offset) */
	ALLOC_OP_MUNMAP,  /* munmap(addr, length) */
	ALLOC_OP_MREMAP,  /* mremap(old, old_length, new_length, flags, new) */
};

enum alloc_ok { ALLOC_OK_NONNULL, ALLOC_OK_ZERO, ALLOC_OK_NOT_MINUS1 };

enum alloc_kind { ALLOC_KIND_MALLOC, ALLOC_KIND_MMAP, ALLOC_KIND_CUSTOM };

enum alloc_flags {
	/* May throw: no uretprobe, an unwinder in the target dies on its trampoline. */
	ALLOC_FLAG_THROWS = 1,
	/* The kernel has to single-step the instruction that this cookie's probe is on. */
	ALLOC_FLAG_SLOW = 2,
	/* Calls no other probed function but mmap, munmap and mremap. */
	ALLOC_FLAG_LEAF = 4,
};

/*
 * Arguments are numbered from 1 as the ABI passes them; 0 means none. In the cookie of an
 * entry probe it is the register that holds the argument there, 7: rax.
 */
struct alloc_spec {
	__u8 op;
	__u8 size_arg;	/* bytes */
	__u8 count_arg; /* multiplies size_arg */
	__u8 ptr_arg;	/* old pointer */
	__u8 out_arg;	/* address of the result pointer; 0: the return value */
	__u8 ok;	/* enum alloc_ok, about the return value */
	__u8 kind;
	__u8 flags;
	__u16 sp_moved; /* words that the stack has grown by between entry and probe; FREE only */
	__u16 function; /* index of the probed function, for names */
};

static inline __u64 alloc_spec_pack(const struct alloc_spec *s)
{
	return (__u64)(s->op & 15) | (__u64)(s->size_arg & 7) << 4 |
	       (__u64)(s->count_arg & 7) << 7 | (__u64)(s->ptr_arg & 7) << 10 |
	       (__u64)(s->out_arg & 7) << 13 | (__u64)(s->ok & 3) << 16 |
	       (__u64)(s->kind & 3) << 18 | (__u64)(s->flags & 15) << 20 |
	       (__u64)(s->sp_moved & 255) << 24 | (__u64)s->function << 32;
}

static inline struct alloc_spec alloc_spec_unpack(__u64 cookie)
{
	return (struct alloc_spec){
		.op = cookie & 15,
		.size_arg = cookie >> 4 & 7,
		.count_arg = cookie >> 7 & 7,
		.ptr_arg = cookie >> 10 & 7,
		.out_arg = cookie >> 13 & 7,
		.ok = cookie >> 16 & 3,
		.kind = cookie >> 18 & 3,
		.flags = cookie >> 20 & 15,
		.sp_moved = cookie >> 24 & 0xff,
		.function = cookie >> 32 & 0xffff,
	};
}

_Static_assert(ALLOC_OP_MREMAP < 16, "op has 4 bits in the cookie");
_Static_assert(ALLOC_KIND_CUSTOM < 4, "kind has 2 bits in the cookie");

#endif
