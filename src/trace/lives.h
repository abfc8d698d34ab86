/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lives.h - the blocks that live: those of the BPF side's table, by site and oldest first.
 * Only reports by age (-o) and of single blocks (-a) need them; the rest is in the sites.
 */
#ifndef MEMTALLY_LIVES_H
#define MEMTALLY_LIVES_H

#include "abi.h"
#include "lib/snapshot.h"
#include "trace/stacks.h"
#include "trace/tables.h"

struct live {
	uint64_t site; /* that has the stack */
	struct block_key key;
	struct block_value b;
};

struct lives {
	struct live *v;
	size_t n, cap;
};

struct lives_query {
	const struct tables *tables;
	uint64_t born_before_ns;
	const struct stacks *stacks;
};

/* *ret is the caller's: lives_deinit(). 0 or a negative errno, with *ret empty. */
int lives_read(const struct lives_query *q, struct lives *ret);
void lives_deinit(struct lives *l);
/* Calls fn with the blocks of each site; ends at the first result that is not 0: that. */
int lives_each_site(const struct lives *l, int (*fn)(void *arg, const struct live *v, size_t n),
		    void *arg);
/* Ages of a row from its n blocks of one site, which is not none. */
void lives_ages(const struct live *v, size_t n, uint64_t now_ns, struct row *row);
/* Lists them in the row, which owns the list. 0 or -ENOMEM. */
int lives_list(const struct live *v, size_t n, uint64_t now_ns, struct row *row);
/* Frees rows with their frames and lists. */
void rows_free(struct row *rows, size_t n);

#endif
