/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * insn.h - what probe placement needs to know of one machine instruction, and no more:
 * how long it is, whether control stays in line, and which registers it changes.
 *
 * The class is taken from the opcode bytes, as the kernel's uprobe code does it
 * (arch/x86/kernel/uprobes.c, branch_setup_xol_ops() and push_setup_xol_ops()); length
 * and register effects come from a decoder library: Zydis, or capstone in a static
 * build (MEMTALLY_CAPSTONE). Of aarch64 it tells how control moves (insn_arm64.c), which is
 * what finds the returns of a function, and nothing of registers; elsewhere everything is
 * -EOPNOTSUPP and callers use the function's entry.
 */
#ifndef MEMTALLY_TRACE_INSN_H
#define MEMTALLY_TRACE_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSN_MAX_BYTES 15

/*
 * Classes are narrow on purpose: calibrate.h measures a few members of a class and the
 * result then stands for all of it.
 */
enum insn_class {
	INSN_OTHER,
	INSN_NOP,	/* 90 */
	INSN_NOP_66,	/* 66 .. 90 */
	INSN_NOPL,	/* 0f 1f, any length but five */
	INSN_NOP5,	/* 0f 1f of five bytes; newer kernels turn the probe into a call */
	INSN_ENDBR,	/* endbr64 */
	INSN_PUSH,	/* push of a 64-bit register */
	INSN_POP,	/* pop of a 64-bit register */
	INSN_JMP,	/* jmp rel8/rel32 */
	INSN_JCC,	/* jcc rel8/rel32 */
	INSN_CALL,	/* call rel32 */
	INSN_MOV_REG,	/* mov r64,r64 */
	INSN_MOV_REG32, /* mov r32,r32 */
	INSN_XOR_REG,	/* xor r32,r32 */
	INSN_TEST_REG,	/* test r64,r64 */
	INSN_SUB_SP,	/* sub rsp,imm8/imm32 */
	INSN_LEA,	/* lea r64,[...] */
	INSN_CMP_MEM,	/* cmp r64,[...], cmp [...],r64 */
	INSN_LOAD,	/* mov r64,[...] */
	INSN_RET,	/* ret */
	INSN_RET_IMM,	/* ret imm16 */
	INSN_JMP_IND,	/* jmp r/m64 */
	INSN_CALL_IND,	/* call r/m64, call with a 66 prefix */
	INSN_LOOP,	/* loop*, jrcxz, xbegin, branches with a 66 prefix: never emulated */
	INSN_STOP,	/* int3, ud*, hlt: control does not go on */
	INSN_CLASSES,
};

/* Bits of struct insn's writes: the general registers in hardware order. */
enum insn_reg {
	INSN_RAX = 1 << 0,
	INSN_RCX = 1 << 1,
	INSN_RDX = 1 << 2,
	INSN_RBX = 1 << 3,
	INSN_RSP = 1 << 4,
	INSN_RBP = 1 << 5,
	INSN_RSI = 1 << 6,
	INSN_RDI = 1 << 7,
	INSN_R8 = 1 << 8,
	INSN_R9 = 1 << 9,
	INSN_R11 = 1 << 11,
	INSN_ARGS = INSN_RDI | INSN_RSI | INSN_RDX | INSN_RCX | INSN_R8 | INSN_R9,
};

/* How an instruction addresses memory; enough to tell a jump table from a pointer. */
enum insn_mem {
	INSN_MEM_NONE,
	INSN_MEM_RIP,	/* disp(%rip), such as a GOT slot */
	INSN_MEM_BASE,	/* disp(base) or absolute */
	INSN_MEM_INDEX, /* with an index register */
};

struct insn {
	uint8_t length;
	uint8_t class;	   /* enum insn_class */
	uint8_t mem;	   /* enum insn_mem, of the explicit memory operand */
	bool stores;	   /* writes memory (a push does not count), or is a system call */
	bool notrack;	   /* 3e prefix: with JMP_IND a compiler's jump table */
	uint16_t writes;   /* enum insn_reg; a write to a part counts, also a conditional one */
	bool sp_known;	   /* rsp is not written, or changed by exactly sp_change */
	int32_t sp_change; /* bytes added to rsp */
	int8_t reg;	   /* JMP_IND/CALL_IND through a register: its number, else -1 */
	int8_t copy_to;	   /* mov r64,r64: register numbers; -1 for all else */
	int8_t copy_from;
	uint64_t target; /* vaddr, of JMP, JCC, CALL and LOOP */
	uint64_t slot;	 /* vaddr of the memory operand when mem is INSN_MEM_RIP */
};

/*
 * Decodes the instruction at vaddr from at most len bytes of code. 0, -ENODATA when it
 * runs past len, -EBADMSG when the bytes are no instruction, -EOPNOTSUPP on a machine
 * other than x86-64 and aarch64.
 */
int insn_decode(const uint8_t *code, size_t len, uint64_t vaddr, struct insn *ret);
/* The same of aarch64, on any machine of this byte order. A stub of the PLT is one instruction. */
int insn_arm64_decode(const uint8_t *code, size_t len, uint64_t vaddr, struct insn *ret);
/* Are mem, stores, writes, sp_*, reg and copy_* told here, other than of PLT stubs? */
bool insn_tells_registers(void);

/* jmp, jcc, call, loop with a relative target. */
bool insn_is_branch(const struct insn *insn);
/* Control may leave the line here: any branch, call, ret or stop. */
bool insn_leaves_line(const struct insn *insn);
/* Control never reaches the next instruction: jmp, ret, stop. */
bool insn_ends_line(const struct insn *insn);

/* Short name for messages and the cache file ("push", "jcc"); never NULL. */
const char *insn_class_name(enum insn_class class);

/*
 * For the backends only (insn_zydis.c, insn_capstone.c): length, writes, stores,
 * sp_known, sp_change, mem, reg and slot; class, target, copy_* and notrack
 * are insn.c's.
 */
int insn_backend_decode(const uint8_t *code, size_t len, uint64_t vaddr, struct insn *ret);

#endif
