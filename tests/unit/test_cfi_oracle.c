/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_cfi_oracle.c - elfutils' libdw must give the same rule at every address where
 * either table changes, over this machine's own libraries.
 *
 * Documented differences: x86_64_abi_cfi() of elfutils 0.188 marks register 0 as
 * same-value where its comment says %rbx, so that an unmentioned rbx comes out as
 * undefined; and libdw refuses some functions of libgcrypt (poly1305, chacha20) that
 * readelf decodes as we do: at most REFUSED_MAX intervals, in that library only.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <libelf.h>

#include "cfi/cfi.h"

#define REFUSED_MAX 8

struct oracle {
	const char *path;
	int fd;
	Elf *elf;
	Dwarf_CFI *cfi;
	struct cfi_rules *rules;
	struct cfi_table table;
	uint64_t compared, refused, different;
};

static int read_fd(void *arg, uint64_t off, void *buf, size_t len)
{
	ssize_t n = pread(*(int *)arg, buf, len, (off_t)off);

	return n == (ssize_t)len ? 0 : -EBADMSG;
}

/* enum unwind_reg of one register, from libdw's location expression. */
static uint8_t register_place(Dwarf_Frame *frame, int reg, int16_t *ret_off)
{
	Dwarf_Op mem[3], *ops;
	size_t n;
	int64_t off;

	*ret_off = 0;
	if (dwarf_frame_register(frame, reg, mem, &ops, &n))
		return UNWIND_LOST;
	if (!n)
		return ops ? UNWIND_LOST : UNWIND_SAME;
	if (ops[0].atom == DW_OP_call_frame_cfa && n <= 2) {
		if (n == 2 && ops[1].atom != DW_OP_plus_uconst)
			return UNWIND_LOST;
		off = n == 2 ? (int64_t)ops[1].number : 0;
		if (off != (int16_t)off)
			return UNWIND_LOST;
		*ret_off = (int16_t)off;
		return UNWIND_CFA;
	}
	if (ops[0].atom == DW_OP_breg6 && n == 1) {
		*ret_off = (int16_t)ops[0].number;
		return UNWIND_BPREL;
	}
	return UNWIND_LOST;
}

static bool is_plt(const Dwarf_Op *ops, size_t n)
{
	static const uint8_t atoms[] = {DW_OP_breg7, DW_OP_breg16, DW_OP_lit15, DW_OP_and, 0,
					DW_OP_ge,    DW_OP_lit3,   DW_OP_shl,	DW_OP_plus};

	if (n != ARRAY_SIZE(atoms) || ops[0].number != 8)
		return false;
	for (size_t i = 0; i < n; i++)
		if (atoms[i] && ops[i].atom != atoms[i])
			return false;
	return true;
}

static void cfa_of(const Dwarf_Op *ops, size_t n, struct unwind_rule *r)
{
	unsigned int reg;

	r->kind = UNWIND_UNSUP;
	if (!n)
		return;
	if (is_plt(ops, n)) {
		r->kind = UNWIND_PLT;
		r->cfa_off = ops[4].atom - DW_OP_lit0;
		return;
	}
	if (ops[0].atom == DW_OP_bregx) {
		reg = (unsigned int)ops[0].number;
		r->cfa_off = (int32_t)ops[0].number2;
	} else {
		reg = ops[0].atom - DW_OP_breg0;
		r->cfa_off = (int32_t)ops[0].number;
	}
	if (n == 1) {
		r->kind = reg == 7    ? UNWIND_SP
			  : reg == 6  ? UNWIND_BP
			  : reg == 3  ? UNWIND_BX
			  : reg == 10 ? UNWIND_R10
				      : UNWIND_UNSUP;
		return;
	}
	if ((reg != 6 && reg != 7) || ops[1].atom != DW_OP_deref)
		return;
	for (size_t i = 2; i < n; i++) {
		if (ops[i].atom != DW_OP_plus_uconst)
			return;
		r->off2 += (int32_t)ops[i].number;
	}
	r->kind = reg == 7 ? UNWIND_DSP : UNWIND_DBP;
}

static bool is_undefined(Dwarf_Frame *frame, int reg)
{
	Dwarf_Op mem[3], *ops;
	size_t n;

	return !dwarf_frame_register(frame, reg, mem, &ops, &n) && !n && ops;
}

static struct unwind_rule rule_of(Dwarf_Frame *frame, int ra, bool signal)
{
	struct unwind_rule r = {0};
	Dwarf_Op *ops;
	int16_t ra_off;
	size_t n;

