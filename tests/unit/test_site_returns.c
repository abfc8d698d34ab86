/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where functions return: small functions, then operator new of real allocators. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/lib.h"
#include "site_elf.h"
#include "site_text.h"
#include "trace/site.h"

static int returns(struct text text, size_t size, struct site_rets *ret)
{
	const struct site_code code = {.read = read_text, .arg = &text};
	const struct site_func func = {.vaddr = AT, .size = size};
	int err = site_returns(&code, &func, ret);

	assert_true(!err == !ret->reason);
	return err;
}

static void small_functions(void **state)
{
	/* test; je +1; ret; xor eax,eax; ret */
	const struct text two = {"\x48\x85\xff\x74\x01\xc3\x31\xc0\xc3", 9};
	/* je +2 (to the cold part); jmp +1 (to the ret behind it) | cold: hlt; ret */
	const struct text out = {"\x74\x02\xeb\x01\xf4\xc3", 6};
	/* call +1; ret; (cold, not reached) ret */
	const struct text call = {"\xe8\x01\x00\x00\x00\xc3\xc3", 7};
	struct site_rets r;

	(void)state;
	assert_int_equal(returns(two, 9, &r), 0);
	assert_int_equal(r.n, 2);
	assert_true(r.at[0].vaddr == AT + 5 && !r.at[0].shared);
	assert_true(r.at[1].vaddr == AT + 8 && !r.at[1].shared);
	assert_int_equal(returns(out, 4, &r), 0);
	assert_int_equal(r.n, 1);
	assert_true(r.at[0].vaddr == AT + 5 && r.at[0].shared);
	assert_int_equal(returns(call, 6, &r), 0);
	assert_int_equal(r.n, 1);
	assert_true(r.at[0].vaddr == AT + 5);
}

