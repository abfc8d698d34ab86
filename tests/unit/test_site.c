/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Probe sites: real entry code of allocators, and one small function for each rule. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/lib.h"
#include "site_bytes.h"
#include "site_bytes_distros.h"
#include "site_text.h"
#include "trace/site.h"

#define BIT(class) (1ULL << INSN_##class)

/* What Linux 6.18 emulates. */
#define LINUX_6_18 \
	(BIT(NOP) | BIT(NOP_66) | BIT(NOP5) | BIT(PUSH) | BIT(JMP) | BIT(JCC) | BIT(CALL))

/* `text` holds the function and, behind it, whatever it jumps to. */
static struct site choose(struct text text, size_t size, const struct site_want *want)
{
	const struct site_code code = {.read = read_text, .arg = &text};
	const struct site_func func = {.vaddr = AT, .size = size, .next_symbol = UINT64_MAX};
	struct site site;

	assert_int_equal(site_choose(&code, &func, want, &site), 0);
	return site;
}

static void check_real(const struct site_bytes *b)
{
	const struct site_want want = {.emulated = LINUX_6_18,
				       .keep = b->keep,
				       .may_hold = b->may_hold,
				       .sp_may_move = b->sp_may_move};
	struct site s = choose((struct text){b->code, b->size}, b->size, &want);

	if (s.delta != b->delta || s.fast != b->fast)
		print_message("%s %s: +%u, %s\n", b->package, b->function, s.delta,
			      s.reason ? s.reason : "fast");
	assert_int_equal(s.fast, b->fast);
	assert_int_equal(s.delta, b->delta);
	assert_int_equal(s.class, b->class);
	assert_int_equal(s.arg_at[1], b->arg1_at);
	assert_int_equal(s.arg_at[2], b->arg2_at);
	assert_int_equal(s.sp_change, b->sp_change);
	assert_true(!s.reason == s.fast);
}

static void real_code(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(site_bytes); i++)
		check_real(&site_bytes[i]);
}

static void real_code_of_other_distributions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(site_bytes_distros); i++)
		check_real(&site_bytes_distros[i]);
}

struct rule {
	const char *what;
	const char *code;
	size_t size;
	bool fast;
	uint32_t delta;
};

