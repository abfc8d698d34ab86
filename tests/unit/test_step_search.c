/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The branch-free searches of bpf/unwind_walk.bpf.h, at their limits. */
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#define WALK_AARCH64 0
#include "step_shim.h"

#define BASE 0x55550000ULL

static struct walk walk;

/* Every mapping of every slice length is found, and nothing between them. */
static void test_mapping_search(void **state)
{
	static struct unwind_mapping many[UNWIND_MAX_MAPPINGS];

	(void)state;
	memset(&shim, 0, sizeof(shim));
	for (uint32_t i = 0; i < UNWIND_MAX_MAPPINGS; i++)
		many[i] = (struct unwind_mapping){
			.start = 0x10000 + i * 0x2000ULL,
			.end = 0x11000 + i * 0x2000ULL,
			.block = i,
		};
	shim.mappings = many;
	shim.n_mappings = UNWIND_MAX_MAPPINGS;
	memset(&walk, 0, sizeof(walk));
	for (uint32_t n = 1; n <= UNWIND_MAX_MAPPINGS; n = n * 2 + 1) {
		uint32_t lo = UNWIND_MAX_MAPPINGS - n;

		walk.slice = (struct unwind_slice){.lo = lo, .n = n};
		assert_int_equal(walk_find_mapping(&walk, many[lo].start - 1), 0);
		for (uint32_t i = lo; i < lo + n; i++) {
			assert_int_equal(walk_find_mapping(&walk, many[i].start), 1);
			assert_int_equal(walk.m_block, i);
			assert_int_equal(walk_find_mapping(&walk, many[i].end - 1), 1);
			assert_int_equal(walk.m_block, i);
			assert_int_equal(walk_find_mapping(&walk, many[i].end), 0);
		}
	}
}

/* A block with a row at each byte: nine halvings find all 257. */
static void test_row_search(void **state)
{
	static struct unwind_rule each[257];
	struct unwind_row dense[257];
	struct unwind_block block = {.n = 257};

	(void)state;
	memset(&shim, 0, sizeof(shim));
	dense[0] = (struct unwind_row){.rule = 0, .pc = 0xf0};
	for (uint32_t i = 1; i < 257; i++)
		dense[i] = (struct unwind_row){.rule = i, .pc = 0xff + i};
	shim.rows = dense;
	shim.rules = each;
	shim.n_rows = shim.n_rules = 257;
	shim.blocks = (struct unwind_block[]){{0}, block};
	shim.n_blocks = 2;
	memset(&walk, 0, sizeof(walk));
	walk.m_base = BASE;
	walk.m_n_blocks = 2;
	for (uint32_t i = 0; i < 256; i++)
		assert_ptr_equal(walk_find_rule(&walk, BASE + 0x100 + i), &each[i + 1]);
	assert_null(walk_find_rule(&walk, BASE + 0x200));
	assert_null(walk_find_rule(&walk, BASE - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mapping_search),
		cmocka_unit_test(test_row_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
