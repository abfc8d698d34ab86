/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * insn_arm64.c - instructions of aarch64, as far as they move control: Arm Architecture
 * Reference Manual (DDI 0487), "Branches, Exception Generating and System instructions".
 */
#include <errno.h>
#include <string.h>

#include "lib/lib.h"
#include "trace/insn.h"

#define LENGTH 4

/* What is left of a word under `mask` is `value`; the displacement: `bits` from bit `shift` on. */
static const struct form {
	uint32_t mask, value;
	uint8_t class;
	uint8_t shift, bits;
} forms[] = {
	{0xfc000000, 0x14000000, INSN_JMP, 0, 26},     /* b */
	{0xfc000000, 0x94000000, INSN_CALL, 0, 26},    /* bl */
	{0xff000000, 0x54000000, INSN_JCC, 5, 19},     /* b.cond, bc.cond */
	{0x7e000000, 0x34000000, INSN_JCC, 5, 19},     /* cbz, cbnz */
	{0x7e000000, 0x36000000, INSN_JCC, 5, 14},     /* tbz, tbnz */
	{0xffffffff, 0xd65f03c0, INSN_RET, 0, 0},      /* ret */
	{0xfffffbff, 0xd65f0bff, INSN_RET, 0, 0},      /* retaa, retab */
	{0xfffffc1f, 0xd65f0000, INSN_JMP_IND, 0, 0},  /* ret xN */
	{0xfffffc1f, 0xd61f0000, INSN_JMP_IND, 0, 0},  /* br */
	{0xfefff800, 0xd61f0800, INSN_JMP_IND, 0, 0},  /* braa, brab, braaz, brabz */
	{0xfffffc1f, 0xd63f0000, INSN_CALL_IND, 0, 0}, /* blr */
	{0xfefff800, 0xd63f0800, INSN_CALL_IND, 0, 0}, /* blraa, blrab, blraaz, blrabz */
	{0xffffff3f, 0xd503241f, INSN_ENDBR, 0, 0},    /* bti */
	{0xffe0001f, 0xd4200000, INSN_STOP, 0, 0},     /* brk */
	{0xffe0001f, 0xd4400000, INSN_STOP, 0, 0},     /* hlt */
	{0xffff0000, 0x00000000, INSN_STOP, 0, 0},     /* udf */
};

static uint32_t word_at(const uint8_t *code, size_t n)
{
	uint32_t w;

	memcpy(&w, code + n * LENGTH, sizeof(w));
	return w;
}

static int64_t sign_extend(uint64_t value, unsigned int bits)
{
	return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

/* How every stub of a PLT begins: adrp x16, PAGE */
static bool is_stub(uint32_t word)
{
	return (word & 0x9f00001f) == 0x90000010;
}

/*
 * adrp x16, PAGE; ldr x17, [x16, N]; add x16, x16, N; br x17: jumps to what is at PAGE + N.
 * Taken for one instruction.
 */
static void decode_stub(const uint8_t *code, uint64_t vaddr, struct insn *ret)
{
	uint32_t adrp = word_at(code, 0), ldr = word_at(code, 1), add = word_at(code, 2);
	uint64_t pages = (adrp >> 5 & 0x7ffff) << 2 | (adrp >> 29 & 3);

	if ((ldr & 0xffc003ff) != 0xf9400211 || (add & 0xff8003ff) != 0x91000210 ||
	    word_at(code, 3) != 0xd61f0220)
		return;
	ret->length = 4 * LENGTH;
	ret->class = INSN_JMP_IND;
	ret->mem = INSN_MEM_RIP;
	ret->slot = (vaddr & ~0xfffULL) + (uint64_t)(sign_extend(pages, 21) * 4096) +
		    (ldr >> 10 & 0xfff) * 8;
}

int insn_arm64_decode(const uint8_t *code, size_t len, uint64_t vaddr, struct insn *ret)
{
	struct insn insn = {.length = LENGTH, .reg = -1, .copy_to = -1, .copy_from = -1};
	uint32_t word;

	if (vaddr % LENGTH)
		return -EBADMSG;
	if (len < LENGTH)
		return -ENODATA;
	word = word_at(code, 0);
	if (is_stub(word) && len < 4 * LENGTH)
		return -ENODATA;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		const struct form *f = &forms[i];

		if ((word & f->mask) != f->value)
			continue;
		insn.class = f->class;
		if (f->bits)
			insn.target =
				vaddr + (uint64_t)(sign_extend(word >> f->shift, f->bits) * LENGTH);
		break;
	}
	if (is_stub(word))
		decode_stub(code, vaddr, &insn);
	*ret = insn;
	return 0;
}
