/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The walk of bpf/unwind_step.bpf.h, x86-64, over synthetic stacks and tables. */
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#define WALK_AARCH64 0
#include "step_shim.h"

/* One object at BASE: function k is the 256 bytes at k * 0x100 and has rule k. */
#define BASE  0x55550000ULL
#define FN(k) (BASE + (uint64_t)(k)*0x100)
#define SP    (SHIM_STACK + 0x1000)

/* Reads of user memory; a window (test_step_window.c) serves several words. */
#ifdef WALK_WINDOW
enum { READS_PLAIN = 1, READS_LATE = 2 };
#else
enum { READS_PLAIN = 2, READS_LATE = 6 };
#endif

enum {
	F_GAP,
	F_SP,	/* CFA = rsp + 16 */
	F_PUSH, /* CFA = rsp + 24, rbp at CFA - 16 */
	F_BP,	/* CFA = rbp + 16, rbp at CFA - 16 */
	F_BX,	/* CFA = rbx + 32, rbx at CFA - 24 */
	F_DRAP, /* CFA = *(rbp - 8), rbp at rbp + 0 */
	F_DSP,	/* CFA = *(rsp + 8) + 16 */
	F_PLT,	/* threshold 11 */
	F_SIGNAL,
	F_STOP,
	F_UNSUP,
	F_R10,	/* CFA = r10 + 0 */
	F_LOST, /* CFA = rsp + 16, rbp not recoverable */
	F_LOOP, /* CFA = rsp + 0 */
	FUNCTIONS,
};

static const struct unwind_rule rules[FUNCTIONS] = {
	[F_SP] = {.kind = UNWIND_SP, .cfa_off = 16},
	[F_PUSH] = {.kind = UNWIND_SP, .cfa_off = 24, .fp = UNWIND_CFA, .fp_off = -16},
	[F_BP] = {.kind = UNWIND_BP, .cfa_off = 16, .fp = UNWIND_CFA, .fp_off = -16},
	[F_BX] = {.kind = UNWIND_BX, .cfa_off = 32, .aux = UNWIND_CFA, .aux_off = -24},
	[F_DRAP] = {.kind = UNWIND_DBP, .cfa_off = -8, .fp = UNWIND_BPREL},
	[F_DSP] = {.kind = UNWIND_DSP, .cfa_off = 8, .off2 = 16},
	[F_PLT] = {.kind = UNWIND_PLT, .cfa_off = 11},
	[F_SIGNAL] = {.kind = UNWIND_SIGFRAME},
	[F_STOP] = {.kind = UNWIND_STOP},
	[F_UNSUP] = {.kind = UNWIND_UNSUP},
	[F_R10] = {.kind = UNWIND_R10},
	[F_LOST] = {.kind = UNWIND_SP, .cfa_off = 16, .fp = UNWIND_LOST},
	[F_LOOP] = {.kind = UNWIND_SP},
};

static struct unwind_row rows[FUNCTIONS + 1];
static struct unwind_block blocks[FUNCTIONS + 1];
static struct unwind_mapping mappings[3];
static struct walk_regs regs;
static struct walk walk;
static __u64 pcs[UNWIND_MAX_FRAMES];

static int setup(void **state)
{
	(void)state;
	memset(&shim, 0, sizeof(shim));
	for (uint32_t i = 0; i <= FUNCTIONS; i++) {
		rows[i] = (struct unwind_row){.rule = i % FUNCTIONS, .pc = i * 0x100};
		blocks[i] = (struct unwind_block){.first = i, .n = 1};
	}
	mappings[0] = (struct unwind_mapping){.start = 0x1000, .end = 0x2000};
	mappings[1] = (struct unwind_mapping){
		.start = BASE, .end = BASE + 0x10000, .base = BASE, .n_blocks = FUNCTIONS + 1};
	mappings[2] = (struct unwind_mapping){.start = 0x7f0000000000, .end = 0x7f0000001000};
	shim.mappings = mappings;
	shim.blocks = blocks;
	shim.rows = rows;
	shim.rules = rules;
	shim.n_mappings = 3;
	shim.n_blocks = shim.n_rows = FUNCTIONS + 1;
	shim.n_rules = FUNCTIONS;
	unwind_cfg.mode = UNWIND_DWARF;
	unwind_cfg.max_frames = UNWIND_MAX_FRAMES;
	regs = (struct walk_regs){.pc = FN(F_SP), .sp = SP};
	return 0;
}

