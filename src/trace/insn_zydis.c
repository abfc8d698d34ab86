/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/insn.h"

#if defined(__x86_64__) && !defined(MEMTALLY_CAPSTONE)

#include <errno.h>

#include <Zydis/Zydis.h>

/* Number of the general register that holds reg (AL, EDI, ...), -1 for all others. */
static int gpr_number(ZydisRegister reg)
{
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	if (ZydisRegisterGetClass(whole) != ZYDIS_REGCLASS_GPR64)
		return -1;
	return ZydisRegisterGetId(whole);
}

static void note_mem(const ZydisDecodedOperand *op, uint64_t next, struct insn *ret)
{
	if (op->mem.index != ZYDIS_REGISTER_NONE) {
		ret->mem = INSN_MEM_INDEX;
	} else if (op->mem.base == ZYDIS_REGISTER_RIP) {
		ret->mem = INSN_MEM_RIP;
		ret->slot = next + (uint64_t)op->mem.disp.value;
	} else {
		ret->mem = INSN_MEM_BASE;
	}
}

/* The implicit stack slot of push, call and enter. */
static bool is_stack(const ZydisDecodedOperand *op)
{
	return op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
	       op->mem.base == ZYDIS_REGISTER_RSP;
}

/* The change of rsp where it is a constant; false where it is not known. */
static bool sp_effect(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *ops,
		      int32_t *ret_change)
{
	bool imm = in->operand_count >= 2 && ops[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	bool on_sp = ops[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		     ops[0].reg.value == ZYDIS_REGISTER_RSP;

	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
		*ret_change = -(int32_t)(in->operand_width / 8);
		return true;
	case ZYDIS_MNEMONIC_POP:
		*ret_change = (int32_t)(in->operand_width / 8);
		return !on_sp;
	case ZYDIS_MNEMONIC_SUB:
		*ret_change = -(int32_t)ops[1].imm.value.s;
		return on_sp && imm;
	case ZYDIS_MNEMONIC_ADD:
		*ret_change = (int32_t)ops[1].imm.value.s;
		return on_sp && imm;
	case ZYDIS_MNEMONIC_LEA:
		*ret_change = (int32_t)ops[1].mem.disp.value;
		return on_sp && ops[1].mem.base == ZYDIS_REGISTER_RSP &&
		       ops[1].mem.index == ZYDIS_REGISTER_NONE;
	default:
		return false;
	}
}

int insn_backend_decode(const uint8_t *code, size_t len, uint64_t vaddr, struct insn *ret)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction in;
	ZydisDecoder decoder;
	ZyanStatus st;
	int i, n;

	if (ZYAN_FAILED(
		    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return -EOPNOTSUPP;
	st = ZydisDecoderDecodeFull(&decoder, code, len, &in, ops);
	if (ZYAN_FAILED(st))
		return st == ZYDIS_STATUS_NO_MORE_DATA ? -ENODATA : -EBADMSG;
	ret->length = in.length;
	ret->stores = in.mnemonic == ZYDIS_MNEMONIC_SYSCALL;
	for (i = 0; i < in.operand_count; i++) {
		if (ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    ops[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
			note_mem(&ops[i], vaddr + in.length, ret);
		if (ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY && !is_stack(&ops[i]) &&
		    ops[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
			ret->stores = true;
		if (ops[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		n = gpr_number(ops[i].reg.value);
		if (n < 0)
			continue;
		if (ops[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
			ret->writes |= (uint16_t)(1u << n);
		if (i == 0 &&
		    (in.mnemonic == ZYDIS_MNEMONIC_JMP || in.mnemonic == ZYDIS_MNEMONIC_CALL))
			ret->reg = (int8_t)n;
	}
	if (ret->writes & INSN_RSP)
		ret->sp_known = sp_effect(&in, ops, &ret->sp_change);
	if (!ret->sp_known)
		ret->sp_change = 0;
	return 0;
}

#endif
