/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kmem_abi.h - the contract of `memtally kmem` beyond abi.h: what a block's key space means,
 * the configuration, and what is known of a site besides its stack.
 */
#ifndef KMEM_ABI_H
#define KMEM_ABI_H

#include <linux/types.h>

/* What a block is; also block_key.proc_key, so that equal numbers of two kinds are apart. */
enum kmem_kind {
	KMEM_SLAB = 1, /* key: address of the object */
	KMEM_PAGES,    /* struct page * of the first page */
	KMEM_VMALLOC,  /* start of the area */
	KMEM_PERCPU,   /* per-CPU pointer */
	KMEM_KINDS,
};

#define KMEM_NAME	      32
#define KMEM_COMM	      16
/* Larger kmalloc()s are pages of their own and fire their event twice (mm/slub.c). */
#define KMEM_KMALLOC_SLAB_MAX 8192
/* Task, softirq, interrupt, NMI: as deep as one program can interrupt another. */
#define KMEM_LEVELS	      4

#define KMEM_FILTERS 4

/* A cache that is asked for; kmalloc() does not name its cache, size and flags do. */
struct kmem_cache_filter {
	char name[KMEM_NAME];
	__u64 kmalloc_size; /* 0: no cache of kmalloc */
	__u32 kmalloc_gfp, kmalloc_gfp_mask;
};

struct kmem_cfg {
	/* Followed are blocks whose address times the factor, an odd number, is not above. */
	__u64 sample_factor, sample_limit;
	__u64 site_start, site_end; /* call sites in [start, end) only; end 0: any */
	__u32 page_shift;
	__u32 targets;	  /* only allocations on behalf of targets */
	__u32 by_process; /* processes get sites of their own */
	__u32 n_caches;	  /* of caches[] that are asked for; 0: any */
	__u32 twice;	  /* each event has two programs */
	__u32 user_stack; /* sites have the stack of the process too */
	__u32 no_cache;	  /* events do not name an object's cache: its page is asked */
	__u32 cpus;	  /* per-CPU memory is one piece for each of these */
	struct kmem_cache_filter caches[KMEM_FILTERS];
};

/* A slab cache, made when its first object is seen. Key: address of its struct kmem_cache. */
struct kmem_cache_info {
	char name[KMEM_NAME];
	__u32 size; /* bytes that an object takes */
	__u32 wanted;
};

/* How a site began. Key: the site. */
struct kmem_origin {
	__u64 cache;	 /* struct kmem_cache *; 0: kmalloc, or no slab */
	__u64 call_site; /* 0: not known */
	__u64 gfp;
	__u64 cgroup; /* id of the allocating task's cgroup */
	__u64 size;   /* bytes of the first block */
	__u64 user;   /* site of the user stack; 0: none */
	__u32 tgid;   /* as memtally sees it */
	__u32 order;  /* of pages */
	__u32 self;   /* memtally was running; interrupts may have borrowed it */
	__u32 pad;
	char comm[KMEM_COMM];
};

/* What the report-time check found out about a block. */
enum kmem_verdict {
	KMEM_LIVE,
	KMEM_FREE,	 /* on a freelist, in a sheaf, or a page that is free */
	KMEM_NOT_SLAB,	 /* its slab page went back to the page allocator */
	KMEM_UNKNOWN,	 /* cannot be told */
	KMEM_OTHER_KIND, /* a page that is counted elsewhere: slab, large kmalloc, page cache */
	KMEM_VERDICTS,
};

#define KMEM_JUDGE_BATCH 256
#define KMEM_CPUS	 1024 /* of more the check refuses to judge */

/* A block to judge, and what came out. */
struct kmem_judged {
	__u64 address, born_ns;
	__u32 kind;    /* enum kmem_kind */
	__u32 verdict; /* enum kmem_verdict */
};

/* Between user space and the programs that it runs: where things are, and one batch. */
struct kmem_judge {
	__u64 vmemmap, page_offset; /* 0: not known, nothing is judged */
	__u64 page_bytes;
	__u32 cpus, nodes;
	__u32 n;	   /* of blocks[] in this batch */
	__u32 remove;	   /* take blocks that are not live out of the tables */
	__u64 some_page;   /* result of kmem_locate: a struct page pointer */
	__u64 some_object; /* and an object of the slab allocator */
	__u32 page_struct_bytes;
	__u32 matches;	    /* result of kmem_confirm */
	__u32 removed, pad; /* of this batch */
	__u64 cpu_offsets[KMEM_CPUS];
	struct kmem_judged blocks[KMEM_JUDGE_BATCH];
};

_Static_assert(sizeof(struct kmem_judged) == 24, "kmem_judged");
_Static_assert(sizeof(struct kmem_cfg) == 64 + 48 * KMEM_FILTERS, "kmem_cfg");
_Static_assert(sizeof(struct kmem_cache_info) == 40, "kmem_cache_info");
_Static_assert(sizeof(struct kmem_origin) == 80, "kmem_origin");

#endif