static void run(void)
{
	const struct unwind_slice slice = {.lo = 0, .n = 3};

	walk_init(&walk, &regs, &slice);
	walk_run(&walk, pcs);
}

static void assert_walk(uint32_t n, uint32_t status)
{
	assert_int_equal(walk.status, status);
	assert_int_equal(walk.n, n);
}

static void test_sp_only(void **state)
{
	(void)state;
	shim_write(SP + 8, FN(F_SP) + 5);
	shim_write(SP + 24, FN(F_STOP) + 9);
	run();
	assert_walk(3, WALK_COMPLETE);
	assert_int_equal(pcs[0], FN(F_SP));
	assert_int_equal(pcs[1], FN(F_SP) + 5);
	assert_int_equal(pcs[2], FN(F_STOP) + 9);
	assert_int_equal(walk.flags, 0);
	assert_int_equal(shim.reads, READS_PLAIN); /* one per ordinary frame */
}

/* A call at the very end of a function: the return address is in the next one. */
static void test_return_address_is_looked_up_before_itself(void **state)
{
	(void)state;
	shim_write(SP + 8, FN(F_UNSUP)); /* belongs to F_STOP */
	run();
	assert_walk(2, WALK_COMPLETE);
	regs.pc = FN(F_UNSUP); /* the leaf is exact */
	run();
	assert_walk(1, WALK_UNSUPPORTED);
}

static void test_frame_pointer_is_read_late(void **state)
{
	(void)state;
	/* push saves rbp, SP does not touch it, BP needs it */
	regs.pc = FN(F_PUSH);
	regs.fp = 12345;
	shim_write(SP + 8, SP + 0x100);
	shim_write(SP + 16, FN(F_SP) + 1);
	shim_write(SP + 24 + 8, FN(F_BP) + 1);
	shim_write(SP + 0x100 + 8, FN(F_BP) + 2);
	shim_write(SP + 0x100, SP + 0x200);
	shim_write(SP + 0x200 + 8, FN(F_STOP) + 1);
	run();
	assert_walk(5, WALK_COMPLETE);
	assert_int_equal(pcs[3], FN(F_BP) + 2);
	assert_int_equal(shim.reads, READS_LATE);
	assert_int_equal(walk.flags, 0);
}

static void test_rbx_based(void **state)
{
	(void)state;
	regs.pc = FN(F_BX);
	regs.aux = SP + 0x40;
	shim_write(SP + 0x60 - 24, SP + 0x100);
	shim_write(SP + 0x60 - 8, FN(F_BX) + 1);
	shim_write(SP + 0x120 - 8, FN(F_STOP) + 1);
	run();
	assert_walk(3, WALK_COMPLETE);
}

static void test_realigned(void **state)
{
	(void)state;
	regs.pc = FN(F_DRAP);
	regs.fp = SP + 0x40;
	shim_write(SP + 0x40 - 8, SP + 0x80); /* CFA */
	shim_write(SP + 0x40, SP + 0x200);    /* the caller's rbp */
	shim_write(SP + 0x80 - 8, FN(F_BP) + 1);
	shim_write(SP + 0x208, FN(F_STOP) + 1);
	run();
	assert_walk(3, WALK_COMPLETE);

	regs.pc = FN(F_R10); /* its prologue */
	regs.r10 = SP + 0x80;
	run();
	assert_int_equal(pcs[1], FN(F_BP) + 1);
	regs.pc = FN(F_SP);
	shim_write(SP + 8, FN(F_R10) + 1);
	run();
	assert_walk(2, WALK_UNSUPPORTED); /* r10 does not survive calls */
}

