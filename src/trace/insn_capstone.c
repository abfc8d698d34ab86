/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decoder of the static build: Debian has no libZydis.a. tests/unit/test_site_insn.c
 * checks that both decoders say the same of every instruction of libc.
 */
#include "trace/insn.h"

#if defined(__x86_64__) && defined(MEMTALLY_CAPSTONE)

#include <errno.h>
#include <string.h>

#include <capstone/capstone.h>

#include "lib/lib.h"

static const uint16_t gprs[16][5] = {
	{X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL, X86_REG_AH},
	{X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL, X86_REG_CH},
	{X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_DH},
	{X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL, X86_REG_BH},
	{X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL},
	{X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL},
	{X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL},
	{X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL},
	{X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B},
	{X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B},
	{X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B},
	{X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B},
	{X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B},
	{X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B},
	{X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B},
	{X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B},
};

static int gpr_number(unsigned int reg)
{
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(gprs); i++)
		for (j = 0; j < ARRAY_SIZE(gprs[i]); j++)
			if (reg && gprs[i][j] == reg)
				return (int)i;
	return -1;
}

static void note_mem(const cs_x86_op *op, uint64_t next, struct insn *ret)
{
	if (op->mem.index != X86_REG_INVALID && op->mem.index != X86_REG_RIZ) {
		ret->mem = INSN_MEM_INDEX;
	} else if (op->mem.base == X86_REG_RIP) {
		ret->mem = INSN_MEM_RIP;
		ret->slot = next + (uint64_t)op->mem.disp;
	} else {
		ret->mem = INSN_MEM_BASE;
	}
}

static bool sp_effect(const cs_insn *in, int32_t *ret_change)
{
	const cs_x86 *x = &in->detail->x86;
	bool on_sp = x->op_count && x->operands[0].type == X86_OP_REG &&
		     x->operands[0].reg == X86_REG_RSP;
	bool imm = x->op_count >= 2 && x->operands[1].type == X86_OP_IMM;
	int32_t width = x->prefix[2] == 0x66 ? 2 : 8;

	switch (in->id) {
	case X86_INS_PUSH:
		*ret_change = -width;
		return true;
	case X86_INS_POP:
		*ret_change = width;
		return !on_sp;
	case X86_INS_SUB:
		*ret_change = imm ? -(int32_t)x->operands[1].imm : 0;
		return on_sp && imm;
	case X86_INS_ADD:
		*ret_change = imm ? (int32_t)x->operands[1].imm : 0;
		return on_sp && imm;
	case X86_INS_LEA:
		*ret_change = (int32_t)x->operands[1].mem.disp;
		return on_sp && x->operands[1].mem.base == X86_REG_RSP &&
		       x->operands[1].mem.index == X86_REG_INVALID;
	default:
		return false;
	}
}

/*
 * Capstone 4.0 does not know that SSE moves and cmpxchg write memory, so the first
 * operand counts as written but for the common instructions that only look at it.
 */
static bool only_reads(const cs_insn *in, int i)
{
	switch (in->id) {
	case X86_INS_CMP:
	case X86_INS_TEST:
	case X86_INS_BT:
	case X86_INS_NOP:
	case X86_INS_PUSH:
	case X86_INS_JMP:
	case X86_INS_CALL:
		return true;
	default:
		return i > 0 && !(in->detail->x86.operands[i].access & CS_AC_WRITE);
	}
}

static void note_operands(const cs_insn *in, struct insn *ret)
{
	const cs_x86 *x = &in->detail->x86;
	int i, n;

	ret->stores = in->id == X86_INS_SYSCALL;
	for (i = 0; i < x->op_count; i++) {
		/* String instructions have memory operands too, but no ModRM byte. */
		if (x->operands[i].type == X86_OP_MEM && x->encoding.modrm_offset)
			note_mem(&x->operands[i], in->address + in->size, ret);
		if (x->operands[i].type == X86_OP_MEM && !only_reads(in, i))
			ret->stores = true;
		if (x->operands[i].type != X86_OP_REG)
			continue;
		n = gpr_number(x->operands[i].reg);
		if (n >= 0 && i == 0 && (in->id == X86_INS_JMP || in->id == X86_INS_CALL))
			ret->reg = (int8_t)n;
	}
}

/* What capstone 4.0's tables leave out or claim too much; found by the cross-check. */
static void fix_writes(const cs_insn *in, struct insn *ret)
{
	switch (in->id) {
	case X86_INS_SYSCALL:
		ret->writes |= INSN_RCX | INSN_R11;
		break;
	case X86_INS_CMPXCHG:
		ret->writes |= INSN_RAX;
		break;
	case X86_INS_TEST:
	case X86_INS_CMP:
		ret->writes = 0;
		break;
	case X86_INS_CDQ:
	case X86_INS_CQO:
	case X86_INS_CWD:
		ret->writes = INSN_RDX;
		break;
	default:
		break;
	}
}

static int note_writes(csh cs, const cs_insn *in, struct insn *ret)
{
	uint8_t n_read, n_write, i;
	cs_regs reads, writes;
	int n;

	if (cs_regs_access(cs, in, reads, &n_read, writes, &n_write) != CS_ERR_OK)
		return -EBADMSG;
	for (i = 0; i < n_write; i++) {
		n = gpr_number(writes[i]);
		if (n >= 0)
			ret->writes |= (uint16_t)(1u << n);
	}
	fix_writes(in, ret);
	return 0;
}

/* Capstone does not say whether bytes are wrong or missing: more of them tell. */
static int why_not(csh cs, const uint8_t *code, size_t len, cs_insn *in)
{
	uint8_t padded[INSN_MAX_BYTES] = {0};
	const uint8_t *pos = padded;
	size_t left = sizeof(padded);
	uint64_t vaddr = 0;

	memcpy(padded, code, MIN(len, sizeof(padded)));
	return len < sizeof(padded) && cs_disasm_iter(cs, &pos, &left, &vaddr, in) ? -ENODATA
										   : -EBADMSG;
}

int insn_backend_decode(const uint8_t *code, size_t len, uint64_t vaddr, struct insn *ret)
{
	const uint8_t *pos = code;
	size_t left = len;
	cs_insn *in;
	csh cs;
	int err = -EBADMSG;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &cs) != CS_ERR_OK)
		return -EOPNOTSUPP;
	cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON);
	in = cs_malloc(cs);
	if (!in) {
		err = -ENOMEM;
	} else if (cs_disasm_iter(cs, &pos, &left, &vaddr, in)) {
		ret->length = (uint8_t)in->size;
		err = note_writes(cs, in, ret);
		note_operands(in, ret);
		if (ret->writes & INSN_RSP)
			ret->sp_known = sp_effect(in, &ret->sp_change);
		if (!ret->sp_known)
			ret->sp_change = 0;
	} else {
		err = why_not(cs, code, len, in);
	}
	if (in)
		cs_free(in, 1);
	cs_close(&cs);
	return err;
}

#endif
