/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Call frame instructions and expressions of src/cfi, x86-64 and aarch64. */
#include "cfi_build.h"

#define ADVANCE(n) (0x40 + (n))
#define REMEMBER   0x0a
#define RECALL	   0x0b
#define DEF_CFA	   0x0c
#define DEF_OFFSET 0x0e
#define CFA_EXPR   0x0f

/* One function of 0x100 bytes with these instructions. */
#define COMPILE(...)                                          \
	({                                                    \
		static const uint8_t ops__[] = {__VA_ARGS__}; \
		compile_ops(ops__, sizeof(ops__));            \
	})

static struct built compile_ops(const uint8_t *ops, size_t n)
{
	struct build b = {0};
	size_t cie = build_cie(&b);

	build_fde(&b, cie, BUILD_TEXT, 0x100, ops, n);
	return build_compile(&b);
}

static void test_remember_saves_the_cfa(void **state)
{
	struct built t = COMPILE(ADVANCE(1), DEF_OFFSET, 16, 0x86, 2, REMEMBER, ADVANCE(1), DEF_CFA,
				 6, 32, 0xc6, REMEMBER, ADVANCE(1), DEF_CFA, 3, 8, ADVANCE(1),
				 RECALL, ADVANCE(1), RECALL, ADVANCE(1), DEF_OFFSET, 8);

	(void)state;
	assert_sp(&t, BUILD_TEXT + 1, 16);
	assert_kind(&t, BUILD_TEXT + 2, UNWIND_BP);
	assert_kind(&t, BUILD_TEXT + 3, UNWIND_BX);
	assert_kind(&t, BUILD_TEXT + 4, UNWIND_BP);
	assert_int_equal(built_rule(&t, BUILD_TEXT + 4).cfa_off, 32);
	assert_int_equal(built_rule(&t, BUILD_TEXT + 4).fp, UNWIND_SAME);
	assert_sp(&t, BUILD_TEXT + 5, 16);
	assert_int_equal(built_rule(&t, BUILD_TEXT + 5).fp_off, -16);
	assert_sp(&t, BUILD_TEXT + 6, 8);
	built_deinit(&t);
}

static void test_remember_is_bounded(void **state)
{
	uint8_t ops[64] = {ADVANCE(1), DEF_OFFSET, 16, ADVANCE(1)};
	struct built t;

	(void)state;
	memset(ops + 4, REMEMBER, 40);
	t = compile_ops(ops, 44);
	assert_sp(&t, BUILD_TEXT + 1, 16);
	assert_kind(&t, BUILD_TEXT + 2, UNWIND_UNSUP);
	assert_kind(&t, BUILD_TEXT + 0xff, UNWIND_UNSUP);
	assert_int_equal(t.table.stats.bad_ops, 1);
	built_deinit(&t);

	t = COMPILE(ADVANCE(4), RECALL, ADVANCE(4));
	assert_sp(&t, BUILD_TEXT + 3, 8);
	assert_kind(&t, BUILD_TEXT + 4, UNWIND_UNSUP);
	built_deinit(&t);
}

static void test_unknown_instruction_ends_the_function(void **state)
{
	struct built t =
		COMPILE(ADVANCE(4), DEF_OFFSET, 16, ADVANCE(4), 0x3c, ADVANCE(4), DEF_OFFSET, 8);

	(void)state;
	assert_sp(&t, BUILD_TEXT + 7, 16);
	assert_kind(&t, BUILD_TEXT + 8, UNWIND_UNSUP);
	assert_kind(&t, BUILD_TEXT + 0xff, UNWIND_UNSUP);
	assert_kind(&t, BUILD_TEXT + 0x100, UNWIND_GAP);
	assert_int_equal(t.table.stats.bad_ops, 1);
	assert_int_equal(t.table.stats.unsupported, 1);
	built_deinit(&t);
}

static void test_advances(void **state)
{
	struct built t = COMPILE(0x02, 0x10, DEF_OFFSET, 16, 0x03, 0x20, 0, DEF_OFFSET, 24, 0x04,
				 0x20, 0, 0, 0, DEF_OFFSET, 32, ADVANCE(0), DEF_OFFSET, 40, 0x04, 0,
				 0, 0, 0x70, DEF_OFFSET, 48);

	(void)state;
	assert_sp(&t, BUILD_TEXT + 0x0f, 8);
	assert_sp(&t, BUILD_TEXT + 0x10, 16);
	assert_sp(&t, BUILD_TEXT + 0x30, 24);
	assert_sp(&t, BUILD_TEXT + 0x4f, 24);
	assert_sp(&t, BUILD_TEXT + 0x50, 40); /* the later of two at one address */
	assert_sp(&t, BUILD_TEXT + 0xff, 40); /* an advance beyond the end ends it */
	assert_kind(&t, BUILD_TEXT + 0x100, UNWIND_GAP);
	built_deinit(&t);
}