static void test_deref_sp_and_plt(void **state)
{
	(void)state;
	regs.pc = FN(F_DSP);
	shim_write(SP + 8, SP + 0x30);
	shim_write(SP + 0x40 - 8, FN(F_STOP) + 1);
	run();
	assert_walk(2, WALK_COMPLETE);

	shim_write(SP, FN(F_STOP) + 1);
	regs.pc = FN(F_PLT) + 10;
	run();
	assert_walk(2, WALK_COMPLETE);
	shim_write(SP, 0x1234);
	shim_write(SP + 8, FN(F_STOP) + 1);
	regs.pc = FN(F_PLT) + 16 + 11;
	run();
	assert_walk(2, WALK_COMPLETE);
}

static void test_signal_frame(void **state)
{
	(void)state;
	/* The trampoline's own address is exact: its FDE may begin there. */
	regs.pc = FN(F_SP);
	shim_write(SP + 8, FN(F_SIGNAL) + 1);
	shim_write(SP + 16 + 40 + 80, SP + 0x900);  /* rbp */
	shim_write(SP + 16 + 40 + 120, SP + 0x800); /* rsp */
	shim_write(SP + 16 + 40 + 128, FN(F_PUSH)); /* rip: first byte of a function */
	shim_write(SP + 0x808, SP + 0xa00);
	shim_write(SP + 0x810, FN(F_STOP) + 1);
	run();
	assert_walk(4, WALK_COMPLETE);
	assert_int_equal(pcs[2], FN(F_PUSH));
	assert_int_equal(walk.flags, WALK_FLAG_SIGNAL);
}

/* A handler on its own stack: the interrupted one may lie below. */
static void test_signal_to_lower_stack(void **state)
{
	(void)state;
	shim_write(SP + 8, FN(F_SIGNAL) + 1);
	shim_write(SP + 16 + 160, SHIM_STACK + 0x100);
	shim_write(SP + 16 + 168, FN(F_SP));
	shim_write(SHIM_STACK + 0x108, FN(F_STOP) + 1);
	run();
	assert_walk(4, WALK_COMPLETE);
}

static void test_fallback(void **state)
{
	(void)state;
	/* no row, and no mapping at all */
	regs.pc = FN(F_GAP) + 8;
	regs.fp = SP + 0x40;
	shim_write(SP + 0x40, SP + 0x80);
	shim_write(SP + 0x48, 0x66660000);
	shim_write(SP + 0x80, SP + 0xc0);
	shim_write(SP + 0x88, FN(F_STOP) + 1);
	run();
	assert_walk(3, WALK_COMPLETE);
	assert_int_equal(walk.flags, WALK_FLAG_FP);

	regs.fp = SP - 8; /* below the stack pointer: no frame */
	run();
	assert_walk(1, WALK_NO_ROW);
	regs.fp = SP + 0x41;
	run();
	assert_walk(1, WALK_NO_ROW);
	regs.fp = SP + (1 << 20) + 8;
	run();
	assert_walk(1, WALK_NO_ROW);
	regs.pc = 0x66660000;
	run();
	assert_walk(1, WALK_NO_MAPPING); /* the cause is kept */
	assert_int_equal(walk.flags, 0);
}

/* What the tables say is lost must not be used, neither by a rule nor as a fallback. */
static void test_lost_frame_pointer(void **state)
{
	(void)state;
	regs.pc = FN(F_LOST);
	regs.fp = SP + 0x40;
	shim_write(SP + 0x40 + 8, FN(F_STOP) + 1);
	shim_write(SP + 8, FN(F_BP) + 1);
	run();
	assert_walk(2, WALK_UNSUPPORTED);
	shim_write(SP + 8, FN(F_GAP) + 2);
	run();
	assert_walk(2, WALK_NO_ROW);
}

