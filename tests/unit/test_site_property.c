/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every exported function of this machine's libraries: the chosen site is an instruction
 * boundary, nothing before it branches or changes an argument register, and no branch of
 * the function ends between entry and site. Judged from objdump's listing of the
 * library: another decoder, read as text, nothing shared with what is tested.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/lib.h"
#include "site_elf.h"
#include "trace/site.h"

#define BIT(class) (1ULL << INSN_##class)
#define EMULATED   (BIT(NOP) | BIT(NOP_66) | BIT(NOP5) | BIT(PUSH) | BIT(JMP) | BIT(JCC) | BIT(CALL))

struct line {
	uint64_t vaddr;
	char text[72];
};

struct listing {
	struct line *lines;
	size_t n, cap;
};

/* "   98ef0:\ttest   %rdi,%rdi" */
static bool list_library(const char *path, struct listing *l)
{
	char cmd[512], buf[512];
	FILE *f;

	snprintf(cmd, sizeof(cmd), "objdump -d -w --no-show-raw-insn '%s' 2>/dev/null", path);
	f = popen(cmd, "r");
	while (f && fgets(buf, sizeof(buf), f)) {
		char *tab = strstr(buf, ":\t"), *end;
		uint64_t vaddr = strtoull(buf, &end, 16);

		if (!tab || end != tab ||
		    array_reserve(&l->lines, &l->cap, l->n + 1, sizeof(*l->lines)))
			continue;
		l->lines[l->n].vaddr = vaddr;
		snprintf(l->lines[l->n++].text, sizeof(l->lines->text), "%.70s", tab + 2);
	}
	if (f)
		pclose(f);
	return l->n > 0;
}

static const struct line *find_line(const struct listing *l, uint64_t vaddr)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->lines[mid].vaddr < vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < l->n ? &l->lines[lo] : l->lines + l->n;
}

static bool starts(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (!strncmp(text, *words, strlen(*words)))
			return true;
	return false;
}

/* Mnemonics, AT&T: what leaves the line. */
static bool text_leaves(const char *t)
{
	static const char *const words[] = {"j",	"call",	  "ret",    "notrack", "bnd",
					    "repz ret", "hlt",	  "ud2",    "int3",    "loop",
					    "syscall",	"xbegin", "xabort", NULL};

	return starts(t, words);
}

/*
 * The last operand is the destination in AT&T syntax. Instructions that write registers
 * without naming them are told by mnemonic.
 */
static bool text_writes(const char *t, const char *const *names)
{
	static const char *const reads[] = {"test",   "cmp",	 "push",     "nop",
					    "bt ",    "endbr",	 "prefetch", "comis",
					    "ucomis", "vucomis", "vcomis",   NULL};
	static const char *const hidden[] = {"rep ",  "repz ",	"repnz ", "movs", "cpuid",
					     "rdtsc", "xgetbv", "mul ",	  "div",  "idiv",
					     "cqto",  "cltd",	NULL};
	const char *last = strrchr(t, ',');
	const char *sharp = strstr(t, " #");
	char dest[72];

	if (starts(t, hidden) && strncmp(t, "movslq", 6) && strncmp(t, "movsb", 5) &&
	    strncmp(t, "movsw", 5) && strncmp(t, "movss", 5) && strncmp(t, "movsd", 5))
		return true;
	if (starts(t, reads))
		return false;
	if (!last)
		last = strchr(t, ' ');
	snprintf(dest, sizeof(dest), "%.*s",
		 last ? (int)(sharp > last ? sharp - last : (long)strlen(last)) : 0, last);
	if (strchr(dest, '('))
		return false;
	for (; *names; names++) {
		const char *at = strstr(dest, *names);

		if (at && !strchr("abcdefghijklmnopqrstuvwxyz0123456789", at[strlen(*names)]))
			return true;
		if (at && !at[strlen(*names)])
			return true;
	}
	return !strncmp(t, "xchg", 4) || !strncmp(t, "xadd", 4);
}

static const char *const rdi_names[] = {"%rdi", "%edi", "%di", "%dil", NULL};
static const char *const rsi_names[] = {"%rsi", "%esi", "%si", "%sil", NULL};
static const char *const rdx_names[] = {"%rdx", "%edx", "%dx", "%dl", "%dh", NULL};
static const char *const rsp_names[] = {"%rsp", "%esp", "%sp", NULL};

