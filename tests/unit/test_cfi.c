/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records, CIEs and FDEs of src/cfi, above all those that no file on a usual system has. */
#include "cfi_build.h"

#include <errno.h>

#define DEF_OFFSET 0x0e
#define ADVANCE(n) (0x40 + (n))

static void test_one_function(void **state)
{
	struct build b = {0};
	size_t cie = build_cie(&b);
	struct built t;

	(void)state;
	/* push rbp; mov rbp,rsp; ...; leave; ret */
	BUILD_FDE(&b, cie, BUILD_TEXT, 0x40, ADVANCE(1), DEF_OFFSET, 16, 0x86, 2, ADVANCE(3), 0x0d,
		  6, ADVANCE(0x30), 0x0c, 7, 8, 0xc6);
	t = build_compile(&b);
	assert_kind(&t, BUILD_TEXT - 1, UNWIND_GAP);
	assert_sp(&t, BUILD_TEXT, 8);
	assert_int_equal(built_rule(&t, BUILD_TEXT).fp, UNWIND_SAME);
	assert_sp(&t, BUILD_TEXT + 1, 16);
	assert_int_equal(built_rule(&t, BUILD_TEXT + 1).fp, UNWIND_CFA);
	assert_int_equal(built_rule(&t, BUILD_TEXT + 1).fp_off, -16);
	assert_kind(&t, BUILD_TEXT + 4, UNWIND_BP);
	assert_int_equal(built_rule(&t, BUILD_TEXT + 4).cfa_off, 16);
	assert_sp(&t, BUILD_TEXT + 0x34, 8);
	assert_int_equal(built_rule(&t, BUILD_TEXT + 0x34).fp, UNWIND_SAME);
	assert_sp(&t, BUILD_TEXT + 0x3f, 8);
	assert_kind(&t, BUILD_TEXT + 0x40, UNWIND_GAP);
	assert_int_equal(t.table.stats.fdes, 1);
	assert_int_equal(t.table.stats.bad_fdes + t.table.stats.bad_ops, 0);
	built_deinit(&t);
}

static void test_gaps_are_exact(void **state)
{
	struct build b = {0};
	size_t cie = build_cie(&b);
	struct built t;

	(void)state;
	BUILD_FDE(&b, cie, BUILD_TEXT, 0x0f, 0);
	BUILD_FDE(&b, cie, BUILD_TEXT + 0x10, 0x10, 0);
	BUILD_FDE(&b, cie, BUILD_TEXT + 0x20, 0x10, 0);
	t = build_compile(&b);
	assert_sp(&t, BUILD_TEXT + 0x0e, 8);
	assert_kind(&t, BUILD_TEXT + 0x0f, UNWIND_GAP);
	assert_sp(&t, BUILD_TEXT + 0x10, 8);
	/* one row: [0x10, 0x30) has no gap and one rule */
	assert_int_equal(t.table.n_rows, 4);
	built_deinit(&t);
}

static void test_unsorted_and_overlapping(void **state)
{
	struct build b = {0};
	size_t cie = build_cie(&b);
	struct built t;

	(void)state;
	BUILD_FDE(&b, cie, BUILD_TEXT + 0x80, 0x40, DEF_OFFSET, 32);
	BUILD_FDE(&b, cie, BUILD_TEXT, 0x40, DEF_OFFSET, 16);
	BUILD_FDE(&b, cie, BUILD_TEXT, 0x40, DEF_OFFSET, 16); /* duplicate */
	BUILD_FDE(&b, cie, BUILD_TEXT + 0x20, 0x40, DEF_OFFSET, 24);
	BUILD_FDE(&b, cie, BUILD_TEXT + 0x90, 0x10, DEF_OFFSET, 40);
	t = build_compile(&b);
	for (size_t i = 1; i < t.table.n_rows; i++)
		assert_true(t.table.rows[i - 1].pc < t.table.rows[i].pc);
	assert_sp(&t, BUILD_TEXT + 0x1f, 16);
	assert_sp(&t, BUILD_TEXT + 0x20, 24);
	assert_sp(&t, BUILD_TEXT + 0x5f, 24);
	assert_kind(&t, BUILD_TEXT + 0x60, UNWIND_GAP);
	assert_sp(&t, BUILD_TEXT + 0x8f, 32);
	assert_sp(&t, BUILD_TEXT + 0x90, 40);
	assert_kind(&t, BUILD_TEXT + 0xa0, UNWIND_GAP); /* as libgcc's search has it */
	assert_int_equal(t.table.stats.clipped, 2);
	built_deinit(&t);
}

static void test_terminator_in_the_middle(void **state)
{
	struct build b = {0};
	size_t cie = build_cie(&b);
	struct cfi_section s;
	struct built t;

	(void)state;
	BUILD_FDE(&b, cie, BUILD_TEXT, 0x10, 0);
	build_uint(&b, 0, 4);
	cie = build_cie(&b);
	BUILD_FDE(&b, cie, BUILD_TEXT + 0x10, 0x10, DEF_OFFSET, 24);
	t = build_compile(&b);
	assert_sp(&t, BUILD_TEXT + 0x10, 24);
	cfi_table_deinit(&t.table);

	s = build_section(&b);
	s.stop_at_zero = true;
	assert_int_equal(cfi_compile(&s, t.rules, &t.table), 0);
	assert_kind(&t, BUILD_TEXT + 0x10, UNWIND_GAP);
	built_deinit(&t);
}

