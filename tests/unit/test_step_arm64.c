/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The walk of bpf/unwind_step.bpf.h with the rules of aarch64. */
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#define WALK_AARCH64 1
#include "step_shim.h"

#define BASE  0xaaaa0000ULL
#define FN(k) (BASE + (uint64_t)(k)*0x100)
#define SP    (SHIM_STACK + 0x1000)
#define PAC   (0x5aULL << 48 | 0xaULL << 56) /* signature bits above the address */

enum {
	F_GAP,
	F_LEAF,	 /* CFA = sp, return address in x30 */
	F_FRAME, /* CFA = sp + 32, x29 at CFA - 32, x30 at CFA - 24 */
	F_FP,	 /* CFA = x29 + 32, same */
	F_SIGNAL,
	F_STOP,
	FUNCTIONS,
};

static const struct unwind_rule rules[FUNCTIONS] = {
	[F_LEAF] = {.kind = UNWIND_SP},
	[F_FRAME] = {.kind = UNWIND_SP,
		     .cfa_off = 32,
		     .fp = UNWIND_CFA,
		     .fp_off = -32,
		     .aux = UNWIND_CFA,
		     .aux_off = -24},
	[F_FP] = {.kind = UNWIND_BP,
		  .cfa_off = 32,
		  .fp = UNWIND_CFA,
		  .fp_off = -32,
		  .aux = UNWIND_CFA,
		  .aux_off = -24,
		  .flags = UNWIND_RULE_SIGNED},
	[F_SIGNAL] = {.kind = UNWIND_SIGFRAME},
	[F_STOP] = {.kind = UNWIND_STOP},
};

static struct unwind_row rows[FUNCTIONS];
static struct unwind_block blocks[FUNCTIONS];
static struct unwind_mapping mapping;
static struct walk_regs regs;
static struct walk walk;
static __u64 pcs[UNWIND_MAX_FRAMES];

static int setup(void **state)
{
	(void)state;
	memset(&shim, 0, sizeof(shim));
	for (uint32_t i = 0; i < FUNCTIONS; i++) {
		rows[i] = (struct unwind_row){.rule = i, .pc = i * 0x100};
		blocks[i] = (struct unwind_block){.first = i, .n = 1};
	}
	mapping = (struct unwind_mapping){
		.start = BASE, .end = BASE + 0x10000, .base = BASE, .n_blocks = FUNCTIONS};
	shim.mappings = &mapping;
	shim.blocks = blocks;
	shim.rows = rows;
	shim.rules = rules;
	shim.n_mappings = 1;
	shim.n_blocks = shim.n_rows = shim.n_rules = FUNCTIONS;
	unwind_cfg.mode = UNWIND_DWARF;
	regs = (struct walk_regs){.pc = FN(F_LEAF) + 4, .sp = SP, .aux = FN(F_FRAME) + 8};
	return 0;
}

static void run(int entry)
{
	const struct unwind_slice slice = {.n = 1};

	walk_init(&walk, &regs, &slice);
	walk.entry = (uint8_t)entry;
	walk_run(&walk, pcs);
}

static void frames_above(uint64_t sp)
{
	shim_write(sp, sp + 0x100);		  /* x29 */
	shim_write(sp + 8, (FN(F_FP) + 8) | PAC); /* x30, signed */
	shim_write(sp + 0x100, sp + 0x200);
	shim_write(sp + 0x108, (FN(F_STOP) + 8) | PAC);
}

static void test_leaf_and_frames(void **state)
{
	(void)state;
	frames_above(SP);
	run(0);
	assert_int_equal(walk.status, WALK_COMPLETE);
	assert_int_equal(walk.n, 4);
	assert_int_equal(pcs[1], FN(F_FRAME) + 8);
	assert_int_equal(pcs[2], FN(F_FP) + 8);
	assert_int_equal(pcs[3], FN(F_STOP) + 8);
}

static void test_entry(void **state)
{
	(void)state;
	frames_above(SP);
	regs.pc = FN(F_GAP);
	regs.aux |= PAC;
	run(1);
	assert_int_equal(walk.status, WALK_COMPLETE);
	assert_int_equal(walk.n, 4);
}

/* A caller cannot keep its return address in x30: the call overwrote it. */
static void test_leaf_rule_in_a_caller(void **state)
{
	(void)state;
	regs.aux = FN(F_LEAF) + 8;
	run(0);
	assert_int_equal(walk.status, WALK_UNSUPPORTED);
	assert_int_equal(walk.n, 2);
}

static void test_signal(void **state)
{
	(void)state;
	regs.aux = FN(F_SIGNAL) + 4;
	shim_write(SP + 544, 0x1234);
	shim_write(SP + 552, FN(F_FRAME) + 8); /* x30 of the interrupted leaf */
	shim_write(SP + 560, SP + 0x800);
	shim_write(SP + 568, FN(F_LEAF));
	frames_above(SP + 0x800);
	run(0);
	assert_int_equal(walk.status, WALK_COMPLETE);
	assert_int_equal(walk.n, 6);
	assert_int_equal(pcs[2], FN(F_LEAF));
	assert_int_equal(walk.flags, WALK_FLAG_SIGNAL);
}

static void test_fallback_strips_signatures(void **state)
{
	(void)state;
	regs.pc = FN(F_GAP) + 8;
	regs.fp = SP + 0x40;
	shim_write(SP + 0x40, 0);
	shim_write(SP + 0x48, (FN(F_STOP) + 8) | PAC);
	run(0);
	assert_int_equal(walk.status, WALK_COMPLETE);
	assert_int_equal(walk.n, 2);
	assert_int_equal(walk.flags, WALK_FLAG_FP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_leaf_and_frames, setup),
		cmocka_unit_test_setup(test_entry, setup),
		cmocka_unit_test_setup(test_leaf_rule_in_a_caller, setup),
		cmocka_unit_test_setup(test_signal, setup),
		cmocka_unit_test_setup(test_fallback_strips_signatures, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