/* Each function keeps rdi; the comment is its assembly. */
static const struct rule rules[] = {
	/* endbr64; test rdi,rdi; je +0; ret: as -fcf-protection code begins */
	{"endbr64", "\xf3\x0f\x1e\xfa\x48\x85\xff\x74\x00\xc3", 10, true, 7},
	/* test rdi,rdi; je +1; ret; jmp -3 (to je): a loop to the site itself */
	{"jump to site", "\x48\x85\xff\x74\x01\xc3\xeb\xfb", 8, false, 0},
	/* nop3; test; je +0; ret; jmp to test */
	{"jump between", "\x0f\x1f\x00\x48\x85\xff\x74\x00\xc3\xeb\xf8", 11, false, 0},
	/* test; je +0; ret; jmp to entry: the site stays */
	{"jump to entry", "\x48\x85\xff\x74\x00\xc3\xeb\xf8", 8, true, 3},
	/* test; jmp +0 then a jcc into the middle of test */
	{"jump into an instruction", "\x48\x85\xff\xeb\x00\x74\xfa\xc3", 8, false, 0},
	/* mov rdi,rax; mov rsi,rdi; push */
	{"argument changed", "\x48\x89\xf8\x48\x89\xf7\x55\xc3", 8, false, 0},
	/* mov dil,1; push: a part of an argument */
	{"argument part changed", "\x40\xb7\x01\x55\xc3", 5, false, 0},
	/* cmove rdi,rsi; push */
	{"argument may change", "\x48\x0f\x44\xfe\x55\xc3", 6, false, 0},
	/* sub rsp,8; push */
	{"stack moved", "\x48\x83\xec\x08\x55\xc3", 6, false, 0},
	/* mov [rdi],rax; push */
	{"memory written", "\x48\x89\x07\x55\xc3", 5, false, 0},
	/* mov eax,11; syscall; jae */
	{"behind a system call", "\xb8\x0b\x00\x00\x00\x0f\x05\x73\x00\xc3", 10, false, 0},
	/* cmp [rdi],rax; push: may fault, changes nothing */
	{"memory read", "\x48\x39\x07\x55\xc3", 5, true, 3},
	/* xor eax,eax; ret; push */
	{"behind ret", "\x31\xc0\xc3\x55\xc3", 5, false, 0},
	/* xor eax,eax; call rax; push */
	{"behind indirect call", "\x31\xc0\xff\xd0\x55\xc3", 6, false, 0},
	/* loop +1; push; ret */
	{"behind loop", "\xe2\x01\x55\xc3", 4, false, 0},
	/* jrcxz -2 */
	{"loop back", "\x48\x85\xff\x55\xe3\xfd\xc3", 7, false, 0},
	/* test; push; notrack jmp rax */
	{"jump table", "\x48\x85\xff\x55\x3e\xff\xe0", 7, false, 0},
	/* test; push; jmp [rdx+rax*8] */
	{"jump table in memory", "\x48\x85\xff\x55\xff\x24\xc2", 7, false, 0},
	/* test; push; movslq (rdx,rax,4),rax; add rdx,rax; jmp rax */
	{"position-independent jump table", "\x48\x85\xff\x55\x48\x63\x04\x82\x48\x01\xd0\xff\xe0",
	 13, false, 0},
	/* test; push; mov rax,[rip+0]; jmp rax: a function pointer */
	{"pointer tail call", "\x48\x85\xff\x55\x48\x8b\x05\x00\x00\x00\x00\xff\xe0", 13, true, 3},
	/* the same, but the load belongs to another line */
	{"pointer of another line", "\x48\x85\xff\x55\x48\x8b\x05\x00\x00\x00\x00\xc3\xff\xe0", 14,
	 false, 0},
	/* test; push; jmp [rip+0] */
	{"GOT tail call", "\x48\x85\xff\x55\xff\x25\x00\x00\x00\x00", 10, true, 3},
	/* test; push; a byte that is no instruction */
	{"undecodable", "\x48\x85\xff\x55\x06", 5, false, 0},
	/* pause, then push */
	{"pause is no nop", "\xf3\x90\x55\xc3", 4, true, 2},
	/* 66 eb: the kernel refuses to attach to it */
	{"branch with 66", "\x48\x85\xff\x66\x74\x00\xc3", 7, false, 0},
	/* bswap eax, 33 times: too far */
	{"too far",
	 "\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8"
	 "\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8"
	 "\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8\x0f\xc8"
	 "\x55\xc3",
	 68, false, 0},
};

static void each_rule(void **state)
{
	const struct site_want want = {.emulated = LINUX_6_18, .keep = INSN_RDI};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *r = &rules[i];
		struct site s = choose((struct text){r->code, r->size}, r->size, &want);

		if (s.fast != r->fast || s.delta != r->delta)
			print_message("%s: +%u, %s\n", r->what, s.delta,
				      s.reason ? s.reason : "fast");
		assert_int_equal(s.fast, r->fast);
		assert_int_equal(s.delta, r->delta);
		assert_true(!s.reason == s.fast);
		assert_true(s.reentered == !strcmp(r->what, "jump to entry"));
	}
}

/* test; jne +2 (out); ret | cold part: jmp to je's address */
static void cold_part_jumps_back(void **state)
{
	const struct site_want want = {.emulated = LINUX_6_18, .keep = INSN_RDI};
	const struct text back = {"\x48\x85\xff\x75\x01\xc3\x90\xeb\xfa", 9};
	const struct text elsewhere = {"\x48\x85\xff\x75\x01\xc3\x90\xeb\xfc", 9};

	(void)state;
	assert_false(choose(back, 6, &want).fast);
	assert_true(choose(elsewhere, 6, &want).fast);
}

static void other_symbol_inside(void **state)
{
	const struct site_want want = {.emulated = LINUX_6_18, .keep = INSN_RDI};
	struct text text = {"\x48\x85\xff\x74\x00\xc3", 6};
	const struct site_code code = {.read = read_text, .arg = &text};
	struct site_func func = {.vaddr = AT, .size = 6, .next_symbol = AT + 4};
	struct site s;

	(void)state;
	assert_int_equal(site_choose(&code, &func, &want, &s), 0);
	assert_true(s.fast && s.delta == 3);
	func.next_symbol = AT + 3;
	assert_int_equal(site_choose(&code, &func, &want, &s), 0);
	assert_false(s.fast);
	assert_int_equal(s.delta, 0);
	assert_non_null(s.reason);
}

