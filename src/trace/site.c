/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/site.h"

#include <errno.h>
#include <string.h>

#include "lib/lib.h"

/* How far code outside the symbol is searched for jumps back into it. */
#define OUTSIDE_INSNS 128
#define OUTSIDE_JUMPS 256

/* The straight line from the entry to the first emulated instruction. */
struct line {
	uint32_t delta;
	int32_t sp_change;
	uint8_t class;
	uint8_t arg_at[7];
	const char *reason; /* NULL: there is such an instruction, at delta */
};

/* Hardware numbers of the argument registers rdi, rsi, rdx, rcx, r8, r9; then rax. */
#define N_ARGS 6
static const uint8_t arg_regs[N_ARGS + 2] = {0, 7, 6, 2, 1, 8, 9, 0};

/* Which argument each register holds, 0 for none. */
struct args {
	uint8_t held[16];
};

static struct args args_at_entry(void)
{
	struct args a = {{0}};
	uint8_t i;

	for (i = 1; i <= N_ARGS; i++)
		a.held[arg_regs[i]] = i;
	return a;
}

static void args_step(struct args *a, const struct insn *in)
{
	uint8_t copied = in->copy_from >= 0 ? a->held[in->copy_from] : 0;
	int i;

	for (i = 0; i < 16; i++)
		if (in->writes >> i & 1)
			a->held[i] = 0;
	if (in->copy_to >= 0)
		a->held[in->copy_to] = copied;
}

/* Number of the argument register that holds argument arg, its own first; 0: none. */
static uint8_t args_find(const struct args *a, uint8_t arg, uint16_t may_hold)
{
	uint8_t i;

	if (a->held[arg_regs[arg]] == arg)
		return arg;
	for (i = 1; i < ARRAY_SIZE(arg_regs); i++)
		if (a->held[arg_regs[i]] == arg && may_hold >> arg_regs[i] & 1)
			return i;
	return 0;
}

/* Fills in where the wanted arguments are; false when one is gone. */
static bool args_locate(const struct args *a, const struct site_want *want, uint8_t *arg_at)
{
	uint8_t i;

	for (i = 1; i <= N_ARGS; i++) {
		bool kept = want->keep >> arg_regs[i] & 1;

		arg_at[i] = kept ? args_find(a, i, want->may_hold) : i;
		if (!arg_at[i])
			return false;
	}
	return true;
}

/* What ends the line at an instruction that is not emulated itself; NULL: go on. */
static const char *line_stop(const struct insn *in, const struct site_want *want)
{
	if (insn_leaves_line(in))
		return "a branch comes before any emulated instruction";
	if (in->stores)
		return "memory is written before any emulated instruction";
	if (in->writes & want->keep & ~INSN_ARGS)
		return "a register in use changes before any emulated instruction";
	if (in->writes & INSN_RSP && (!want->sp_may_move || !in->sp_known))
		return "the stack pointer moves before any emulated instruction";
	return NULL;
}

static struct line find_line(const uint8_t *bytes, const struct site_func *func,
			     const struct site_want *want)
{
	struct args args = args_at_entry();
	struct line line = {.reason = NULL};
	struct insn in;

	while (line.delta < func->size && line.delta <= SITE_MAX_DELTA && !line.reason) {
		if (insn_decode(bytes + line.delta, func->size - line.delta,
				func->vaddr + line.delta, &in)) {
			line.reason = "undecodable bytes at the entry";
			return line;
		}
		line.class = in.class;
		if (!args_locate(&args, want, line.arg_at))
			line.reason = "an argument changes before any emulated instruction";
		else if (want->emulated >> in.class & 1)
			return line;
		else
			line.reason = line_stop(&in, want);
		args_step(&args, &in);
		line.sp_change += in.sp_change;
		line.delta += in.length;
	}
	if (!line.reason)
		line.reason = "no emulated instruction near the entry";
	return line;
}

/*
 * Where a register's value came from, within one straight line: only a pointer loaded
 * from plain memory makes `jmp *reg` a tail call for certain.
 */
struct scan {
	const struct site_code *code;
	const struct site_func *func;
	uint64_t site; /* vaddr */
	uint16_t loaded;
	bool reentered;
	size_t jumps_out;
	const char *reason; /* why there can be no site */
};

static bool inside(const struct site_func *func, uint64_t vaddr)
{
	return vaddr - func->vaddr < func->size;
}

static void scan_target(struct scan *s, uint64_t target)
{
	if (target > s->func->vaddr && target <= s->site)
		s->reason = "the function jumps between entry and site";
}