static void test_set_loc(void **state)
{
	struct build b = {0};
	size_t cie = build_cie(&b), at;
	struct built t;

	(void)state;
	BUILD_FDE(&b, cie, BUILD_TEXT, 0x100, 0x01, 0, 0, 0, 0, DEF_OFFSET, 64);
	at = b.n - 6;
	b.n = at;
	build_uint(&b, BUILD_TEXT + 0x40 - (BUILD_VADDR + at), 4);
	b.n += 2;
	t = build_compile(&b);
	assert_sp(&t, BUILD_TEXT + 0x3f, 8);
	assert_sp(&t, BUILD_TEXT + 0x40, 64);
	built_deinit(&t);
}

static void test_register_rules(void **state)
{
	static const uint8_t big[] = {0x05, 6, 0x81, 0x80, 0x02}; /* 32769 * -8 */
	struct unwind_rule r;
	struct built t;

	(void)state;
	t = COMPILE(0x11, 6, 2, 0x2f, 3, 3); /* extended_sf +2, negative_offset 3: * -8 */
	r = built_rule(&t, BUILD_TEXT);
	assert_int_equal(r.fp, UNWIND_CFA);
	assert_int_equal(r.fp_off, -16);
	assert_int_equal(r.aux, UNWIND_CFA);
	assert_int_equal(r.aux_off, 24);
	built_deinit(&t);

	t = COMPILE(0x07, 6, 0x08, 3); /* undefined rbp, same rbx */
	assert_int_equal(built_rule(&t, BUILD_TEXT).fp, UNWIND_LOST);
	assert_int_equal(built_rule(&t, BUILD_TEXT).aux, UNWIND_SAME);
	built_deinit(&t);

	t = COMPILE(0x09, 6, 12, 0x16, 3, 1, 0x30); /* in another register; val_expression */
	assert_int_equal(built_rule(&t, BUILD_TEXT).fp, UNWIND_LOST);
	assert_int_equal(built_rule(&t, BUILD_TEXT).aux, UNWIND_LOST);
	built_deinit(&t);

	t = compile_ops(big, sizeof(big)); /* further away than 16 bits */
	assert_int_equal(built_rule(&t, BUILD_TEXT).fp, UNWIND_LOST);
	built_deinit(&t);
}

static void test_return_address(void **state)
{
	struct built t = COMPILE(0x07, 16);

	(void)state;
	assert_kind(&t, BUILD_TEXT, UNWIND_STOP); /* undefined: outermost */
	built_deinit(&t);
	t = COMPILE(0x90, 2); /* at CFA - 16 */
	assert_kind(&t, BUILD_TEXT, UNWIND_UNSUP);
	built_deinit(&t);
	t = COMPILE(0x09, 16, 5); /* in rdi: vfork */
	assert_kind(&t, BUILD_TEXT, UNWIND_UNSUP);
	built_deinit(&t);
}

static void test_cfa_rules(void **state)
{
	struct built t =
		COMPILE(DEF_CFA, 10, 0, ADVANCE(1), DEF_CFA, 12, 8, ADVANCE(1), 0x12, 7, 0x7e,
			ADVANCE(1), 0x13, 0x7d, ADVANCE(1), 0x14, 7, 0, ADVANCE(1), 0x14, 7, 1);

	(void)state;
	assert_kind(&t, BUILD_TEXT, UNWIND_R10);
	assert_kind(&t, BUILD_TEXT + 1, UNWIND_UNSUP); /* r12 is not tracked */
	assert_sp(&t, BUILD_TEXT + 2, 16);
	assert_sp(&t, BUILD_TEXT + 3, 24);
	assert_sp(&t, BUILD_TEXT + 4, 24);	       /* rsp = CFA + 0 */
	assert_kind(&t, BUILD_TEXT + 5, UNWIND_UNSUP); /* rsp = CFA - 8 */
	built_deinit(&t);
}

