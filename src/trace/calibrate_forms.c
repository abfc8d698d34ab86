/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/calibrate_forms.h"

#include "lib/lib.h"

#if defined(__x86_64__)

/*
 * FORM(name, first instruction, what balances it). They are called through a pointer as
 * void (void), so the registers a call may clobber are free, and [rsp] is readable.
 */
#define FORMS                                                                       \
	FORM(nop, INSN_NOP, ".byte 0x90", "ret")                                    \
	FORM(never, INSN_OTHER, "bswap %eax", "ret")                                \
	FORM(nop66, INSN_NOP_66, ".byte 0x66, 0x90", "ret")                         \
	FORM(nop3, INSN_NOPL, ".byte 0x0f, 0x1f, 0x00", "ret")                      \
	FORM(nop4, INSN_NOPL, ".byte 0x0f, 0x1f, 0x40, 0x00", "ret")                \
	FORM(nop8, INSN_NOPL, ".byte 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0", "ret")       \
	FORM(nop9, INSN_NOPL, ".byte 0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0", "ret") \
	FORM(nop5, INSN_NOP5, ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00", "ret")          \
	FORM(endbr, INSN_ENDBR, ".byte 0xf3, 0x0f, 0x1e, 0xfa", "ret")              \
	FORM(push, INSN_PUSH, "push %rbx", "pop %rbx\n ret")                        \
	FORM(push12, INSN_PUSH, "push %r12", "pop %r12\n ret")                      \
	FORM(jmp8, INSN_JMP, ".byte 0xeb, 0x00", "ret")                             \
	FORM(jmp32, INSN_JMP, ".byte 0xe9, 0, 0, 0, 0", "ret")                      \
	FORM(jcc8, INSN_JCC, ".byte 0x74, 0x00", "ret")                             \
	FORM(jcc8n, INSN_JCC, ".byte 0x75, 0x00", "ret")                            \
	FORM(jcc32, INSN_JCC, ".byte 0x0f, 0x87, 0, 0, 0, 0", "ret")                \
	FORM(call, INSN_CALL, ".byte 0xe8, 1, 0, 0, 0", "ret\n ret")                \
	FORM(mov, INSN_MOV_REG, "mov %rdi, %rax", "ret")                            \
	FORM(mov12, INSN_MOV_REG, "mov %rsp, %r11", "ret")                          \
	FORM(mov32, INSN_MOV_REG32, "mov %edi, %eax", "ret")                        \
	FORM(xor, INSN_XOR_REG, "xor %eax, %eax", "ret")                            \
	FORM(test, INSN_TEST_REG, "test %rdi, %rdi", "ret")                         \
	FORM(sub8, INSN_SUB_SP, "sub $8, %rsp", "add $8, %rsp\n ret")               \
	FORM(sub32, INSN_SUB_SP, "sub $0x188, %rsp", "add $0x188, %rsp\n ret")      \
	FORM(lea, INSN_LEA, "lea 8(%rdi), %rax", "ret")                             \
	FORM(leax, INSN_LEA, "lea (%rdi,%rsi,4), %rax", "ret")                      \
	FORM(leari, INSN_LEA, "lea 0(%rip), %rax", "ret")                           \
	FORM(cmp, INSN_CMP_MEM, "cmp 0(%rip), %rax", "ret")                         \
	FORM(load, INSN_LOAD, "mov (%rsp), %rax", "ret")                            \
	FORM(loadri, INSN_LOAD, "mov 0(%rip), %rax", "ret")                         \
	FORM(pop, INSN_POP, "pop %r11", "jmp *%r11")                                \
	FORM(ret, INSN_RET, "ret", "int3")

/* Each starts a cache line of its own, so that no two probes share one. */
#define FORM(name, class, first, rest)                                 \
	__asm__(".pushsection .text\n"                                 \
		".p2align 6\n"                                         \
		".local calibrate_" #name "\n"                         \
		".type calibrate_" #name ", @function\n"               \
		"calibrate_" #name ":\n " first "\n " rest "\n"        \
		".size calibrate_" #name ", . - calibrate_" #name "\n" \
		".popsection\n");                                      \
	extern void calibrate_##name(void) __attribute__((visibility("hidden")));
FORMS
#undef FORM

#define FORM(name, class, first, rest) {class, calibrate_##name},
static const struct form forms[] = {FORMS};
#undef FORM

const struct form *calibrate_forms(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(forms);
	return forms;
}

#else

const struct form *calibrate_forms(size_t *ret_n)
{
	*ret_n = 0;
	return NULL;
}

#endif
