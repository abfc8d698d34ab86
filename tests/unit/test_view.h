/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A report with one of everything, and the capture of what the writer prints. */
#ifndef TEST_VIEW_H
#define TEST_VIEW_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "view/view.h"

/* 2026-11-21 10:13:16.25 UTC */
#define TEST_TIME 1795255996250000000ULL

struct capture {
	char *out, *notes;
	size_t out_len, notes_len;
	struct view_config c;
	struct view *v;
};

static inline void capture_open(struct capture *k, struct view_config c)
{
	*k = (struct capture){.c = c};
	k->c.command = "leak";
	k->c.out = open_memstream(&k->out, &k->out_len);
	k->c.notes = open_memstream(&k->notes, &k->notes_len);
	assert_non_null(k->c.out);
	assert_non_null(k->c.notes);
	assert_int_equal(view_new(&k->c, &k->v), 0);
}

static inline void capture_close(struct capture *k)
{
	view_free(k->v);
	fclose(k->c.out);
	fclose(k->c.notes);
	free(k->out);
	free(k->notes);
}

static struct frame test_frames[] = {
	{.address = 0x55d000001234,
	 .function = "inner",
	 .object = "/opt/app/victim",
	 .build_id = "aabb",
	 .object_offset = 0x1234,
	 .file = "victim.h",
	 .line = 7,
	 .inlined = true},
	{.address = 0x55d000001234,
	 .function = "make;leak(int)",
	 .offset = 0x1f,
	 .object = "/opt/app/victim",
	 .build_id = "aabb",
	 .object_offset = 0x1234,
	 .file = "victim.c",
	 .line = 12},
	{.address = 0x7f0000005678,
	 .object = "/usr/lib/libx.so.1",
	 .build_id = "3f2a",
	 .object_offset = 0x5678},
	{.address = 0x7fff00001111},
};

static struct block test_blocks[] = {
	{0x55d0c8a2a0, 4000, 3200000000ULL},
	{0x55d0c8b000, 96, 15000000},
};

static struct row test_rows[] = {
	{.pid = 12,
	 .comm = "redis",
	 .kind = "malloc",
	 .bytes = 4096,
	 .count = 2,
	 .has_ages = true,
	 .age_max_ns = 3200000000ULL,
	 .age_p50_ns = 15000000,
	 .age_mean_ns = 1607500000,
	 .alloc_rate = 2,
	 .free_rate = 0.5,
	 .growth_rate = 128.5,
	 .stack_id = 0xdeadbeefcafef00d,
	 .frames = test_frames,
	 .n_frames = 4,
	 .blocks = test_blocks,
	 .n_blocks = 2},
	{.pid = 13,
	 .comm = "bad\xff\x1b[31m",
	 .kind = "mmap",
	 .bytes = 1048576,
	 .count = 1,
	 .estimated = true,
	 .status = STACK_DEPTH,
	 .stack_id = 2,
	 .frames = test_frames + 1,
	 .n_frames = 1},
	{.pid = 13, .comm = "x", .kind = "malloc", .bytes = 70, .count = 7, .status = STACK_NONE},
};

static const struct loss test_losses[] = {
	{"stacks_full", 3, "no room for a stack", "raise --max-stacks"},
	{"blocks_full", 0, "no room for a block", "raise --max-blocks"},
};

static inline struct view_report test_report(size_t top)
{
	return (struct view_report){.time_ns = TEST_TIME,
				    .tick = 4,
				    .rows = test_rows,
				    .n_rows = ARRAY_SIZE(test_rows),
				    .n_top = top,
				    .top = 10,
				    .losses = test_losses,
				    .n_losses = ARRAY_SIZE(test_losses)};
}

static inline struct view_call sample_call(void)
{
	return (struct view_call){.time_ns = TEST_TIME,
				  .tick = 1,
				  .pid = 12,
				  .tid = 14,
				  .comm = "redis",
				  .function = "malloc",
				  .address = 0xabc,
				  .bytes = 64,
				  .frames = test_frames + 1,
				  .n_frames = 1};
}

#endif