static void test_ends(void **state)
{
	(void)state;
	shim_write(SP + 8, 0); /* return address 0 */
	run();
	assert_walk(1, WALK_COMPLETE);
	regs.sp = SHIM_STACK + SHIM_STACK_SIZE - 8; /* stack not readable */
	run();
	assert_walk(1, WALK_FAULT);
	regs.pc = FN(F_LOOP); /* no progress */
	regs.sp = SP;
	run();
	assert_walk(1, WALK_FAULT);
	regs.pc = FN(FUNCTIONS) + 0x100; /* in the mapping, behind the table */
	run();
	assert_walk(1, WALK_NO_ROW);
	regs.pc = 0x1800; /* object with no table */
	run();
	assert_walk(1, WALK_NO_ROW);
}

static void test_depth_and_hash(void **state)
{
	uint64_t hash;

	(void)state;
	for (unsigned int i = 0; i < 200; i++)
		shim_write(SP + 8 + 16 * i, FN(F_SP) + 5);
	run();
	assert_walk(UNWIND_MAX_FRAMES, WALK_DEPTH);
	hash = walk.hash;
	unwind_cfg.max_frames = 10;
	run();
	assert_walk(10, WALK_DEPTH);
	assert_int_not_equal(walk.hash, hash);
	hash = walk.hash;
	walk_init(&walk, &regs, &(struct unwind_slice){.n = 3});
	walk_run(&walk, NULL); /* the hash needs no room */
	assert_int_equal(walk.hash, hash);
}

static void test_modes(void **state)
{
	(void)state;
	unwind_cfg.mode = UNWIND_NONE;
	run();
	assert_walk(1, WALK_DEPTH);
	assert_int_equal(shim.reads, 0);

	unwind_cfg.mode = UNWIND_FP;
	shim.n_mappings = 0; /* never looked at */
	regs.fp = SP + 0x40;
	shim_write(SP + 0x40, SP + 0x80);
	shim_write(SP + 0x48, FN(F_UNSUP) + 1);
	shim_write(SP + 0x80, 0);
	shim_write(SP + 0x88, FN(F_UNSUP) + 2);
	run();
	assert_walk(3, WALK_COMPLETE);
	assert_int_equal(walk.flags, WALK_FLAG_FP);
}

/* Right below the end of the stack nothing more can be read than there is. */
static void test_end_of_stack(void **state)
{
	(void)state;
	regs.sp = SHIM_STACK + SHIM_STACK_SIZE - 32;
	shim_write(regs.sp + 8, FN(F_SP) + 5);
	shim_write(regs.sp + 24, FN(F_STOP) + 9);
	run();
	assert_walk(3, WALK_COMPLETE);
	shim_write(regs.sp + 24, FN(F_SP) + 9);
	run();
	assert_walk(3, WALK_FAULT);
}

/* The entry of a function needs no table; rbp is still the caller's. */
static void test_entry(void **state)
{
	const struct unwind_slice slice = {.n = 3};

	(void)state;
	regs.pc = FN(F_GAP);
	shim_write(SP, FN(F_SP) + 1);
	shim_write(SP + 16, FN(F_STOP) + 1);
	walk_init(&walk, &regs, &slice);
	walk.entry = 1;
	walk_run(&walk, pcs);
	assert_walk(3, WALK_COMPLETE);
	assert_int_equal(walk.flags, 0);
}

