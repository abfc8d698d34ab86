/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/insn.h"

#include <errno.h>
#include <string.h>

#include "lib/lib.h"

static const char *const class_names[INSN_CLASSES] = {
	[INSN_OTHER] = "other",	    [INSN_NOP] = "nop",		  [INSN_NOP_66] = "nop66",
	[INSN_NOPL] = "nopl",	    [INSN_NOP5] = "nop5",	  [INSN_ENDBR] = "endbr",
	[INSN_PUSH] = "push",	    [INSN_POP] = "pop",		  [INSN_JMP] = "jmp",
	[INSN_JCC] = "jcc",	    [INSN_CALL] = "call",	  [INSN_MOV_REG] = "mov",
	[INSN_MOV_REG32] = "mov32", [INSN_XOR_REG] = "xor",	  [INSN_TEST_REG] = "test",
	[INSN_SUB_SP] = "sub_sp",   [INSN_LEA] = "lea",		  [INSN_CMP_MEM] = "cmp_mem",
	[INSN_LOAD] = "load",	    [INSN_RET] = "ret",		  [INSN_RET_IMM] = "ret_imm",
	[INSN_JMP_IND] = "jmp_ind", [INSN_CALL_IND] = "call_ind", [INSN_LOOP] = "loop",
	[INSN_STOP] = "stop",
};

const char *insn_class_name(enum insn_class class)
{
	return (unsigned int)class < INSN_CLASSES ? class_names[class] : "unknown";
}

bool insn_is_branch(const struct insn *insn)
{
	return insn->class == INSN_JMP || insn->class == INSN_JCC || insn->class == INSN_CALL ||
	       insn->class == INSN_LOOP;
}

bool insn_ends_line(const struct insn *insn)
{
	return insn->class == INSN_JMP || insn->class == INSN_JMP_IND || insn->class == INSN_RET ||
	       insn->class == INSN_RET_IMM || insn->class == INSN_STOP;
}

bool insn_leaves_line(const struct insn *insn)
{
	return insn_is_branch(insn) || insn_ends_line(insn) || insn->class == INSN_CALL_IND;
}

#if defined(__x86_64__)

/* The parts of an encoding that decide the class. */
struct encoding {
	bool p66, p3e, pf2, pf3, segment;
	uint8_t rex;
	uint8_t op1, op2; /* op2 only behind 0f */
	uint8_t modrm;
	uint8_t last; /* the final byte, for endbr64 and jumps */
};

/* Bytes are those of one whole, valid instruction; missing ones read as 0. */
static struct encoding split(const uint8_t *code, size_t len)
{
	struct encoding e = {0};
	size_t i = 0;

	for (; i < len; i++) {
		uint8_t b = code[i];

		if (b == 0x66)
			e.p66 = true;
		else if (b == 0x3e)
			e.p3e = true;
		else if (b == 0xf2)
			e.pf2 = true;
		else if (b == 0xf3)
			e.pf3 = true;
		else if (b == 0x64 || b == 0x65)
			e.segment = true;
		else if (b != 0x26 && b != 0x2e && b != 0x36 && b != 0x67 && b != 0xf0)
			break;
	}
	if (i < len && (code[i] & 0xf0) == 0x40)
		e.rex = code[i++];
	if (i < len)
		e.op1 = code[i++];
	if (e.op1 == 0x0f && i < len)
		e.op2 = code[i++];
	if (i < len)
		e.modrm = code[i];
	e.last = len ? code[len - 1] : 0;
	return e;
}

static enum insn_class class_0f(const struct encoding *e, size_t len)
{
	if (e->op2 == 0x1f)
		return len == 5 ? INSN_NOP5 : INSN_NOPL;
	if (e->op2 == 0x1e && e->pf3 && e->modrm == 0xfa && len == 4)
		return INSN_ENDBR;
	/* The kernel refuses to attach to a branch with a 66 prefix: never a site. */
	if (e->op2 >= 0x80 && e->op2 <= 0x8f)
		return e->p66 ? INSN_LOOP : INSN_JCC;
	if (e->op2 == 0x0b || e->op2 == 0xb9 || e->op2 == 0xff)
		return INSN_STOP;
	return INSN_OTHER;
}

/* Forms with a ModRM byte and a 64-bit operand (REX.W), no prefix but REX. */
static enum insn_class class_rexw(const struct encoding *e)
{
	bool reg_form = (e->modrm >> 6) == 3;

	switch (e->op1) {
	case 0x89:
		return reg_form ? INSN_MOV_REG : INSN_OTHER;
	case 0x8b:
		return reg_form ? INSN_OTHER : INSN_LOAD;
	case 0x85:
		return reg_form ? INSN_TEST_REG : INSN_OTHER;
	case 0x8d:
		return INSN_LEA;
	case 0x39:
	case 0x3b:
		return reg_form ? INSN_OTHER : INSN_CMP_MEM;
	case 0x81:
	case 0x83:
		return e->modrm == 0xec && !(e->rex & 1) ? INSN_SUB_SP : INSN_OTHER;
	default:
		return INSN_OTHER;
	}
}

static enum insn_class class_modrm(const struct encoding *e)
{
	bool reg_form = (e->modrm >> 6) == 3;