static void ends_of_line(void **state)
{
	/* je +1; ret; call +0, at the symbol's end: does not return | ret of the next one */
	const struct text noreturn = {"\x74\x01\xc3\xe8\x00\x00\x00\x00\xc3", 9};
	/* je +1; ret; ud2; ret */
	const struct text ud2 = {"\x74\x01\xc3\x0f\x0b\xc3", 6};
	struct site_rets r;

	(void)state;
	assert_int_equal(returns(noreturn, 8, &r), 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(returns(ud2, 6, &r), 0);
	assert_int_equal(r.n, 1);
}

static void refused(void **state)
{
	const struct text indirect = {"\x74\x01\xc3\xff\xe0", 5};
	const struct text got = {"\xff\x25\x00\x00\x00\x00", 6};
	const struct text thunk = {"\xe8\x00\x00\x00\x00\xc3", 6};
	const struct text pops = {"\xc2\x08\x00", 3};
	const struct text endless = {"\xeb\xfe", 2};
	const struct text outside = {"\xe9\x00\x10\x00\x00", 5};
	const struct text bad = {"\x74\x01\x06\xc3", 4};
	char many[SITE_MAX_INSNS + 2], jumps[2 * (SITE_MAX_RETS + 1) + SITE_MAX_RETS + 2];
	struct site_rets r;
	size_t i;

	(void)state;
	assert_int_equal(returns(indirect, 5, &r), -ENOTSUP);
	assert_int_equal(r.n, 0);
	assert_true(r.reason_vaddr == AT + 3);
	assert_int_equal(returns(got, 6, &r), -ENOTSUP);
	assert_int_equal(returns(thunk, 6, &r), -ENOTSUP);
	assert_int_equal(returns(pops, 3, &r), -ENOTSUP);
	assert_int_equal(returns(endless, 2, &r), -ENOENT);
	assert_int_equal(returns(outside, 5, &r), -EFAULT);
	assert_int_equal(returns(bad, 4, &r), -EBADMSG);
	memset(many, 0x90, sizeof(many));
	assert_int_equal(returns((struct text){many, sizeof(many)}, sizeof(many), &r), -E2BIG);
	/* je +1; ret, over and over */
	for (i = 0; i + 3 <= sizeof(jumps); i += 3)
		memcpy(jumps + i, "\x74\x01\xc3", 3);
	jumps[sizeof(jumps) - 1] = (char)0xc3;
	assert_int_equal(returns((struct text){jumps, sizeof(jumps)}, sizeof(jumps), &r), -E2BIG);
}

/* The symbol a JUMP_SLOT or GLOB_DAT relocation binds the slot to; NULL: none. */
static const char *slot_symbol(const struct elf_lib *lib, uint64_t slot, GElf_Sym *ret)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh, dynsym;
	GElf_Rela r;
	int i;

	while ((scn = elf_nextscn(lib->elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_RELA)
			continue;
		for (i = 0; gelf_getrela(elf_getdata(scn, NULL), i, &r); i++) {
			Elf_Scn *symtab = elf_getscn(lib->elf, sh.sh_link);

			if (r.r_offset == slot && gelf_getshdr(symtab, &dynsym) &&
			    gelf_getsym(elf_getdata(symtab, NULL), (int)GELF_R_SYM(r.r_info), ret))
				return elf_strptr(lib->elf, dynsym.sh_link, ret->st_name);
		}
	}
	return NULL;
}

static int resolve_slot(void *arg, uint64_t slot, uint64_t *ret)
{
	GElf_Sym sym;

	if (!slot_symbol(arg, slot, &sym) || !sym.st_value)
		return -ENOENT;
	*ret = sym.st_value;
	return 0;
}

/* A PLT stub of such a function: [endbr64] [bnd] jmp *slot(%rip) */
static bool is_noreturn(void *arg, uint64_t vaddr)
{
	static const char *const names[] = {"abort", "__cxa_throw", "_Unwind_Resume",
					    "__cxa_rethrow", "__stack_chk_fail"};
	const uint8_t *stub = elf_lib_at(arg, vaddr, 16);
	const char *name = NULL;
	struct insn in;
	GElf_Sym sym;
	size_t i;

	if (!stub || insn_decode(stub, 16, vaddr, &in))
		return false;
	if (in.class == INSN_ENDBR && insn_decode(stub + 4, 12, vaddr + 4, &in))
		return false;
	if (in.class == INSN_JMP_IND && in.mem == INSN_MEM_RIP)
		name = slot_symbol(arg, in.slot, &sym);
	for (i = 0; name && i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static uint64_t symbol_end(void *arg, uint64_t vaddr)
{
	const struct elf_lib *lib = arg;
	size_t i;

	for (i = 0; i < lib->n; i++)
		if (vaddr - lib->funcs[i].vaddr < lib->funcs[i].size)
			return lib->funcs[i].vaddr + lib->funcs[i].size;
	return 0;
}

static int lib_returns(struct elf_lib *lib, const char *name, struct site_rets *r)
{
	const struct site_code code = {.read = elf_lib_read,
				       .symbol_end = symbol_end,
				       .resolve = resolve_slot,
				       .noreturn = is_noreturn,
				       .arg = lib};
	const struct elf_func *f = elf_lib_find(lib, name);
	size_t i, shared = 0;
	int err;

	if (!f)
		return -ESRCH;
	err = site_returns(&code, &(struct site_func){f->vaddr, f->size, f->next}, r);
	for (i = 0; i < r->n; i++) {
		const uint8_t *byte = elf_lib_at(lib, r->at[i].vaddr, 1);

		shared += r->at[i].shared;
		assert_true(byte && (*byte == 0xc3 || *byte == 0xf3));
		assert_true(r->at[i].shared == (r->at[i].vaddr - f->vaddr >= f->size));
	}
	print_message("  %-28s %s n=%zu shared=%zu insns=%zu%s%s\n", name,
		      err ? errno_name(err) : "ok", r->n, shared, r->insns, r->reason ? ": " : "",
		      r->reason ? r->reason : "");
	return err;
}

/* What holds for Debian 12's packages; another build only prints. */
static void operator_new(void **state)
{
	static const char *const libs[] = {"libstdc++.so.6", "libjemalloc.so.2",
					   "libtcmalloc_minimal.so.4", "libmimalloc.so.2"};
	static const char *const news[] = {"_Znwm", "_Znam", "_ZnwmSt11align_val_t",
					   "_ZnamSt11align_val_t", "_ZnwmRKSt9nothrow_t"};
	size_t i, j, found = 0, known = 0;
	struct site_rets r;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(libs); i++) {
		struct elf_lib lib;
		char path[256];

		snprintf(path, sizeof(path), "/usr/lib/x86_64-linux-gnu/%s", libs[i]);
		if (!elf_lib_open(&lib, path)) {
			print_message("skip: no %s on this machine\n", path);
		} else {
			print_message("%s\n", libs[i]);
			for (j = 0; j < ARRAY_SIZE(news); j++) {
				int err = lib_returns(&lib, news[j], &r);

				found += err != -ESRCH;
				known += !err;
				if (!err)
					assert_true(r.n > 0);
				/* Its cold part throws, which is no return. */
				if (!i && !j)
					assert_true(r.n == 1 && !r.at[0].shared);
			}
		}
		elf_lib_close(&lib);
	}
	print_message("%zu of %zu operators known\n", known, found);
	if (found)
		assert_true(known > 0);
}

/*
 * Every function of libc: each `ret` is inside the code, none before the entry in its
 * own symbol, and a second run says the same.
 */
static void whole_libc(void **state)
{
	struct elf_lib lib;
	struct site_code code = {.read = elf_lib_read, .symbol_end = symbol_end, .arg = &lib};
	size_t i, j, ok = 0;

	(void)state;
	if (!elf_lib_open(&lib, "/usr/lib/x86_64-linux-gnu/libc.so.6")) {
		print_message("skip: no libc.so.6 at its Debian path\n");
		elf_lib_close(&lib);
		skip();
	}
	for (i = 0; i < lib.n; i += 3) {
		const struct elf_func *f = &lib.funcs[i];
		struct site_rets r;
		int err = site_returns(&code, &(struct site_func){f->vaddr, f->size, f->next}, &r);

		assert_true(!err == (r.n > 0) && !err == !r.reason);
		ok += !err;
		for (j = 0; j < r.n; j++)
			assert_int_equal(*elf_lib_at(&lib, r.at[j].vaddr, 1) | 0x30, 0xf3);
	}
	print_message("libc: %zu of %zu functions known\n", ok, lib.n / 3);
	elf_lib_close(&lib);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_functions), cmocka_unit_test(ends_of_line),
		cmocka_unit_test(refused),	   cmocka_unit_test(operator_new),
		cmocka_unit_test(whole_libc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