	if (signal || ra < 0 || is_undefined(frame, 16)) {
		r.kind = signal ? UNWIND_SIGFRAME : UNWIND_STOP;
		return r;
	}
	if (dwarf_frame_cfa(frame, &ops, &n))
		n = 0;
	cfa_of(ops, n, &r);
	r.fp = register_place(frame, 6, &r.fp_off);
	r.aux = register_place(frame, 3, &r.aux_off);
	if (register_place(frame, 16, &ra_off) != UNWIND_CFA || ra_off != -8)
		r.kind = UNWIND_UNSUP;
	return r;
}

static bool agree(const struct unwind_rule *ours, const struct unwind_rule *theirs)
{
	if (ours->kind != theirs->kind)
		return false;
	if (ours->kind >= UNWIND_SIGFRAME && ours->kind <= UNWIND_UNSUP)
		return true;
	if (ours->aux != theirs->aux &&
	    !(ours->aux == UNWIND_SAME && theirs->aux == UNWIND_LOST)) /* see above */
		return false;
	return ours->cfa_off == theirs->cfa_off && ours->off2 == theirs->off2 &&
	       ours->fp == theirs->fp && ours->fp_off == theirs->fp_off &&
	       (theirs->aux == UNWIND_LOST || ours->aux_off == theirs->aux_off);
}

/* Compares at one address; the end of libdw's interval, or 0 where it has none. */
static uint64_t compare_at(struct oracle *o, uint64_t addr)
{
	const struct unwind_rule *ours = cfi_rules_at(o->rules, cfi_table_rule(&o->table, addr));
	struct unwind_rule theirs;
	Dwarf_Frame *frame;
	Dwarf_Addr start, end;
	Dwarf_Op *ops;
	bool signal;
	size_t n;
	int ra;

	o->compared++;
	if (dwarf_cfi_addrframe(o->cfi, addr, &frame)) {
		o->refused += ours->kind != UNWIND_GAP;
		return 0;
	}
	ra = dwarf_frame_info(frame, &start, &end, &signal);
	theirs = rule_of(frame, ra, signal);
	if (theirs.kind == UNWIND_UNSUP && dwarf_frame_cfa(frame, &ops, &n))
		o->refused++;
	else if (!agree(ours, &theirs) && !o->different++)
		print_message("%s %lx: kind %u/%u cfa %d/%d fp %u%+d/%u%+d bx %u%+d/%u%+d\n",
			      o->path, addr, ours->kind, theirs.kind, ours->cfa_off, theirs.cfa_off,
			      ours->fp, ours->fp_off, theirs.fp, theirs.fp_off, ours->aux,
			      ours->aux_off, theirs.aux, theirs.aux_off);
	free(frame);
	return end;
}

static void compare_all(struct oracle *o)
{
	uint64_t theirs = 0;

	for (size_t i = 0; i + 1 < o->table.n_rows; i++) {
		uint64_t addr = o->table.base + o->table.rows[i].pc;
		uint64_t next = o->table.base + o->table.rows[i + 1].pc;

		theirs = compare_at(o, addr);
		while (theirs > addr && theirs < next) {
			addr = theirs;
			theirs = compare_at(o, addr);
		}
	}
}

static void check_file(const char *path)
{
	struct cfi_file f = {.read = read_fd};
	struct oracle o = {.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC)};

	f.arg = &o.fd;
	assert_true(o.fd >= 0);
	o.rules = cfi_rules_new();
	assert_int_equal(cfi_compile_file(&f, o.rules, &o.table), 0);
	assert_int_equal(o.table.stats.bad_fdes + o.table.stats.bad_ops, 0);
	o.elf = elf_begin(o.fd, ELF_C_READ_MMAP, NULL);
	o.cfi = dwarf_getcfi_elf(o.elf);
	assert_non_null(o.cfi);
	compare_all(&o);
	print_message("%s: %lu intervals compared, %lu different, %lu refused by libdw\n", path,
		      o.compared, o.different, o.refused);
	assert_true(o.compared > 100);
	assert_int_equal(o.different, 0);
	assert_in_range(o.refused, 0, strstr(path, "libgcrypt") ? REFUSED_MAX : 0);
	dwarf_cfi_end(o.cfi);
	elf_end(o.elf);
	close(o.fd);
	cfi_table_deinit(&o.table);
	cfi_rules_free(o.rules);
}

static void test_files(void **state)
{
	static const char *const patterns[] = {
		"/lib/x86_64-linux-gnu/libc.so.6",
		"/lib64/ld-linux-x86-64.so.2",
		"/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
		"/usr/lib/x86_64-linux-gnu/libgcrypt.so.20",
		"/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
		"/usr/bin/python3",
	};

	(void)state;
#ifndef __x86_64__
	print_message("skipped: compares x86-64 files only\n");
	skip();
#endif
	elf_version(EV_CURRENT);
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		if (access(patterns[i], R_OK))
			print_message("%s: skipped, not installed\n", patterns[i]);
		else
			check_file(patterns[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_files)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
