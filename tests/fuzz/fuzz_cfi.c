/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_cfi.c - libFuzzer target: compiles any bytes as unwind information and walks a
 * made-up stack with the result. Whatever the bytes say, tables are sorted and indexed,
 * and the walk ends with a status.
 *
 *	clang -fsanitize=fuzzer,address,undefined ... && fuzz_cfi -max_total_time=60
 *
 * The first byte chooses the form: bits 0 aarch64, 1 .debug_frame, 2 stop at a zero
 * record, 3 limits of text, 4 a whole ELF file.
 */
#include <errno.h>

#include "cfi/cfi.h"
#include "lib/lib.h"

#define WALK_AARCH64 0
#include "../unit/step_shim.h"

#define REQUIRE(cond)                     \
	do {                              \
		if (!(cond))              \
			__builtin_trap(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct bytes {
	const uint8_t *data;
	size_t len;
};

static int read_bytes(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct bytes *b = arg;

	if (off > b->len || len > b->len - off)
		return -EBADMSG;
	memcpy(buf, b->data + off, len);
	return 0;
}

static int compile(uint8_t form, const struct bytes *in, struct cfi_rules *rules,
		   struct cfi_table *ret)
{
	struct cfi_file f = {.read = read_bytes, .arg = (void *)in};
	struct cfi_section s = {
		.data = in->data,
		.len = in->len,
		.vaddr = 0x1000,
		.arch = form & 1 ? CFI_AARCH64 : CFI_X86_64,
		.debug_frame = form & 2,
		.stop_at_zero = form & 4,
	};

	if (form & 16)
		return cfi_compile_file(&f, rules, ret);
	if (form & 8) {
		s.text = 0x1000;
		s.text_end = 0x100000;
	}
	return cfi_compile(&s, rules, ret);
}

static void check_table(const struct cfi_table *t, const struct cfi_rules *rules)
{
	REQUIRE(t->n_rows);
	REQUIRE(t->rows[0].pc == 0 || t->rows[0].rule == CFI_RULE_GAP);
	REQUIRE(t->rows[t->n_rows - 1].rule == CFI_RULE_GAP);
	for (size_t i = 0; i < t->n_rows; i++) {
		REQUIRE(t->rows[i].rule < cfi_rules_count(rules));
		REQUIRE(!i || t->rows[i - 1].pc < t->rows[i].pc);
	}
}

static void check_index(const struct cfi_table *t, const struct unwind_block *blocks)
{
	for (size_t b = 0; b < cfi_table_blocks(t); b++) {
		REQUIRE(blocks[b].n >= 1 && blocks[b].n <= 257);
		REQUIRE(blocks[b].first + blocks[b].n <= t->n_rows);
	}
}

/* A stack full of addresses inside the object, of the stack, and of nowhere. */
static void fill_stack(const struct cfi_table *t, const struct bytes *in)
{
	uint64_t span = (uint64_t)t->rows[t->n_rows - 1].pc + 1, h = in->len;

	for (size_t i = 0; i < SHIM_STACK_SIZE / 8; i++) {
		h = (h ^ in->data[i % in->len]) * 0x9E3779B97F4A7C15ULL;
		h ^= h >> 29;
		shim_write(SHIM_STACK + i * 8, (h & 3) == 0   ? h
					       : (h & 3) == 1 ? SHIM_STACK + h % SHIM_STACK_SIZE
							      : t->base + h % span);
	}
}

static void walk_it(const struct cfi_table *t, const struct cfi_rules *rules,
		    const struct unwind_block *blocks)
{
	struct unwind_mapping m = {
		.start = t->base,
		.end = t->base + t->rows[t->n_rows - 1].pc + 1,
		.base = t->base,
		.n_blocks = (uint32_t)cfi_table_blocks(t),
	};
	struct walk_regs regs = {
		.pc = t->base,
		.sp = SHIM_STACK,
		.fp = SHIM_STACK + 64,
		.aux = SHIM_STACK + 128,
		.r10 = SHIM_STACK + 256,
	};
	struct unwind_slice slice = {.n = 1};
	__u64 pcs[UNWIND_MAX_FRAMES];
	struct walk w;

	shim.mappings = &m;
	shim.blocks = blocks;
	shim.rows = t->rows;
	shim.rules = cfi_rules_at(rules, 0);
	shim.n_mappings = 1;
	shim.n_blocks = m.n_blocks;
	shim.n_rows = (uint32_t)t->n_rows;
	shim.n_rules = (uint32_t)cfi_rules_count(rules);
	for (int i = 0; i < 16; i++) {
		regs.pc = t->base + (uint64_t)t->rows[(size_t)i * 7 % t->n_rows].pc;
		walk_init(&w, &regs, &slice);
		walk_run(&w, pcs);
		REQUIRE(w.status < WALK_STATUSES);
		REQUIRE(w.n >= 1 && w.n <= UNWIND_MAX_FRAMES);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bytes in = {data + 1, len - 1};
	struct unwind_block *blocks;
	struct cfi_rules *rules;
	struct cfi_table t;

	if (len < 2)
		return 0;
	rules = cfi_rules_new();
	if (!rules || compile(data[0], &in, rules, &t)) {
		cfi_rules_free(rules);
		return 0;
	}
	check_table(&t, rules);
	if (cfi_table_blocks(&t) < 1 << 16) {
		blocks = calloc(cfi_table_blocks(&t), sizeof(*blocks));
		REQUIRE(blocks);
		cfi_table_index(&t, 0, blocks);
		check_index(&t, blocks);
		fill_stack(&t, &in);
		walk_it(&t, rules, blocks);
		free(blocks);
	}
	cfi_table_deinit(&t);
	cfi_rules_free(rules);
	return 0;
}