/* "jne    98fb8 <...>" ends at 98fb8. */
static uint64_t text_target(const char *t)
{
	const char *p = strstr(t, "bnd ") == t ? t + 4 : t;
	char *end;
	uint64_t v;

	if (*p != 'j' && strncmp(p, "loop", 4) && strncmp(p, "xbegin", 6))
		return 0;
	p += strcspn(p, " ");
	p += strspn(p, " ");
	v = strtoull(p, &end, 16);
	return end != p && *end == ' ' ? v : 0;
}

static const char *judge(const struct listing *l, const struct elf_func *f, const struct site *s)
{
	const struct line *end = l->lines + l->n, *line = find_line(l, f->vaddr);
	uint64_t site = f->vaddr + s->delta;

	for (; line < end && line->vaddr < site; line++) {
		if (text_leaves(line->text))
			return "behind a branch";
		if (text_writes(line->text, rdi_names) || text_writes(line->text, rsi_names) ||
		    text_writes(line->text, rdx_names))
			return "behind a change of an argument";
		if (text_writes(line->text, rsp_names))
			return "behind a change of rsp";
	}
	if (line == end || line->vaddr != site)
		return "not at an instruction boundary";
	for (line = find_line(l, f->vaddr); line < end && line->vaddr < f->vaddr + f->size;
	     line++) {
		uint64_t to = text_target(line->text);

		if (to > f->vaddr && to <= site)
			return "behind a jump target";
	}
	return NULL;
}

static void check_library(const char *path, uint64_t emulated)
{
	const struct site_want want = {.emulated = emulated,
				       .keep = INSN_RDI | INSN_RSI | INSN_RDX};
	size_t i, fast = 0, moved = 0, bad = 0;
	struct listing list = {0};
	struct elf_lib lib;
	struct site_code code = {.read = elf_lib_read, .arg = &lib};

	if (!elf_lib_open(&lib, path)) {
		print_message("skip: no %s on this machine\n", path);
		elf_lib_close(&lib);
		return;
	}
	assert_true(list_library(path, &list));
	for (i = 0; i < lib.n; i++) {
		const struct elf_func *f = &lib.funcs[i];
		const struct site_func func = {f->vaddr, f->size, f->next};
		const char *wrong;
		struct site s;

		assert_int_equal(site_choose(&code, &func, &want, &s), 0);
		assert_true(s.fast || (!s.delta && s.reason));
		fast += s.fast;
		if (!s.delta)
			continue;
		moved++;
		wrong = judge(&list, f, &s);
		if (wrong)
			print_message("%s+%u: %s\n", f->name, s.delta, wrong);
		bad += wrong != NULL;
	}
	print_message("%s: %zu functions, %zu fast, %zu of them behind the entry, %zu wrong\n",
		      path, lib.n, fast, moved, bad);
	assert_int_equal(bad, 0);
	free(list.lines);
	elf_lib_close(&lib);
}

static void libc(void **state)
{
	(void)state;
	check_library("/usr/lib/x86_64-linux-gnu/libc.so.6", EMULATED);
}

static void libstdcxx(void **state)
{
	(void)state;
	check_library("/usr/lib/x86_64-linux-gnu/libstdc++.so.6", EMULATED);
}

static void allocators(void **state)
{
	(void)state;
	check_library("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", EMULATED);
	check_library("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", EMULATED);
	check_library("/usr/lib/x86_64-linux-gnu/libmimalloc.so.2", EMULATED);
	check_library("/usr/lib/ld-musl-x86_64.so.1", EMULATED);
}

/* A kernel that emulates no branch: then a branch before the site is possible at all. */
static void without_branches(void **state)
{
	(void)state;
	check_library("/usr/lib/x86_64-linux-gnu/libc.so.6", BIT(PUSH) | BIT(NOP) | BIT(ENDBR));
	check_library("/usr/lib/x86_64-linux-gnu/libstdc++.so.6", BIT(PUSH) | BIT(NOP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libc),
		cmocka_unit_test(libstdcxx),
		cmocka_unit_test(allocators),
		cmocka_unit_test(without_branches),
	};

#ifndef __x86_64__
	print_message("skip: sites are chosen on x86-64 only\n");
	return 0;
#endif
	if (system("objdump --version > /dev/null 2>&1")) {
		print_message("skip: objdump (binutils) is not installed\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
