/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kmem_page.bpf.h - what a page is used for, as its struct page says; where the page of an
 * address is. Layouts by CO-RE; v6.1 to v7.x (linux/page-flags.h).
 */
#ifndef KMEM_PAGE_BPF_H
#define KMEM_PAGE_BPF_H

#include "common.bpf.h"
#include "kmem_abi.h"

struct kmem_judge kmem_judge;

static __always_inline __u64 read_u64(__u64 address)
{
	__u64 v = 0;

	bpf_probe_read_kernel(&v, sizeof(v), (void *)address);
	return v;
}

static __always_inline __u64 page_of(__u64 address)
{
	__u64 frame;

	if (!kmem_judge.vmemmap || address < kmem_judge.page_offset)
		return 0;
	frame = (address - kmem_judge.page_offset) / kmem_judge.page_bytes;
	return compat_page_head(kmem_judge.vmemmap + frame * bpf_core_type_size(struct page));
}

/* enum pagetype of a page, or 0. */
static __always_inline __u32 page_kind(__u64 page)
{
	struct page *p = (void *)page;
	__u32 t = BPF_CORE_READ(p, page_type);

	return t >= 0xf0000000 && t < 0xff000000 ? t >> 24 : 0;
}

/*
 * What tells the page of a slab: since v6.12 its type (4ffca5a96678 "mm: support only one
 * page_type per page"), before v6.10 a flag (46df8e73a4a3 "mm: free up PG_slab"). Between the
 * two nothing is judged.
 */
#define KNOWS_TYPES bpf_core_enum_value_exists(enum pagetype, PGTY_slab)
#define KNOWS_FLAG  bpf_core_enum_value_exists(enum pageflags, PG_slab)

static __always_inline int page_is(__u64 page, __u32 kind)
{
	return page_kind(page) == kind;
}

/* The flags are the first word of struct page, whatever their type. */
static __always_inline int page_flag(__u64 page, __u32 bit)
{
	return read_u64(page) >> (bit & 63) & 1;
}

static __always_inline int page_is_slab(__u64 page)
{
	return KNOWS_TYPES ? page_is(page, bpf_core_enum_value(enum pagetype, PGTY_slab))
			   : page_flag(page, bpf_core_enum_value(enum pageflags, PG_slab));
}

/* The cache of a slab's page. */
static __always_inline struct kmem_cache *page_cache(__u64 page)
{
	if (bpf_core_type_exists(struct slab))
		return BPF_CORE_READ((struct slab *)page, slab_cache);
	return BPF_CORE_READ((struct page___v5_16 *)page, slab_cache);
}

/*
 * The cache that an object is of; 0: of none, or it is not known where pages are. A function of
 * its own, for the stack that it needs.
 */
static __noinline __attribute__((unused)) __u64 object_cache(__u64 address)
{
	__u64 page = page_of(address);

	return page && (KNOWS_TYPES || KNOWS_FLAG) && page_is_slab(page) ? (__u64)page_cache(page)
									 : 0;
}

/* Where pages have no types one that is free has no references. */
static __always_inline int page_in_buddy(__u64 page)
{
	return KNOWS_TYPES && page_is(page, bpf_core_enum_value(enum pagetype, PGTY_buddy));
}

static __always_inline int page_is_large_kmalloc(__u64 page)
{
	return bpf_core_enum_value_exists(enum pagetype, PGTY_large_kmalloc) &&
	       page_is(page, bpf_core_enum_value(enum pagetype, PGTY_large_kmalloc));
}

/* Slab and large kmalloc pages have no references: the type decides first. */
static __always_inline __u32 judge_page(__u64 page)
{
	struct page *p = (void *)page;

	if (!KNOWS_TYPES && !KNOWS_FLAG)
		return KMEM_UNKNOWN;
	if (page_in_buddy(page))
		return KMEM_FREE;
	if (page_is_slab(page) || page_is_large_kmalloc(page))
		return KMEM_OTHER_KIND;
	if (page_kind(page))
		return KMEM_LIVE;
	if (BPF_CORE_READ(p, _refcount.counter) == 0)
		return KMEM_FREE;
	return page_flag(page, bpf_core_enum_value(enum pageflags, PG_lru)) ? KMEM_OTHER_KIND
									    : KMEM_LIVE;
}

#endif