	if (e->p66 || e->pf2 || e->pf3 || e->segment)
		return INSN_OTHER;
	if (e->rex & 8)
		return class_rexw(e);
	if (reg_form && e->op1 == 0x89)
		return INSN_MOV_REG32;
	if (reg_form && e->op1 == 0x31)
		return INSN_XOR_REG;
	return INSN_OTHER;
}

static enum insn_class class_ff(const struct encoding *e)
{
	switch (e->modrm >> 3 & 7) {
	case 2:
	case 3:
		return INSN_CALL_IND;
	case 4:
	case 5:
		return INSN_JMP_IND;
	default:
		return INSN_OTHER;
	}
}

static enum insn_class class_short(const struct encoding *e, size_t len)
{
	/* 41 90 is xchg r8d,eax, f3 90 is pause. */
	if (e->op1 == 0x90 && !(e->rex & 1) && !e->pf2 && !e->pf3)
		return len == 1 ? INSN_NOP : (e->p66 ? INSN_NOP_66 : INSN_OTHER);
	/* push_setup_xol_ops(): one byte, or two with REX 41. */
	if (e->op1 >= 0x50 && e->op1 <= 0x57 && (len == 1 || (len == 2 && e->rex == 0x41)))
		return INSN_PUSH;
	if (e->op1 >= 0x58 && e->op1 <= 0x5f && (len == 1 || (len == 2 && e->rex == 0x41)))
		return INSN_POP;
	return INSN_OTHER;
}

static enum insn_class classify(const uint8_t *code, size_t len)
{
	struct encoding e = split(code, len);

	switch (e.op1) {
	case 0x0f:
		return class_0f(&e, len);
	case 0x70 ... 0x7f:
		return e.p66 ? INSN_LOOP : INSN_JCC;
	case 0xeb:
	case 0xe9:
		return e.p66 ? INSN_LOOP : INSN_JMP;
	case 0xe8: /* 66 66 48 e8 is how code for thread-local data calls */
		return e.p66 ? INSN_CALL_IND : INSN_CALL;
	case 0xe0 ... 0xe3:
		return INSN_LOOP;
	case 0xc7: /* xbegin: an abort jumps */
		return e.modrm == 0xf8 ? INSN_LOOP : INSN_OTHER;
	case 0xc3:
		return INSN_RET;
	case 0xc2:
	case 0xca:
	case 0xcb:
	case 0xcf:
		return INSN_RET_IMM;
	case 0xff:
		return class_ff(&e);
	case 0xcc:
	case 0xcd:
	case 0xf1:
	case 0xf4:
		return INSN_STOP;
	case 0x50 ... 0x5f:
	case 0x90:
		return class_short(&e, len);
	default:
		return class_modrm(&e);
	}
}

/* A relative branch ends in its displacement: 1 byte, or 4 for e8, e9, 0f 8x, c7 f8. */
static uint64_t branch_target(const uint8_t *code, size_t len, uint64_t vaddr)
{
	struct encoding e = split(code, len);
	bool wide = e.op1 == 0xe8 || e.op1 == 0xe9 || e.op1 == 0x0f || e.op1 == 0xc7;
	int32_t disp = (int8_t)e.last;

	if (wide && len >= 4)
		memcpy(&disp, code + len - 4, sizeof(disp));
	return vaddr + len + (uint64_t)(int64_t)disp;
}

/* mov r64,r64 has two encodings: 89 copies reg to rm, 8b rm to reg. */
static void note_copy(const uint8_t *code, size_t len, struct insn *ret)
{
	struct encoding e = split(code, len);
	int reg = (e.modrm >> 3 & 7) | (e.rex & 4 ? 8 : 0);
	int rm = (e.modrm & 7) | (e.rex & 1 ? 8 : 0);

	if (!(e.rex & 8) || (e.op1 != 0x89 && e.op1 != 0x8b) || e.modrm >> 6 != 3)
		return;
	ret->copy_to = (int8_t)(e.op1 == 0x89 ? rm : reg);
	ret->copy_from = (int8_t)(e.op1 == 0x89 ? reg : rm);
}

bool insn_tells_registers(void)
{
	return true;
}

int insn_decode(const uint8_t *code, size_t len, uint64_t vaddr, struct insn *ret)
{
	struct insn insn = {.sp_known = true, .reg = -1, .copy_to = -1, .copy_from = -1};
	int err = insn_backend_decode(code, MIN(len, (size_t)INSN_MAX_BYTES), vaddr, &insn);

	if (err)
		return err;
	insn.class = (uint8_t)classify(code, insn.length);
	insn.notrack = split(code, insn.length).p3e;
	note_copy(code, insn.length, &insn);
	if (insn_is_branch(&insn))
		insn.target = branch_target(code, insn.length, vaddr);
	*ret = insn;
	return 0;
}

#else

bool insn_tells_registers(void)
{
	return false;
}

int insn_decode(const uint8_t *code, size_t len, uint64_t vaddr, struct insn *ret)
{
#if defined(__aarch64__)
	return insn_arm64_decode(code, len, vaddr, ret);
#else
	(void)code;
	(void)len;
	(void)vaddr;
	(void)ret;
	return -EOPNOTSUPP;
#endif
}

#endif