static void test_wide_records(void **state)
{
	struct build b = {.wide = true};
	size_t cie = build_cie(&b);
	struct built t;

	(void)state;
	BUILD_FDE(&b, cie, BUILD_TEXT, 0x10, DEF_OFFSET, 48);
	b.wide = false;
	BUILD_FDE(&b, cie, BUILD_TEXT + 0x10, 0x10, DEF_OFFSET, 56);
	t = build_compile(&b);
	assert_sp(&t, BUILD_TEXT, 48);
	assert_sp(&t, BUILD_TEXT + 0x10, 56);
	built_deinit(&t);
}

static void build_debug_frame(struct build *b, int version)
{
	static const uint8_t cie_ops[] = {0x0c, 7, 8, 0x90, 1};
	size_t id = b->wide ? 8 : 4;

	build_open(b);
	build_uint(b, UINT64_MAX, id);
	build_uint(b, (uint64_t)version, 1);
	build_uint(b, 0, 1); /* no augmentation */
	if (version == 4)
		build_uint(b, 8, 2); /* address size, segment selector size */
	build_uint(b, 1, 1);
	build_uint(b, 0x78, 1);
	build_uint(b, 16, 1);
	build_bytes(b, cie_ops, sizeof(cie_ops));
	build_close(b);
	build_open(b);
	build_uint(b, 0, id); /* its CIE is at offset 0 */
	build_uint(b, BUILD_TEXT, 8);
	build_uint(b, 0x20, 8);
	build_uint(b, ADVANCE(4), 1);
	build_uint(b, DEF_OFFSET | 64 << 8, 2);
	build_close(b);
}

static void test_debug_frame(void **state)
{
	static const int versions[] = {1, 3, 4};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(versions); i++) {
		struct build b = {.debug_frame = true, .wide = i & 1};
		struct built t;

		build_debug_frame(&b, versions[i / 2]);
		t = build_compile(&b);
		assert_sp(&t, BUILD_TEXT + 3, 8);
		assert_sp(&t, BUILD_TEXT + 4, 64);
		built_deinit(&t);
	}
}

static void test_bad_cies(void **state)
{
	static const uint8_t ops[] = {0x0c, 7, 8, 0x90, 1};
	struct cfi_rules *rules = cfi_rules_new();
	struct cfi_table t;
	struct {
		const char *letters;
		size_t at; /* patched byte, from the start of the CIE */
		uint8_t value;
	} cases[] = {
		{"zR", 8, 2},	  /* unknown version */
		{"zR", 14, 3},	  /* another return address column */
		{"zR", 15, 200},  /* augmentation longer than the record */
		{"eh", 8, 1},	  /* gcc 2 */
		{"zR", 16, 0x0d}, /* unknown pointer format: only its FDE is bad */
		{"zR", 16, 0x3b}, /* relative to data */
		{"zR", 16, 0x9b}, /* indirect */
		{"zR", 16, 0xff}, /* omitted */
		{"zR", 17, 0x3f}, /* unknown instruction */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct build b = {0};
		struct cfi_section s;
		size_t cie = build_cie_with(&b, cases[i].letters, ops, sizeof(ops));

		b.bytes[cases[i].at] = cases[i].value;
		BUILD_FDE(&b, cie, BUILD_TEXT, 0x10, 0);
		s = build_section(&b);
		assert_int_equal(cfi_compile(&s, rules, &t), -ENODATA);
	}
	cfi_rules_free(rules);
}

static void test_bad_fde_costs_itself_only(void **state)
{
	struct build b = {0};
	size_t cie = build_cie(&b);
	struct built t;

	(void)state;
	BUILD_FDE(&b, cie + 4, BUILD_TEXT, 0x10, 0); /* no CIE there */
	BUILD_FDE(&b, cie, BUILD_TEXT + 0x10, 0x10, 0);
	BUILD_FDE(&b, cie, BUILD_TEXT + 0x20, 0, 0); /* empty range */
	t = build_compile(&b);
	assert_kind(&t, BUILD_TEXT, UNWIND_GAP);
	assert_sp(&t, BUILD_TEXT + 0x10, 8);
	assert_kind(&t, BUILD_TEXT + 0x20, UNWIND_GAP);
	assert_int_equal(t.table.stats.bad_fdes, 1);
	built_deinit(&t);
}

