/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef JUDGE_INPUT_H
#define JUDGE_INPUT_H

#include <linux/types.h>

#define JUDGE_LIVE 5

struct judge_known {
	__u64 live[8];	 /* JUDGE_LIVE objects of the slab allocator */
	__u64 page;	 /* struct page of a page that is no slab, and used */
	__u64 slab_page; /* the first of the slab of live[0] */
	__u64 which, free;
};

#endif
