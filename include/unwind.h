/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind.h - layout of the unwind tables: written by src/cfi and src/trace/unwind.c,
 * read by the stack walk in bpf/unwind.bpf.h.
 *
 * Four arrays and a hash table serve every process at once:
 *
 *	mappings  one sorted slice per process: address range -> object
 *	objects   inode -> object, for mappings that no slice knows yet
 *	blocks    per object, one entry per 256 bytes of code -> range of rows
 *	rows      per object, sorted: code offset -> rule, valid up to the next row
 *	rules     interned over all objects: how to get from a frame to its caller
 *
 * A row costs 8 bytes because an element of a BPF array is rounded up to that anyway.
 * At most one row starts at each byte, so that a block holds at most 257 rows and nine
 * halvings always find the right one; three or four are usual.
 */
#ifndef MEMTALLY_UNWIND_H
#define MEMTALLY_UNWIND_H

#include <linux/types.h>

#define UNWIND_MAX_FRAMES   127	  /* as kernel.perf_event_max_stack; fits 1 KiB with one u64 */
#define UNWIND_MAX_RULES    65536 /* 1724 files of a Debian system need 5028 */
#define UNWIND_MAX_MAPPINGS 4095  /* executable mappings of one process */
#define UNWIND_MAX_SEGMENTS 4	  /* executable ones of an object; 1 is usual, 2 seen */
#define UNWIND_BLOCK_SHIFT  8

enum unwind_mode {		 /* --unwind */
		   UNWIND_NONE,	 /* the probed function only */
		   UNWIND_FP,	 /* frame pointers only, tables are never looked at */
		   UNWIND_DWARF, /* tables, frame pointers where they have no row */
};

/* In rodata: constant for the verifier, so that unused paths vanish. */
struct unwind_cfg {
	__u32 max_frames; /* 1 to UNWIND_MAX_FRAMES */
	__u32 mode;	  /* enum unwind_mode */
	__u32 page_shift;
	__u32 find_vma; /* 0: the kernel has no bpf_find_vma() */
};
_Static_assert(sizeof(struct unwind_cfg) == 16, "layout");

/* How a walk ended. Same order as enum stack_status of src/lib/snapshot.h. */
enum walk_status {
	WALK_COMPLETE,	  /* reached the outermost frame */
	WALK_DEPTH,	  /* frame limit */
	WALK_NO_MAPPING,  /* pc in no known mapping: JIT, or mapped a moment ago */
	WALK_NO_ROW,	  /* known object, but no unwind information at pc */
	WALK_UNSUPPORTED, /* a rule that the tables cannot express */
	WALK_FAULT,	  /* stack memory not readable, or the walk made no progress */
	WALK_STATUSES,
};

/* What happened on the way. */
#define WALK_FLAG_FP	 1  /* a frame pointer was trusted: plausible, not proven */
#define WALK_FLAG_TRAMP	 2  /* return address hidden by a pending uretprobe, resolved */
#define WALK_FLAG_SIGNAL 4  /* went through a signal frame */
#define WALK_FLAG_BUSY	 8  /* a mapping could not be looked up: mmap_lock was taken */
#define WALK_FLAG_NEW	 16 /* came through a file that has no table (yet) */
#define WALK_FLAG_RAW	 32 /* user space finished it */
#define WALK_FLAG_ASK	 64 /* during the walk: stop at a file without a table */

/* The two halves of a row are one u64 with pc on top. */
struct unwind_row {
	__u32 rule; /* index in rules */
	__u32 pc;   /* from the object's first covered address */
};
_Static_assert(sizeof(struct unwind_row) == 8, "layout");

enum unwind_kind {		    /* the canonical frame address (CFA) */
		   UNWIND_GAP,	    /* no information */
		   UNWIND_SP,	    /* sp + cfa_off */
		   UNWIND_BP,	    /* frame pointer + cfa_off */
		   UNWIND_BX,	    /* rbx + cfa_off: _dl_runtime_resolve */
		   UNWIND_DSP,	    /* *(sp + cfa_off) + off2 */
		   UNWIND_DBP,	    /* *(frame pointer + cfa_off) + off2: realigned stacks */
		   UNWIND_PLT,	    /* sp + 8, + 8 from byte cfa_off of a 16-byte stub on */
		   UNWIND_SIGFRAME, /* registers lie in the signal frame at sp */
		   UNWIND_STOP,	    /* return address undefined: outermost frame */
		   UNWIND_UNSUP,    /* a rule not listed here */
		   UNWIND_R10,	    /* r10 + cfa_off: realigning prologue, innermost frame only */
		   UNWIND_KINDS,
};

enum unwind_reg {		/* where the caller's value of a register is */
		  UNWIND_SAME,	/* still in the register */
		  UNWIND_CFA,	/* at CFA + offset */
		  UNWIND_BPREL, /* at frame pointer + offset: realigned stacks */
		  UNWIND_LOST,	/* not recoverable */
};

#define UNWIND_RULE_SIGNED 1 /* aarch64: the return address is signed (PAC) here */

/*
 * fp is rbp or x29. aux is the one other register worth tracking: rbx on x86-64, where
 * the return address is always at CFA - 8, and x30, that is the return address, on
 * aarch64.
 */
struct unwind_rule {
	__s32 cfa_off;
	__s16 fp_off, aux_off;
	__u8 kind;    /* enum unwind_kind */
	__u8 fp, aux; /* enum unwind_reg */
	__u8 flags;
	__s32 off2;
};
_Static_assert(sizeof(struct unwind_rule) == 16, "layout");

struct unwind_block {
	__u32 first; /* row in force at the start of the block */
	__u32 n;     /* rows from there to the end of the block */
};
_Static_assert(sizeof(struct unwind_block) == 8, "layout");

struct unwind_mapping {
	__u64 start, end;
	__u64 base; /* runtime address of the object's first covered byte */
	__u32 block, n_blocks;
};
_Static_assert(sizeof(struct unwind_mapping) == 32, "layout");

/* A file as the kernel sees it through a mapping; dev is i_sb->s_dev: major << 20 | minor. */
struct unwind_object_key {
	__u64 ino;
	__u32 dev;
	__u32 pad;
};
_Static_assert(sizeof(struct unwind_object_key) == 16, "layout");

struct unwind_segment {	    /* executable */
	__u64 offset, size; /* in the file, bytes */
	__u64 base;	    /* of the first covered byte, if the file were mapped at 0 */
};

/*
 * size guards against another file with the same numbers, which btrfs has in each of its
 * subvolumes. n_blocks 0: two known files have them, so neither is believed.
 */
struct unwind_object {
	__u64 size; /* of the file, bytes */
	__u32 block, n_blocks;
	struct unwind_segment segments[UNWIND_MAX_SEGMENTS]; /* unused: size 0 */
};
_Static_assert(sizeof(struct unwind_object) == 16 + UNWIND_MAX_SEGMENTS * 24, "layout");

/* The mappings of one process, sorted by start: mappings[lo .. lo + n). n = 0: none. */
struct unwind_slice {
	__u32 lo, n;
};
_Static_assert(sizeof(struct unwind_slice) == 8, "layout");

#endif
