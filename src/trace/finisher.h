/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * finisher.h - goes on with a walk that BPF could not finish (include/raw_stack.h): the
 * same steps, over the same tables, on the copy of the stack.
 */
#ifndef MEMTALLY_TRACE_FINISHER_H
#define MEMTALLY_TRACE_FINISHER_H

#include "lib/lib.h"
#include "raw_stack.h"

struct finisher_tables { /* borrowed; what the mappings' blocks, and so on, refer to */
	const struct unwind_block *blocks;
	const struct unwind_row *rows;
	const struct unwind_rule *rules;
	size_t n_blocks, n_rows, n_rules;
};

struct finisher {
	struct finisher_tables tables;
	uint32_t max_frames;
	/* The mapping that holds pc: true if there is one with a table. */
	bool (*find)(void *arg, uint64_t pc, struct unwind_mapping *ret);
	void *arg;
};

/*
 * *ret becomes the record (EVENT_STACK) that BPF would have sent with the tables at hand;
 * its site is the one of all equal stacks. A stack that goes beyond the copy keeps the
 * frames up to there, with WALK_FAULT. len: bytes of *raw, at least up to its stack; how long that
 * is is checked. Not reentrant.
 */
void finisher_run(const struct finisher *f, const struct raw_event *raw, size_t len,
		  struct stack_event *ret);

#endif
