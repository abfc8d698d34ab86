/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walks finished in user space. The reference is the walk itself: stopped where a mapping
 * is not known yet and finished, it must give what it gives with all mappings known.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#define WALK_AARCH64 0
#include "step_shim.h"
#include "trace/finisher.h"

#define SP  (SHIM_STACK + 0x1000)
#define KEY 0x1234500000042ULL

/* Two objects of 16 functions of 256 bytes; function k of either follows rules[k]. */
#define FUNCTIONS 16
#define BASE(o)	  (0x55550000ULL + (uint64_t)(o)*0x100000)
#define FN(o, k)  (BASE(o) + (uint64_t)(k)*0x100)

enum { F_SP, F_PUSH, F_BP, F_BX, F_STOP, F_KINDS };

static struct unwind_rule rules[FUNCTIONS];
static struct unwind_row rows[FUNCTIONS];
static struct unwind_block blocks[FUNCTIONS];
static struct unwind_mapping mappings[2];
static struct finisher finisher;
static bool found_none;
static struct raw_event raw;
#define ROOM 16 /* frames in it */
static struct stack_event stack;
static struct walk walk;
static __u64 pcs[UNWIND_MAX_FRAMES];
static unsigned int seed;

static bool find(void *arg, uint64_t pc, struct unwind_mapping *ret)
{
	(void)arg;
	for (int i = 0; i < 2 && !found_none; i++) {
		if (pc < mappings[i].start || pc >= mappings[i].end)
			continue;
		*ret = mappings[i];
		return true;
	}
	return false;
}

static int setup(void **state)
{
	(void)state;
	memset(&shim, 0, sizeof(shim));
	rules[F_SP] = (struct unwind_rule){.kind = UNWIND_SP, .cfa_off = 32};
	rules[F_PUSH] = (struct unwind_rule){.kind = UNWIND_SP,
					     .cfa_off = 48,
					     .fp = UNWIND_CFA,
					     .fp_off = -16,
					     .aux = UNWIND_CFA,
					     .aux_off = -24};
	rules[F_BP] = (struct unwind_rule){
		.kind = UNWIND_BP, .cfa_off = 16, .fp = UNWIND_CFA, .fp_off = -16};
	rules[F_BX] = (struct unwind_rule){
		.kind = UNWIND_BX, .cfa_off = 32, .aux = UNWIND_CFA, .aux_off = -24};
	rules[F_STOP] = (struct unwind_rule){.kind = UNWIND_STOP};
	for (uint32_t i = 0; i < FUNCTIONS; i++) {
		rows[i] = (struct unwind_row){.rule = i, .pc = i * 0x100};
		blocks[i] = (struct unwind_block){.first = i, .n = 1};
	}
	for (uint32_t i = 0; i < 2; i++)
		mappings[i] = (struct unwind_mapping){.start = BASE(i),
						      .end = BASE(i) + FUNCTIONS * 0x100,
						      .base = BASE(i),
						      .n_blocks = FUNCTIONS};
	shim.mappings = mappings;
	shim.blocks = blocks;
	shim.rows = rows;
	shim.rules = rules;
	shim.n_blocks = shim.n_rows = shim.n_rules = FUNCTIONS;
	unwind_cfg.max_frames = UNWIND_MAX_FRAMES;
	finisher = (struct finisher){
		.tables = {blocks, rows, rules, FUNCTIONS, FUNCTIONS, FUNCTIONS},
		.max_frames = UNWIND_MAX_FRAMES,
		.find = find,
	};
	found_none = false;
	return 0;
}

