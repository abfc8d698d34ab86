/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions of aarch64 as binutils' assembler writes them, on any machine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/lib.h"
#include "trace/insn.h"

#define AT 0x12340

static int decode(const uint32_t *words, size_t n, uint64_t vaddr, struct insn *ret)
{
	return insn_arm64_decode((const uint8_t *)words, n * sizeof(*words), vaddr, ret);
}

static void test_classes(void **state)
{
	static const struct {
		uint32_t word;
		uint8_t class;
		uint64_t target;
	} rows[] = {
		{0xd503201f, INSN_OTHER, 0},	  /* nop */
		{0xd503245f, INSN_ENDBR, 0},	  /* bti c */
		{0xd503233f, INSN_OTHER, 0},	  /* paciasp */
		{0xa9be7bfd, INSN_OTHER, 0},	  /* stp x29, x30, [sp, #-32]! */
		{0x14000004, INSN_JMP, AT + 16},  /* b .+16 */
		{0x17ffffff, INSN_JMP, AT - 4},	  /* b .-4 */
		{0x97fffffc, INSN_CALL, AT - 16}, /* bl .-16 */
		{0x54000040, INSN_JCC, AT + 8},	  /* b.eq .+8 */
		{0x54ffffe1, INSN_JCC, AT - 4},	  /* b.ne .-4 */
		{0xb4000060, INSN_JCC, AT + 12},  /* cbz x0, .+12 */
		{0x35ffffe1, INSN_JCC, AT - 4},	  /* cbnz w1, .-4 */
		{0x36180042, INSN_JCC, AT + 8},	  /* tbz w2, #3, .+8 */
		{0xb7ffffe3, INSN_JCC, AT - 4},	  /* tbnz x3, #63, .-4 */
		{0xd65f03c0, INSN_RET, 0},	  /* ret */
		{0xd65f0bff, INSN_RET, 0},	  /* retaa */
		{0xd65f0fff, INSN_RET, 0},	  /* retab */
		{0xd65f0220, INSN_JMP_IND, 0},	  /* ret x17 */
		{0xd61f0200, INSN_JMP_IND, 0},	  /* br x16 */
		{0xd71f0a11, INSN_JMP_IND, 0},	  /* braa x16, x17 */
		{0xd63f0100, INSN_CALL_IND, 0},	  /* blr x8 */
		{0xd63f091f, INSN_CALL_IND, 0},	  /* blraaz x8 */
		{0xd4207d00, INSN_STOP, 0},	  /* brk #0x3e8 */
		{0x00000000, INSN_STOP, 0},	  /* udf #0 */
		{0xd4000001, INSN_OTHER, 0},	  /* svc #0 */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct insn in = {0};

		assert_int_equal(decode(&rows[i].word, 1, AT, &in), 0);
		assert_int_equal(in.class, rows[i].class);
		assert_int_equal(in.length, 4);
		assert_int_equal(in.target, rows[i].target);
		assert_int_equal(in.mem, INSN_MEM_NONE);
	}
}

/* realloc's in a libc of Debian 12; and one whose slot is in the page before it. */
static void test_stub_of_the_plt(void **state)
{
	static const uint32_t stub[] = {0xb0000bd0, 0xf9400211, 0x91000210, 0xd61f0220};
	static const uint32_t back[] = {0xf0fffff0, 0xf947fe11, 0x913fe210, 0xd61f0220};
	struct insn in;

	(void)state;
	assert_int_equal(decode(stub, 4, 0x27220, &in), 0);
	assert_int_equal(in.class, INSN_JMP_IND);
	assert_int_equal(in.mem, INSN_MEM_RIP);
	assert_int_equal(in.length, 16);
	assert_int_equal(in.slot, 0x1a0000);
	assert_int_equal(decode(back, 4, 0x27220, &in), 0);
	assert_int_equal(in.slot, 0x26000 + 0xff8);
	/* Its first instruction alone may be one of any function. */
	assert_int_equal(decode(stub, 3, 0x27220, &in), -ENODATA);
	assert_int_equal(
		decode((const uint32_t[]){stub[0], stub[1], stub[3], stub[2]}, 4, 0x27220, &in), 0);
	assert_int_equal(in.class, INSN_OTHER);
	assert_int_equal(in.length, 4);
}

static void test_refused(void **state)
{
	const uint32_t nop = 0xd503201f;
	struct insn in;

	(void)state;
	assert_int_equal(insn_arm64_decode((const uint8_t *)&nop, 3, AT, &in), -ENODATA);
	assert_int_equal(decode(&nop, 1, AT + 2, &in), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_stub_of_the_plt),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
