/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The decoder interface: known encodings, and Zydis against capstone over real code. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#if __has_include(<capstone/capstone.h>) && !defined(MEMTALLY_CAPSTONE)
#define HAVE_BOTH 1
#define MEMTALLY_CAPSTONE
#define insn_backend_decode capstone_decode
#include "../../src/trace/insn_capstone.c"
#undef insn_backend_decode
int insn_backend_decode(const uint8_t *code, size_t len, uint64_t vaddr, struct insn *ret);
#endif

#include "lib/lib.h"
#include "site_elf.h"
#include "trace/insn.h"

#define AT 0x1000

struct form {
	const char *bytes;
	uint8_t length, class;
	uint16_t writes;
	bool sp_known;
	int32_t sp_change;
	uint64_t target;
};

static const struct form forms[] = {
	{"\x90", 1, INSN_NOP, 0, true, 0, 0},
	{"\x66\x90", 2, INSN_NOP_66, 0, true, 0, 0},
	{"\xf3\x90", 2, INSN_OTHER, 0, true, 0, 0}, /* pause */
	{"\x0f\x1f\x40\x00", 4, INSN_NOPL, 0, true, 0, 0},
	{"\x0f\x1f\x44\x00\x00", 5, INSN_NOP5, 0, true, 0, 0},
	{"\xf3\x0f\x1e\xfa", 4, INSN_ENDBR, 0, true, 0, 0},
	{"\x55", 1, INSN_PUSH, INSN_RSP, true, -8, 0},
	{"\x41\x54", 2, INSN_PUSH, INSN_RSP, true, -8, 0},
	{"\x48\x55", 2, INSN_OTHER, INSN_RSP, true, -8, 0}, /* REX the kernel refuses */
	{"\x6a\x01", 2, INSN_OTHER, INSN_RSP, true, -8, 0},
	{"\x5d", 1, INSN_POP, INSN_RSP | INSN_RBP, true, 8, 0},
	{"\x5c", 1, INSN_POP, INSN_RSP, false, 0, 0},
	{"\xeb\x10", 2, INSN_JMP, 0, true, 0, AT + 2 + 0x10},
	{"\xe9\x00\x01\x00\x00", 5, INSN_JMP, 0, true, 0, AT + 5 + 0x100},
	{"\x74\xfe", 2, INSN_JCC, 0, true, 0, AT},
	{"\x0f\x84\x10\x00\x00\x00", 6, INSN_JCC, 0, true, 0, AT + 6 + 0x10},
	{"\xf2\xe9\x00\x00\x00\x00", 6, INSN_JMP, 0, true, 0, AT + 6},
	{"\xc3", 1, INSN_RET, INSN_RSP, false, 0, 0},
	{"\xf3\xc3", 2, INSN_RET, INSN_RSP, false, 0, 0},
	{"\xc2\x08\x00", 3, INSN_RET_IMM, INSN_RSP, false, 0, 0},
	{"\x48\x89\xe5", 3, INSN_MOV_REG, INSN_RBP, true, 0, 0},
	{"\x89\xff", 2, INSN_MOV_REG32, INSN_RDI, true, 0, 0},
	{"\x31\xc0", 2, INSN_XOR_REG, INSN_RAX, true, 0, 0},
	{"\x48\x85\xff", 3, INSN_TEST_REG, 0, true, 0, 0},
	{"\x48\x83\xec\x18", 4, INSN_SUB_SP, INSN_RSP, true, -0x18, 0},
	{"\x48\x81\xec\x00\x01\x00\x00", 7, INSN_SUB_SP, INSN_RSP, true, -0x100, 0},
	{"\x48\x83\xc4\x08", 4, INSN_OTHER, INSN_RSP, true, 8, 0},
	{"\x48\x8d\x64\x24\xf8", 5, INSN_LEA, INSN_RSP, true, -8, 0},
	{"\x48\x83\xe4\xf0", 4, INSN_OTHER, INSN_RSP, false, 0, 0},
	{"\xc9", 1, INSN_OTHER, INSN_RSP | INSN_RBP, false, 0, 0},
	{"\x48\x8b\x05\x10\x00\x00\x00", 7, INSN_LOAD, INSN_RAX, true, 0, 0},
	{"\x48\x3b\x3d\x10\x00\x00\x00", 7, INSN_CMP_MEM, 0, true, 0, 0},
	{"\x40\xb7\x01", 3, INSN_OTHER, INSN_RDI, true, 0, 0},	   /* mov dil,1 */
	{"\xb4\x01", 2, INSN_OTHER, INSN_RAX, true, 0, 0},	   /* mov ah,1 */
	{"\x48\x0f\x44\xfe", 4, INSN_OTHER, INSN_RDI, true, 0, 0}, /* cmove */
	{"\xf3\xa4", 2, INSN_OTHER, INSN_RSI | INSN_RDI | INSN_RCX, true, 0, 0},
	{"\x41\x90", 2, INSN_OTHER, INSN_RAX | INSN_R8, true, 0, 0}, /* xchg r8d,eax */
	{"\xff\xe0", 2, INSN_JMP_IND, 0, true, 0, 0},
	{"\x3e\xff\xe0", 3, INSN_JMP_IND, 0, true, 0, 0},
	{"\xff\x25\x10\x00\x00\x00", 6, INSN_JMP_IND, 0, true, 0, 0},
	{"\x0f\x0b", 2, INSN_STOP, 0, true, 0, 0},
	{"\xcc", 1, INSN_STOP, 0, true, 0, 0},
	{"\xf4", 1, INSN_STOP, 0, true, 0, 0},
	{"\xc7\xf8\x08\x00\x00\x00", 6, INSN_LOOP, 0, true, 0, AT + 6 + 8},
	{"\xe3\x05", 2, INSN_LOOP, 0, true, 0, AT + 2 + 5},
};