/* Code outside that the function jumps to: a cold part may jump back in. */
static void scan_outside(struct scan *s, uint64_t vaddr)
{
	uint8_t buf[OUTSIDE_INSNS * 8];
	ssize_t len = s->code->read(s->code->arg, vaddr, buf, sizeof(buf));
	size_t pos = 0, n = 0;
	struct insn in;

	if (++s->jumps_out > OUTSIDE_JUMPS)
		s->reason = "too many jumps out of the function";
	while (len > 0 && n++ < OUTSIDE_INSNS && !s->reason) {
		if (insn_decode(buf + pos, (size_t)len - pos, vaddr + pos, &in))
			return; /* the next function's data, or the end of the buffer */
		if (insn_is_branch(&in) && in.class != INSN_CALL && inside(s->func, in.target))
			scan_target(s, in.target);
		pos += in.length;
	}
}

static bool is_tail_call(const struct scan *s, const struct insn *in)
{
	if (in->notrack)
		return false;
	if (in->reg >= 0)
		return s->loaded >> in->reg & 1;
	return in->mem == INSN_MEM_RIP || in->mem == INSN_MEM_BASE;
}

/* Keeps track of registers that hold a whole pointer from plain memory. */
static void scan_registers(struct scan *s, const struct insn *in)
{
	if (insn_leaves_line(in) && in->class != INSN_JCC) {
		s->loaded = 0;
		return;
	}
	s->loaded &= (uint16_t)~in->writes;
	if (in->class == INSN_LOAD && in->mem != INSN_MEM_INDEX)
		s->loaded |= in->writes;
}

/* Rule 4 of the header: whether anything jumps into (entry, site]. */
static void scan_function(struct scan *s, const uint8_t *bytes)
{
	uint64_t pos = 0;
	struct insn in;

	for (; pos < s->func->size; pos += in.length) {
		if (insn_decode(bytes + pos, s->func->size - pos, s->func->vaddr + pos, &in)) {
			s->reason = "undecodable bytes in the function";
			return;
		}
		if (in.class == INSN_JMP_IND && !is_tail_call(s, &in))
			s->reason = "an indirect jump may lead between entry and site";
		scan_registers(s, &in);
		if (!insn_is_branch(&in))
			continue;
		s->reentered |= in.target == s->func->vaddr && in.class != INSN_CALL;
		if (inside(s->func, in.target))
			scan_target(s, in.target);
		else if (in.class != INSN_CALL)
			scan_outside(s, in.target);
	}
}

/* The whole function, zero-copy is not worth it: a few KiB, once per probe. */
static int read_function(const struct site_code *code, const struct site_func *func, uint8_t **ret)
{
	_cleanup_free_ uint8_t *bytes = malloc(func->size ? func->size : 1);
	uint64_t got = 0;

	if (!bytes)
		return -ENOMEM;
	while (got < func->size) {
		ssize_t n = code->read(code->arg, func->vaddr + got, bytes + got,
				       (size_t)(func->size - got));

		if (n <= 0)
			return n ? (int)n : -ENODATA;
		got += (uint64_t)n;
	}
	*ret = take_ptr(bytes);
	return 0;
}

static const char *check_site(struct scan *s, const uint8_t *bytes, uint64_t size)
{
	if (s->func->next_symbol > s->func->vaddr && s->func->next_symbol <= s->site)
		return "another symbol starts between entry and site";
	if (s->func->size != size)
		return "the function is too large to search for jumps";
	scan_function(s, bytes);
	return s->reason;
}

static int choose(const struct site_code *code, const struct site_func *func,
		  const struct site_want *want, struct site *ret)
{
	struct site_func f = *func;
	struct scan s = {.code = code, .func = &f};
	_cleanup_free_ uint8_t *bytes = NULL;
	struct site site = {.arg_at = {0, 1, 2, 3, 4, 5, 6}};
	struct insn first;
	struct line line;
	int err;

	f.size = MIN(f.size, (uint64_t)SITE_MAX_SCAN);
	err = read_function(code, &f, &bytes);
	if (err)
		return err;
	line = find_line(bytes, &f, want);
	s.site = f.vaddr + line.delta;
	if (!line.reason && line.delta)
		line.reason = check_site(&s, bytes, func->size);
	else if (!line.reason)
		scan_function(&s, bytes); /* for reentered */
	site.fast = !line.reason;
	site.reason = line.reason;
	site.reentered = s.reentered;
	if (site.fast) {
		site.delta = line.delta;
		site.sp_change = line.sp_change;
		site.class = line.class;
		memcpy(site.arg_at, line.arg_at, sizeof(site.arg_at));
	} else if (!insn_decode(bytes, f.size, f.vaddr, &first)) {
		site.class = first.class;
	}
	*ret = site;
	return 0;
}

int site_choose(const struct site_code *code, const struct site_func *func,
		const struct site_want *want, struct site *ret)
{
	if (!insn_tells_registers())
		return -EOPNOTSUPP;
	if (!func->size) {
		*ret = (struct site){.arg_at = {0, 1, 2, 3, 4, 5, 6},
				     .reason = "the function's size is unknown"};
		return 0;
	}
	return choose(code, func, want, ret);
}