static void test_uretprobe(void **state)
{
	(void)state;
	shim_write(SP + 8, SHIM_TRAMP);
	shim_write(SP + 24, FN(F_STOP) + 1);
	shim.hidden = FN(F_SP) + 7;
	shim.hidden_slot = SP + 8;
	run();
	assert_walk(3, WALK_COMPLETE);
	assert_int_equal(pcs[1], FN(F_SP) + 7);
	assert_int_equal(walk.flags, WALK_FLAG_TRAMP);

	unwind_cfg.mode = UNWIND_FP;
	regs.fp = SP + 0x40;
	shim_write(SP + 0x40, 0);
	shim_write(SP + 0x48, SHIM_TRAMP);
	shim.hidden_slot = SP + 0x48;
	run();
	assert_walk(2, WALK_COMPLETE);
	assert_int_equal(pcs[1], FN(F_SP) + 7);
}

static uint64_t random_draw(uint64_t *seed, uint64_t n)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (*seed >> 33) % n;
}

/* A chain of frame records with what can go wrong in it: one frame in sixteen is damaged. */
static void write_frames(uint64_t *seed)
{
	uint64_t fp = SP + 0x10;

	regs.fp = fp;
	for (int i = 0; i < 150; i++) {
		uint64_t next = fp + 16 + 8 * random_draw(seed, 40);
		uint64_t ra = FN(F_SP) + 1 + random_draw(seed, 8);

		switch (random_draw(seed, 96)) {
		case 0:
			ra = 0;
			break;
		case 1:
			next = 0;
			break;
		case 2:
			next += 4;
			break;
		case 3:
			next = fp - 64;
			break;
		case 4:
			next = SHIM_STACK + SHIM_STACK_SIZE - 8;
			break;
		case 5:
			ra = SHIM_TRAMP;
			shim.hidden_slot = fp + 8;
			shim.hidden = FN(F_SP) + 30;
			break;
		}
		shim_write(fp, next);
		shim_write(fp + 8, ra);
		if (next <= fp || next > SHIM_STACK + SHIM_STACK_SIZE - 512)
			break;
		fp = next & ~7ULL;
	}
}

/* Whatever the stack looks like, the frames done in registers are those of single steps. */
static void test_plain_frames(void **state)
{
	const struct unwind_slice slice = {0};
	uint64_t seed = 1, plain = 0;

	(void)state;
	unwind_cfg.mode = UNWIND_FP;
	for (int round = 0; round < 5000; round++) {
		static __u64 steps[UNWIND_MAX_FRAMES];
		static struct walk one;

		write_frames(&seed);
		unwind_cfg.max_frames = 1 + (__u32)random_draw(&seed, UNWIND_MAX_FRAMES);
		walk_init(&one, &regs, &slice);
		walk_init(&walk, &regs, &slice);
		one.tramp = walk.tramp = round % 2 ? SHIM_TRAMP : WALK_TRAMP_UNKNOWN;
		assert_int_equal(walk_go_on(&one, steps), 0);
		walk_run(&walk, pcs);
		assert_walk(one.n, one.status);
		assert_int_equal(walk.hash, one.hash);
		assert_int_equal(walk.flags, one.flags);
		assert_memory_equal(pcs, steps, one.n * sizeof(*pcs));
		plain += one.n > 20;
	}
	assert_true(plain > 500); /* not only chains that end at once */
}

#ifdef WALK_MEMOS
#define SITE 77
static const struct walk_owner owner = {.proc_key = 7, .kind = 1};

/* Another walk; two from the same registers, and it is kept. */
static void walk_and_learn(void)
{
	const struct unwind_slice slice = {.lo = 0, .n = 3};

	walk_init(&walk, &regs, &slice);
	walk_memo_learn(&walk, &regs);
	walk_run(&walk, pcs);
	walk_memo_keep(&walk, &owner, SITE);
}

static int recognised(void)
{
	const struct walk_memo *m = walk_memo_find(&walk, &regs, &owner);

	if (m)
		assert_int_equal(m->site, SITE);
	return m != NULL;
}