static void known_forms(void **state)
{
	uint8_t buf[INSN_MAX_BYTES + 1];
	struct insn in;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(forms); i++) {
		const struct form *f = &forms[i];

		memset(buf, 0x90, sizeof(buf));
		memcpy(buf, f->bytes, f->length);
		assert_int_equal(insn_decode(buf, sizeof(buf), AT, &in), 0);
		assert_int_equal(in.length, f->length);
		assert_int_equal(in.class, f->class);
		if (f->class != INSN_RET && f->class != INSN_RET_IMM && f->class != INSN_LOOP &&
		    f->class != INSN_STOP) {
			assert_int_equal(in.writes, f->writes);
			assert_int_equal(in.sp_known, f->sp_known);
			assert_int_equal(in.sp_change, f->sp_change);
		}
		assert_true(in.target == f->target);
		/* One byte less is not enough; what is left out must not be read. */
		assert_int_not_equal(
			insn_decode((const uint8_t *)f->bytes, f->length - 1u, AT, &in), 0);
	}
}

static void memory_forms(void **state)
{
	struct insn in;

	(void)state;
	assert_int_equal(insn_decode((const uint8_t *)"\xff\x25\x10\x00\x00\x00", 6, AT, &in), 0);
	assert_int_equal(in.mem, INSN_MEM_RIP);
	assert_true(in.slot == AT + 6 + 0x10);
	assert_int_equal(in.reg, -1);
	assert_int_equal(insn_decode((const uint8_t *)"\x3e\xff\xe0", 3, AT, &in), 0);
	assert_true(in.notrack);
	assert_int_equal(in.reg, 0);
	/* jmp *(%rdx,%rax,8) */
	assert_int_equal(insn_decode((const uint8_t *)"\xff\x24\xc2", 3, AT, &in), 0);
	assert_int_equal(in.mem, INSN_MEM_INDEX);
	assert_int_equal(insn_decode((const uint8_t *)"\xff\x60\x08", 3, AT, &in), 0);
	assert_int_equal(in.mem, INSN_MEM_BASE);
	assert_int_equal(insn_decode((const uint8_t *)"\x06", 1, AT, &in), -EBADMSG);
	assert_int_equal(insn_decode((const uint8_t *)"\xe9\x00", 2, AT, &in), -ENODATA);
	assert_int_equal(insn_decode((const uint8_t *)"", 0, AT, &in), -ENODATA);
}

#ifdef HAVE_BOTH
struct tally {
	size_t insns, zydis_only, capstone_only, differ;
};

static void compare_at(const uint8_t *code, size_t len, uint64_t vaddr, struct tally *t)
{
	struct insn z = {.sp_known = true, .reg = -1}, c = z;
	size_t max = MIN(len, (size_t)INSN_MAX_BYTES);
	int ez = insn_backend_decode(code, max, vaddr, &z);
	int ec = capstone_decode(code, max, vaddr, &c);
	size_t i;

	if (ez || ec) {
		t->zydis_only += !ez;
		t->capstone_only += !ec;
		return;
	}
	if (z.length == c.length && z.writes == c.writes && z.mem == c.mem && z.slot == c.slot &&
	    z.sp_known == c.sp_known && z.sp_change == c.sp_change && z.reg == c.reg &&
	    c.stores >= z.stores)
		return;
	t->differ++;
	if (t->differ > 40)
		return;
	print_message("differ:");
	for (i = 0; i < z.length; i++)
		print_message(" %02x", code[i]);
	print_message(" | len %d/%d writes %x/%x mem %d/%d sp %d:%d/%d:%d reg %d/%d stores %d/%d\n",
		      z.length, c.length, z.writes, c.writes, z.mem, c.mem, z.sp_known, z.sp_change,
		      c.sp_known, c.sp_change, z.reg, c.reg, z.stores, c.stores);
}

static void compare_lib(const char *path, struct tally *t)
{
	struct elf_lib lib;
	struct insn in;
	uint64_t off;
	size_t i;

	if (!elf_lib_open(&lib, path)) {
		print_message("skip: no %s here\n", path);
		elf_lib_close(&lib);
		return;
	}
	for (i = 0; i < lib.n; i++) {
		const struct elf_func *f = &lib.funcs[i];

		if (i && f->vaddr == lib.funcs[i - 1].vaddr)
			continue;
		for (off = 0; off < f->size; off += in.length, t->insns++) {
			compare_at(f->code + off, f->size - off, f->vaddr + off, t);
			if (insn_decode(f->code + off, f->size - off, f->vaddr + off, &in))
				break;
		}
	}
	elf_lib_close(&lib);
}

static void backends_agree(void **state)
{
	struct tally t = {0};

	(void)state;
	compare_lib("/usr/lib/x86_64-linux-gnu/libc.so.6", &t);
	compare_lib("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", &t);
	compare_lib("/usr/lib/x86_64-linux-gnu/libmimalloc.so.2", &t);
	compare_lib("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", &t);
	compare_lib("/usr/lib/x86_64-linux-gnu/libstdc++.so.6", &t);
	compare_lib("/usr/lib/ld-musl-x86_64.so.1", &t);
	print_message("%zu instructions, only zydis %zu, only capstone %zu, differ %zu\n", t.insns,
		      t.zydis_only, t.capstone_only, t.differ);
	assert_true(t.insns > 10000);
	assert_int_equal(t.differ, 0);
	assert_int_equal(t.capstone_only, 0);
}
#else
static void backends_agree(void **state)
{
	(void)state;
	print_message("skip: only one decoder here (no libcapstone-dev, or a static build)\n");
	skip();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_forms),
		cmocka_unit_test(memory_forms),
		cmocka_unit_test(backends_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
