/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/site.h"

#include <errno.h>
#include <string.h>

#include "lib/lib.h"

/* Addresses seen: open addressing, never full (SITE_MAX_INSNS of 2 * SITE_MAX_INSNS). */
#define SEEN_SLOTS (2 * SITE_MAX_INSNS)

struct walk {
	const struct site_code *code;
	const struct site_func *func;
	struct site_rets *ret;
	uint64_t window_vaddr; /* bytes last read, so that read is not called per instruction */
	size_t window_len;
	uint8_t window[256];
	size_t n_todo;
	uint64_t todo[SITE_MAX_INSNS];
	uint64_t seen[SEEN_SLOTS]; /* vaddr + 1; 0 is free */
};

static int walk_fail(struct walk *w, int err, uint64_t vaddr, const char *reason)
{
	w->ret->reason = reason;
	w->ret->reason_vaddr = vaddr;
	return err;
}

/* True the first time. */
static bool walk_mark(struct walk *w, uint64_t vaddr)
{
	size_t i = (size_t)(vaddr * 0x9e3779b97f4a7c15ULL >> 32) % SEEN_SLOTS;

	for (; w->seen[i]; i = (i + 1) % SEEN_SLOTS)
		if (w->seen[i] == vaddr + 1)
			return false;
	w->seen[i] = vaddr + 1;
	return true;
}

static int walk_decode(struct walk *w, uint64_t vaddr, struct insn *ret)
{
	uint64_t at = vaddr - w->window_vaddr;
	int err = -ENODATA;
	ssize_t n;

	if (at < w->window_len)
		err = insn_decode(w->window + at, w->window_len - (size_t)at, vaddr, ret);
	if (err != -ENODATA)
		return err;
	n = w->code->read(w->code->arg, vaddr, w->window, sizeof(w->window));
	w->window_len = 0;
	if (n <= 0)
		return n ? (int)n : -ENODATA;
	w->window_vaddr = vaddr;
	w->window_len = (size_t)n;
	return insn_decode(w->window, w->window_len, vaddr, ret);
}

static int walk_push(struct walk *w, uint64_t vaddr)
{
	if (w->n_todo == ARRAY_SIZE(w->todo))
		return walk_fail(w, -E2BIG, vaddr, "too many branches");
	w->todo[w->n_todo++] = vaddr;
	return 0;
}

static bool in_function(const struct walk *w, uint64_t vaddr)
{
	return vaddr - w->func->vaddr < w->func->size;
}

static int walk_ret(struct walk *w, uint64_t vaddr)
{
	if (w->ret->n == SITE_MAX_RETS)
		return walk_fail(w, -E2BIG, vaddr, "too many return instructions");
	w->ret->at[w->ret->n++] = (struct site_ret){vaddr, !in_function(w, vaddr)};
	return 0;
}

static int walk_indirect(struct walk *w, uint64_t vaddr, const struct insn *in)
{
	uint64_t to;

	if (in->mem != INSN_MEM_RIP || in->notrack)
		return walk_fail(w, -ENOTSUP, vaddr, "indirect jump");
	if (!w->code->resolve || w->code->resolve(w->code->arg, in->slot, &to))
		return walk_fail(w, -ENOTSUP, vaddr, "tail call into another object");
	return walk_push(w, to);
}

/* Behind a call the symbol's end is the end of the line: that call does not return. */
static bool falls_out(const struct walk *w, uint64_t vaddr, uint64_t next)
{
	uint64_t end = in_function(w, vaddr) ? w->func->vaddr + w->func->size : 0;

	if (!end && w->code->symbol_end)
		end = w->code->symbol_end(w->code->arg, vaddr);
	return end && next >= end;
}

/* One instruction; *vaddr moves on, or becomes 0 where the line ends. */
static int walk_step(struct walk *w, uint64_t *vaddr)
{
	uint64_t at = *vaddr;
	struct insn in;
	int err = walk_decode(w, at, &in);

	if (err)
		return walk_fail(w, err, at, "unreadable or undecodable code");
	*vaddr = insn_ends_line(&in) ? 0 : at + in.length;
	switch (in.class) {
	case INSN_RET:
		return walk_ret(w, at);
	case INSN_RET_IMM:
		return walk_fail(w, -ENOTSUP, at, "return that pops arguments");
	case INSN_JMP:
	case INSN_JCC:
	case INSN_LOOP:
		return walk_push(w, in.target);
	case INSN_JMP_IND:
		return walk_indirect(w, at, &in);
	case INSN_CALL:
		/* A call to its own middle is a thunk that returns elsewhere. */
		if (in_function(w, in.target) && in.target != w->func->vaddr)
			return walk_fail(w, -ENOTSUP, at, "call into its own middle");
		if (w->code->noreturn && w->code->noreturn(w->code->arg, in.target))
			*vaddr = 0;

		break;
	default:
		break;
	}
	if ((in.class == INSN_CALL || in.class == INSN_CALL_IND) && falls_out(w, at, *vaddr))
		*vaddr = 0;
	return 0;
}

static int walk_all(struct walk *w)
{
	int err = walk_push(w, w->func->vaddr);

	while (!err && w->n_todo) {
		uint64_t vaddr = w->todo[--w->n_todo];

		while (!err && vaddr && walk_mark(w, vaddr)) {
			if (++w->ret->insns > SITE_MAX_INSNS)
				return walk_fail(w, -E2BIG, vaddr, "too much code to follow");
			err = walk_step(w, &vaddr);
		}
	}
	if (!err && !w->ret->n)
		return walk_fail(w, -ENOENT, w->func->vaddr, "no return instruction");
	return err;
}

static int ret_cmp(const void *a, const void *b)
{
	const struct site_ret *x = a, *y = b;

	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

int site_returns(const struct site_code *code, const struct site_func *func, struct site_rets *ret)
{
	_cleanup_free_ struct walk *w = calloc(1, sizeof(*w));
	int err;

	memset(ret, 0, sizeof(*ret));
	if (!w)
		return -ENOMEM;
	w->code = code;
	w->func = func;
	w->ret = ret;
	err = walk_all(w);
	if (err)
		ret->n = 0;
	else
		qsort(ret->at, ret->n, sizeof(ret->at[0]), ret_cmp);
	return err;
}