static void assert_not_recognised_with(uint64_t addr, uint64_t value)
{
	uint64_t before;

	memcpy(&before, shim.stack + (addr - SHIM_STACK), sizeof(before));
	shim_write(addr, value);
	assert_false(recognised());
	shim_write(addr, before);
	assert_true(recognised());
}

/* F_PUSH, F_BP by the rbp that it saved, end: what counts are these three words. */
static void test_recognised(void **state)
{
	(void)state;
	memset(&walk, 0, sizeof(walk));
	regs.pc = FN(F_PUSH);
	shim_write(SP + 8, SP + 0x80);
	shim_write(SP + 16, FN(F_BP) + 5);
	shim_write(SP + 0x88, FN(F_STOP) + 5);
	walk_and_learn();
	assert_walk(3, WALK_COMPLETE);
	assert_false(recognised()); /* what comes once only is not kept */
	walk_and_learn();
	assert_true(recognised());
	shim.reads = 0;
	assert_true(recognised());
	assert_int_equal(shim.reads, 1);

	assert_not_recognised_with(SP + 8, SP + 0x88);
	assert_not_recognised_with(SP + 16, FN(F_BP) + 6);
	assert_not_recognised_with(SP + 0x88, FN(F_STOP) + 6);
	shim_write(SP + 24, 1); /* of no matter for the walk; nor are the registers */
	regs.fp = regs.aux = regs.r10 = 5;
	assert_true(recognised());

	regs.pc++;
	assert_false(recognised());
	regs.pc--;
	regs.sp += 8;
	assert_false(recognised());
	regs.sp -= 8;
	assert_null(walk_memo_find(&walk, &regs, &(struct walk_owner){7, 2}));
	assert_null(walk_memo_find(&walk, &regs, &(struct walk_owner){8, 1}));
	assert_true(recognised());
}

static void test_recognised_by_registers(void **state)
{
	(void)state;
	memset(&walk, 0, sizeof(walk));
	regs = (struct walk_regs){.pc = FN(F_BX), .sp = SP, .aux = SP + 0x20};
	shim_write(SP + 0x38, FN(F_STOP) + 5);
	walk_and_learn();
	walk_and_learn();
	assert_true(recognised());
	regs.aux += 8;
	assert_false(recognised());
	regs.pc = FN(F_R10);
	regs.r10 = SP + 0x40;
	walk_and_learn();
	walk_and_learn();
	assert_true(recognised());
	regs.r10 += 8;
	assert_false(recognised());
}

static void write_words(uint64_t *seed)
{
	static const uint8_t known[] = {F_SP, F_PUSH, F_BP, F_BX, F_DRAP, F_STOP};

	for (unsigned int i = 0; i < 80; i++)
		shim_write(SP + 8 * i, random_draw(seed, 2) ? SP + 8 * random_draw(seed, 60)
							    : FN(known[random_draw(seed, 6)]) + 5);
	regs.pc = FN(known[random_draw(seed, 5)]);
	regs.fp = SP + 8 * random_draw(seed, 20);
	regs.aux = SP + 8 * random_draw(seed, 20);
}

static void change(uint64_t *seed)
{
	switch (random_draw(seed, 8)) {
	case 0:
		regs.fp += 8;
		break;
	case 1:
		regs.aux += 8;
		break;
	default:
		shim_write(SP + 8 * random_draw(seed, 40), SP + 8 * random_draw(seed, 60));
	}
}

/* Whatever has changed: where the old walk is recognised, a new one comes out alike. */
static void test_recognised_is_the_same(void **state)
{
	const struct unwind_slice slice = {.lo = 0, .n = 3};
	static struct walk fresh;
	unsigned int same = 0, other = 0;
	uint64_t seed = 3;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		unwind_cfg.mode = round % 2 ? UNWIND_FP : UNWIND_DWARF;
		shim.hidden = shim.hidden_slot = 0;
		if (round % 2)
			write_frames(&seed);
		write_words(&seed);
		walk_and_learn();
		walk_and_learn();
		if (!recognised())
			continue;
		change(&seed);
		walk_init(&fresh, &regs, &slice);
		walk_run(&fresh, NULL);
		other += fresh.hash != walk.hash;
		if (!recognised())
			continue;
		same += fresh.n > 2;
		assert_int_equal(fresh.hash, walk.hash);
		assert_int_equal(fresh.n, walk.n);
		assert_int_equal(fresh.status, walk.status);
	}
	assert_true(same > 500);
	assert_true(other > 100);
}
#endif