static void test_limits_of_text(void **state)
{
	struct build b = {0};
	size_t cie = build_cie(&b);
	struct cfi_section s;
	struct built t = {.rules = cfi_rules_new()};

	(void)state;
	BUILD_FDE(&b, cie, 0x10, 0x10, 0);
	BUILD_FDE(&b, cie, BUILD_TEXT, 0x10, 0);
	BUILD_FDE(&b, cie, BUILD_TEXT + 0x10, 0x1000000, 0);
	BUILD_FDE(&b, cie, 0x60000000, 0x10, 0);
	s = build_section(&b);
	s.text = BUILD_TEXT;
	s.text_end = BUILD_TEXT + 0x100;
	assert_int_equal(cfi_compile(&s, t.rules, &t.table), 0);
	assert_int_equal(t.table.base, BUILD_TEXT);
	assert_int_equal(t.table.stats.outside, 2);
	assert_sp(&t, BUILD_TEXT + 0xff, 8);
	assert_kind(&t, BUILD_TEXT + 0x100, UNWIND_GAP);
	assert_int_equal(cfi_table_blocks(&t.table), 2);
	built_deinit(&t);
}

/* Every prefix and every flipped byte: an answer, and sorted rows, whatever it is. */
static void test_damage(void **state)
{
	struct build b = {0};
	struct cfi_rules *rules = cfi_rules_new();
	size_t cie = build_cie(&b);

	(void)state;
	BUILD_FDE(&b, cie, BUILD_TEXT, 0x40, ADVANCE(1), DEF_OFFSET, 16, 0x86, 2, 0x0a, ADVANCE(3),
		  0x0f, 3, 0x76, 0x78, 0x06, ADVANCE(4), 0x0b, 0x10, 6, 2, 0x76, 0);
	BUILD_FDE(&b, cie, BUILD_TEXT + 0x40, 0x40, ADVANCE(1), DEF_OFFSET, 24, 0x83, 2);
	for (size_t i = 0; i < b.n * 256; i++) {
		struct build damaged = b;
		struct cfi_section s = build_section(&damaged);
		struct cfi_table t;

		if (i < b.n)
			s.len = i;
		else
			damaged.bytes[i / 256] ^= (uint8_t)i;
		if (cfi_compile(&s, rules, &t))
			continue;
		for (size_t k = 1; k < t.n_rows; k++)
			assert_true(t.rows[k - 1].pc < t.rows[k].pc);
		assert_int_equal(t.rows[t.n_rows - 1].rule, CFI_RULE_GAP);
		cfi_table_deinit(&t);
	}
	cfi_rules_free(rules);
}

/* The walk's search by blocks finds what a search over all rows finds. */
static void test_block_index(void **state)
{
	struct build b = {0};
	size_t cie = build_cie(&b);
	struct unwind_block *blocks;
	struct built t;
	uint64_t pc = BUILD_TEXT + 0x37;

	(void)state;
	for (int i = 0; i < 300; i++) {
		uint8_t ops[] = {ADVANCE(1 + i % 13), DEF_OFFSET, 16, 0x0c, 7, 24};

		build_fde(&b, cie, pc, 20 + (uint64_t)i % 300, ops, sizeof(ops));
		pc += 20 + (uint64_t)i % 300 + (uint64_t)(i % 3);
	}
	t = build_compile(&b);
	blocks = calloc(cfi_table_blocks(&t.table), sizeof(*blocks));
	assert_non_null(blocks);
	cfi_table_index(&t.table, 0, blocks);
	for (uint64_t off = 0; off < pc - t.table.base; off++) {
		const struct unwind_block *block = &blocks[off >> UNWIND_BLOCK_SHIFT];
		uint32_t row = block->first;

		assert_in_range(block->n, 1, 257);
		assert_true(t.table.rows[row].pc <= off);
		for (uint32_t i = 0; i < block->n; i++)
			if (t.table.rows[block->first + i].pc <= off)
				row = block->first + i;
		assert_int_equal(t.table.rows[row].rule,
				 cfi_table_rule(&t.table, t.table.base + off));
	}
	free(blocks);
	built_deinit(&t);
}

static void test_rules_are_interned(void **state)
{
	struct cfi_rules *rules = cfi_rules_new();
	struct unwind_rule r = {.kind = UNWIND_SP};

	(void)state;
	assert_int_equal(cfi_rules_count(rules), 2);
	for (uint32_t i = 0; i < 2 * UNWIND_MAX_RULES; i++) {
		r.cfa_off = (int32_t)(i % (UNWIND_MAX_RULES - 2));
		assert_int_equal(cfi_rules_intern(rules, &r), r.cfa_off + 2);
	}
	assert_int_equal(cfi_rules_refused(rules), 0);
	r.kind = UNWIND_BP;
	assert_int_equal(cfi_rules_intern(rules, &r), CFI_RULE_UNSUP);
	assert_int_equal(cfi_rules_refused(rules), 1);
	assert_int_equal(cfi_rules_count(rules), UNWIND_MAX_RULES);
	assert_null(cfi_rules_at(rules, UNWIND_MAX_RULES));
	cfi_rules_free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_function),
		cmocka_unit_test(test_gaps_are_exact),
		cmocka_unit_test(test_unsorted_and_overlapping),
		cmocka_unit_test(test_terminator_in_the_middle),
		cmocka_unit_test(test_wide_records),
		cmocka_unit_test(test_debug_frame),
		cmocka_unit_test(test_bad_cies),
		cmocka_unit_test(test_bad_fde_costs_itself_only),
		cmocka_unit_test(test_limits_of_text),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_block_index),
		cmocka_unit_test(test_rules_are_interned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