static void only_what_is_emulated(void **state)
{
	const struct text text = {"\xf3\x0f\x1e\xfa\x48\x85\xff\x74\x01\x55\xc3", 11};
	struct site_want want = {.keep = INSN_RDI};
	struct site s = choose(text, 11, &want);

	(void)state;
	assert_false(s.fast);
	assert_int_equal(s.class, INSN_ENDBR);
	/* Not the push behind the branch. */
	want.emulated = BIT(PUSH);
	assert_false(choose(text, 11, &want).fast);
	want.emulated = BIT(ENDBR) | BIT(JCC);
	s = choose(text, 11, &want);
	assert_true(s.fast && s.delta == 0 && s.class == INSN_ENDBR);
	want.emulated = BIT(TEST_REG);
	s = choose(text, 11, &want);
	assert_true(s.fast && s.delta == 4 && s.class == INSN_TEST_REG);
}

/* mov rdi,rax; xchg rdi,rsi; mov rax,rdx; mov rdx,rdi ...: only whole copies are followed */
static void moved_arguments(void **state)
{
	const struct text swap = {"\x48\x87\xfe\x55\xc3", 5};	       /* xchg rsi,rdi; push */
	const struct text half = {"\x89\xfe\x31\xff\x55\xc3", 6};      /* mov esi,edi; xor edi */
	const struct text whole = {"\x48\x89\xfe\x31\xff\x55\xc3", 7}; /* mov rsi,rdi; xor edi */
	const struct text other = {"\x48\x8b\xd7\x31\xff\x55\xc3", 7}; /* 8b: mov rdx,rdi */
	const struct text lost = {"\x48\x89\xfb\x31\xff\x55\xc3", 7};  /* mov rbx,rdi; xor edi */
	struct site_want want = {.emulated = LINUX_6_18, .keep = INSN_RDI};
	struct site s;

	(void)state;
	assert_false(choose(whole, 7, &want).fast);
	want.may_hold = INSN_ARGS;
	s = choose(whole, 7, &want);
	assert_true(s.fast && s.delta == 5 && s.arg_at[1] == 2);
	s = choose(other, 7, &want);
	assert_true(s.fast && s.delta == 5 && s.arg_at[1] == 3);
	assert_false(choose(swap, 5, &want).fast);
	assert_false(choose(half, 6, &want).fast);
	assert_false(choose(lost, 7, &want).fast);
	/* The copy destroys rsi: not where that is wanted too. */
	want.keep = INSN_RDI | INSN_RSI;
	assert_false(choose(whole, 7, &want).fast);
}

static void bad_input(void **state)
{
	const struct site_want want = {.emulated = LINUX_6_18, .keep = INSN_RDI};
	struct text text = {"\x48\x85\xff\x55", 4};
	const struct site_code code = {.read = read_text, .arg = &text};
	struct site_func func = {.vaddr = AT, .size = 100, .next_symbol = UINT64_MAX};
	struct site s = {.delta = 77};

	(void)state;
	assert_int_equal(site_choose(&code, &func, &want, &s), -EFAULT);
	assert_int_equal(s.delta, 77);
	func.size = 0;
	assert_int_equal(site_choose(&code, &func, &want, &s), 0);
	assert_true(!s.fast && s.delta == 0 && s.reason);
	func.size = 2; /* cut inside the first instruction */
	assert_int_equal(site_choose(&code, &func, &want, &s), 0);
	assert_true(!s.fast && s.delta == 0 && s.reason);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_code),
		cmocka_unit_test(real_code_of_other_distributions),
		cmocka_unit_test(each_rule),
		cmocka_unit_test(cold_part_jumps_back),
		cmocka_unit_test(other_symbol_inside),
		cmocka_unit_test(only_what_is_emulated),
		cmocka_unit_test(moved_arguments),
		cmocka_unit_test(bad_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