static void test_expressions(void **state)
{
	struct unwind_rule r;
	struct built t;

	(void)state;
	/* PLT stub, threshold 11 */
	t = COMPILE(CFA_EXPR, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22);
	r = built_rule(&t, BUILD_TEXT);
	assert_int_equal(r.kind, UNWIND_PLT);
	assert_int_equal(r.cfa_off, 11);
	built_deinit(&t);

	/* realigned stack: CFA = *(rbp - 8), rbp saved at *(rbp + 0) */
	t = COMPILE(CFA_EXPR, 3, 0x76, 0x78, 0x06, 0x10, 6, 2, 0x76, 0);
	r = built_rule(&t, BUILD_TEXT);
	assert_int_equal(r.kind, UNWIND_DBP);
	assert_int_equal(r.cfa_off, -8);
	assert_int_equal(r.fp, UNWIND_BPREL);
	assert_int_equal(r.fp_off, 0);
	built_deinit(&t);

	/* CFA = *(rsp + 16) + 8 + 200 */
	t = COMPILE(CFA_EXPR, 8, 0x77, 16, 0x06, 0x23, 8, 0x23, 0xc8, 1);
	r = built_rule(&t, BUILD_TEXT);
	assert_int_equal(r.kind, UNWIND_DSP);
	assert_int_equal(r.cfa_off, 16);
	assert_int_equal(r.off2, 208);
	built_deinit(&t);

	t = COMPILE(CFA_EXPR, 3, 0x76, 0x78, 0x30); /* no deref */
	assert_kind(&t, BUILD_TEXT, UNWIND_UNSUP);
	built_deinit(&t);
	t = COMPILE(CFA_EXPR, 0); /* empty */
	assert_kind(&t, BUILD_TEXT, UNWIND_UNSUP);
	built_deinit(&t);
	t = COMPILE(CFA_EXPR, 99, 0x76, 0x78); /* longer than the record */
	assert_kind(&t, BUILD_TEXT, UNWIND_UNSUP);
	assert_int_equal(t.table.stats.bad_ops, 1);
	built_deinit(&t);
}

static void test_signal_frame(void **state)
{
	static const uint8_t ops[] = {0x0c, 7, 8, 0x90, 1};
	struct build b = {0};
	size_t cie = build_cie_with(&b, "zRS", ops, sizeof(ops));
	struct built t;

	(void)state;
	BUILD_FDE(&b, cie, BUILD_TEXT, 0x10, 0);
	t = build_compile(&b);
	assert_kind(&t, BUILD_TEXT, UNWIND_SIGFRAME);
	built_deinit(&t);
}

/*
 * f:	paciasp; stp x29, x30, [sp, -32]!; mov x29, sp; str x19, [sp, 16]; ...
 * CIE as gcc writes it: CFA = sp + 0, code alignment 4, data alignment -8, x30.
 */
static void test_aarch64(void **state)
{
	static const uint8_t cie[] = {0, 0,    0,  0, 1,    'z',  'R', 0,
				      4, 0x78, 30, 1, 0x1b, 0x0c, 31,  0};
	struct build b = {0};
	struct cfi_section s;
	struct built t = {.rules = cfi_rules_new()};
	struct unwind_rule r;

	(void)state;
	build_open(&b);
	build_bytes(&b, cie, sizeof(cie));
	build_close(&b);
	BUILD_FDE(&b, 0, BUILD_TEXT, 0x40, ADVANCE(1), 0x2d, ADVANCE(1), DEF_OFFSET, 32, 0x9d, 4,
		  0x9e, 3, ADVANCE(1), 0x0d, 29, ADVANCE(8), 0x0c, 31, 0, 0xdd, 0xde, ADVANCE(1),
		  0x2d, ADVANCE(1), 0x07, 30);
	s = build_section(&b);
	s.arch = CFI_AARCH64;
	assert_int_equal(cfi_compile(&s, t.rules, &t.table), 0);
	assert_sp(&t, BUILD_TEXT, 0);
	assert_int_equal(built_rule(&t, BUILD_TEXT).aux, UNWIND_SAME);
	assert_int_equal(built_rule(&t, BUILD_TEXT).flags, 0);
	assert_int_equal(built_rule(&t, BUILD_TEXT + 4).flags, UNWIND_RULE_SIGNED);
	r = built_rule(&t, BUILD_TEXT + 8);
	assert_int_equal(r.kind, UNWIND_SP);
	assert_int_equal(r.cfa_off, 32);
	assert_int_equal(r.fp, UNWIND_CFA);
	assert_int_equal(r.fp_off, -32);
	assert_int_equal(r.aux, UNWIND_CFA);
	assert_int_equal(r.aux_off, -24);
	assert_kind(&t, BUILD_TEXT + 12, UNWIND_BP);
	assert_sp(&t, BUILD_TEXT + 44, 0);
	assert_int_equal(built_rule(&t, BUILD_TEXT + 44).flags, UNWIND_RULE_SIGNED);
	assert_int_equal(built_rule(&t, BUILD_TEXT + 48).flags, 0);
	assert_kind(&t, BUILD_TEXT + 52, UNWIND_STOP);
	built_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remember_saves_the_cfa),
		cmocka_unit_test(test_remember_is_bounded),
		cmocka_unit_test(test_unknown_instruction_ends_the_function),
		cmocka_unit_test(test_advances),
		cmocka_unit_test(test_set_loc),
		cmocka_unit_test(test_register_rules),
		cmocka_unit_test(test_return_address),
		cmocka_unit_test(test_cfa_rules),
		cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_signal_frame),
		cmocka_unit_test(test_aarch64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