/* What bpf/raw_stack.bpf.h does. */
static void send(const struct walk *w)
{
	memset(&raw, 0, sizeof(raw));
	raw = (struct raw_event){.ev = {.proc_key = KEY, .tid = 43},
				 .site = 99,
				 .kind = 1,
				 .pc = w->pc,
				 .sp = w->sp,
				 .fp = w->fp,
				 .aux = w->aux,
				 .hash = w->hash,
				 .n = w->n,
				 .flags = w->flags & ~WALK_FLAG_ASK,
				 .is_ra = w->is_ra,
				 .entry = w->entry,
				 .lost = w->lost,
				 .room = ROOM,
				 .stack_len = RAW_STACK_BYTES};
	if (w->fp_at)
		shim_read(&raw.fp, 8, w->fp_at);
	if (w->aux_at)
		shim_read(&raw.aux, 8, w->aux_at);
	memcpy(raw.data, pcs, w->n * sizeof(pcs[0]));
	shim_read(raw.data + ROOM, RAW_STACK_BYTES, w->sp);
}

static void walk_with(uint32_t n_mappings, uint32_t flags)
{
	const struct walk_regs regs = {.pc = FN(0, F_SP), .sp = SP, .fp = SP + 64};
	const struct unwind_slice slice = {.lo = 0, .n = n_mappings};

	shim.n_mappings = n_mappings;
	memset(pcs, 0, sizeof(pcs));
	walk_init(&walk, &regs, &slice);
	walk.flags = flags;
}

/* Pushes the frames of functions k of objects o, and at last F_STOP. */
static void make_stack(unsigned int n)
{
	bool push = false;
	uint64_t sp = SP;

	for (unsigned int i = 0; i < n; i++) {
		bool other = i && rand_r(&seed) & 1;
		uint64_t next = FN(other, i + 1 == n ? F_STOP : rand_r(&seed) & 1) + 8;
		sp += push ? 48 : 32;
		shim_write(sp - 8, next);
		shim_write(sp - 16, sp + 64);
		shim_write(sp - 24, sp + 96);
		push = (next & 0xf00) >> 8 == F_PUSH;
	}
}

/* Equal whatever frame it stops at, sites and all. */
static void test_same_as_if_known(void **state)
{
	struct walk full;
	__u64 expected[UNWIND_MAX_FRAMES];
	unsigned int cut = 0;

	(void)state;
	for (unsigned int i = 0; i < 2000; i++) {
		seed = i;
		make_stack(2 + i % 40);
		walk_with(2, 0);
		assert_int_equal(walk_go_on(&walk, pcs), 0);
		assert_int_equal(walk.status, WALK_COMPLETE);
		full = walk;
		memcpy(expected, pcs, sizeof(expected));
		walk_with(1, WALK_FLAG_ASK);
		if (!walk_go_on(&walk, pcs))
			continue;
		cut++;
		send(&walk);
		finisher_run(&finisher, &raw, sizeof(raw), &stack);
		assert_int_equal(stack.n, full.n);
		assert_memory_equal(stack.pcs, expected, full.n * sizeof(expected[0]));
		assert_int_equal(stack.status, full.status);
		assert_int_equal(stack.flags, WALK_FLAG_RAW | WALK_FLAG_BUSY);
		assert_int_equal(stack.site, site_id(full.hash, KEY, 1, 0));
		assert_int_equal(stack.ev.type, EVENT_STACK);
		assert_int_equal(stack.ev.tid, 43);
	}
	assert_in_range(cut, 1000, 2000);
}

/* Registers that an earlier frame saved, below the copy. */
static void test_saved_registers(void **state)
{
	(void)state;
	walk_with(1, WALK_FLAG_ASK);
	shim_write(SP + 24, FN(0, F_PUSH) + 1);
	shim_write(SP + 32 + 40, FN(1, F_BP) + 1);
	shim_write(SP + 32 + 32, SP + 0x200); /* rbp */
	shim_write(SP + 32 + 24, SP + 0x300); /* rbx */
	shim_write(SP + 0x208, FN(1, F_BX) + 1);
	shim_write(SP + 0x300 + 24, FN(1, F_STOP) + 1);
	assert_int_equal(walk_go_on(&walk, pcs), 1);
	assert_int_equal(walk.n, 2);
	send(&walk);
	finisher_run(&finisher, &raw, sizeof(raw), &stack);
	assert_int_equal(stack.status, WALK_COMPLETE);
	assert_int_equal(stack.n, 5);
	assert_int_equal(stack.pcs[3], FN(1, F_BX) + 1);
}