/* What the slice does not know, the kernel may. */
static void test_vma(void **state)
{
	static const struct unwind_mapping vmas[] = {
		{.start = BASE, .end = BASE + 0x10000, .base = BASE, .n_blocks = FUNCTIONS + 1},
		{.start = 0x66660000, .end = 0x66670000}, /* JIT code */
	};

	(void)state;
	shim.n_mappings = 1; /* a slice from before */
	shim.vmas = vmas;
	shim.n_vmas = 2;
	shim_write(SP + 8, FN(F_STOP) + 1);
	run();
	assert_walk(2, WALK_COMPLETE);
	assert_int_equal(walk.flags, 0);
	assert_int_equal(shim.vma_lookups, 1); /* once for both frames */

	/* three frames of JIT code: by frame pointer, the kernel asked once */
	regs.pc = 0x66660000;
	regs.fp = SP + 0x40;
	shim_write(SP + 0x40, SP + 0x80);
	shim_write(SP + 0x48, 0x66660100);
	shim_write(SP + 0x80, SP + 0xc0);
	shim_write(SP + 0x88, 0x66660200);
	shim_write(SP + 0xc0, SP + 0xc1);
	shim_write(SP + 0xc8, 0x66660300);
	shim.vma_lookups = 0;
	run();
	assert_walk(4, WALK_NO_MAPPING);
	assert_int_equal(walk.flags, WALK_FLAG_FP);
	assert_int_equal(shim.vma_lookups, 1);

	/* a slice that knows the pc is not doubted */
	shim.n_mappings = 3;
	regs = (struct walk_regs){.pc = FN(F_SP), .sp = SP};
	shim.vma_lookups = 0;
	run();
	assert_walk(2, WALK_COMPLETE);
	assert_int_equal(shim.vma_lookups, 0);

	unwind_cfg.mode = UNWIND_FP;
	regs.pc = 0x66660000;
	run();
	assert_int_equal(shim.vma_lookups, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sp_only, setup),
		cmocka_unit_test_setup(test_return_address_is_looked_up_before_itself, setup),
		cmocka_unit_test_setup(test_frame_pointer_is_read_late, setup),
		cmocka_unit_test_setup(test_rbx_based, setup),
		cmocka_unit_test_setup(test_realigned, setup),
		cmocka_unit_test_setup(test_deref_sp_and_plt, setup),
		cmocka_unit_test_setup(test_signal_frame, setup),
		cmocka_unit_test_setup(test_signal_to_lower_stack, setup),
		cmocka_unit_test_setup(test_fallback, setup),
		cmocka_unit_test_setup(test_lost_frame_pointer, setup),
		cmocka_unit_test_setup(test_ends, setup),
		cmocka_unit_test_setup(test_depth_and_hash, setup),
		cmocka_unit_test_setup(test_modes, setup),
		cmocka_unit_test_setup(test_end_of_stack, setup),
		cmocka_unit_test_setup(test_entry, setup),
		cmocka_unit_test_setup(test_uretprobe, setup),
		cmocka_unit_test_setup(test_plain_frames, setup),
#ifdef WALK_MEMOS
		cmocka_unit_test_setup(test_recognised, setup),
		cmocka_unit_test_setup(test_recognised_by_registers, setup),
		cmocka_unit_test_setup(test_recognised_is_the_same, setup),
#endif
		cmocka_unit_test_setup(test_vma, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