static void cut_at_first_return(void)
{
	shim_write(SP + 24, FN(1, F_SP) + 1);
	shim_write(SP + 32 + 24, FN(1, F_SP) + 2);
	shim_write(SP + 72, FN(1, F_SP) + 9); /* by frame pointer */
	shim_write(SP + 64 + 24, FN(1, F_STOP) + 1);
	walk_with(1, WALK_FLAG_ASK);
	assert_int_equal(walk_go_on(&walk, pcs), 1);
	send(&walk);
}

/* Where the copy ends the frames up to there stay; the rest of the record is not read. */
static void test_short_copy(void **state)
{
	(void)state;
	cut_at_first_return();
	raw.stack_len = 32; /* one frame */
	finisher_run(&finisher, &raw, sizeof(raw), &stack);
	assert_int_equal(stack.status, WALK_FAULT);
	assert_int_equal(stack.n, 3);
	raw.stack_len = UINT32_MAX; /* more than came */
	finisher_run(&finisher, &raw, RAW_EVENT_SIZE(ROOM, 32), &stack);
	assert_int_equal(stack.status, WALK_FAULT);
	assert_int_equal(stack.n, 3);
	finisher_run(&finisher, &raw, RAW_EVENT_SIZE(ROOM, 0), &stack);
	assert_int_equal(stack.n, 2);
}

static void test_limits(void **state)
{
	(void)state;
	cut_at_first_return();
	finisher.max_frames = 2;
	finisher_run(&finisher, &raw, sizeof(raw), &stack);
	assert_int_equal(stack.status, WALK_DEPTH);
	assert_int_equal(stack.n, 2);
	raw.n = UINT32_MAX; /* not believed */
	raw.room = ABI_MAX_FRAMES;
	finisher.max_frames = UINT32_MAX;
	finisher_run(&finisher, &raw, sizeof(raw), &stack);
	assert_int_equal(stack.status, WALK_DEPTH);
	assert_int_equal(stack.n, UNWIND_MAX_FRAMES);
}

/* JIT code after all: by frame pointer, if it holds one. */
static void test_still_unknown(void **state)
{
	(void)state;
	cut_at_first_return();
	found_none = true;
	finisher_run(&finisher, &raw, sizeof(raw), &stack);
	assert_int_equal(stack.status, WALK_NO_MAPPING);
	assert_int_equal(stack.n, 3); /* rbp leads to one more */
	assert_int_equal(stack.flags, WALK_FLAG_RAW | WALK_FLAG_BUSY | WALK_FLAG_FP);
	raw.fp = 0;
	finisher_run(&finisher, &raw, sizeof(raw), &stack);
	assert_int_equal(stack.status, WALK_NO_MAPPING);
	assert_int_equal(stack.n, 2);
}

/* Threads have sites of their own on request. */
static void test_site(void **state)
{
	uint64_t site;

	(void)state;
	cut_at_first_return();
	finisher_run(&finisher, &raw, sizeof(raw), &stack);
	site = stack.site;
	raw.thread = 77;
	finisher_run(&finisher, &raw, sizeof(raw), &stack);
	assert_int_not_equal(stack.site, site);
	raw.thread = 0;
	raw.kind = 2;
	finisher_run(&finisher, &raw, sizeof(raw), &stack);
	assert_int_not_equal(stack.site, site);
	raw.kind = 1;
	raw.site = 100; /* of another call */
	finisher_run(&finisher, &raw, sizeof(raw), &stack);
	assert_int_equal(stack.site, site);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_same_as_if_known, setup),
		cmocka_unit_test_setup(test_saved_registers, setup),
		cmocka_unit_test_setup(test_short_copy, setup),
		cmocka_unit_test_setup(test_limits, setup),
		cmocka_unit_test_setup(test_still_unknown, setup),
		cmocka_unit_test_setup(test_site, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
