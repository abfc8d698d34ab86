/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * program.c - runs call frame instructions (DWARF 5 section 6.4.2). A row is pushed with
 * the state before each advance, so that several instructions at one location make one
 * row. At an instruction that is not understood the rest of the function becomes
 * unsupported: whatever it does may hold from there on.
 */
#include "cfi/internal.h"

enum {
	CFA_ADVANCE = 0x40, /* the top two bits, operand in the rest */
	CFA_OFFSET = 0x80,
	CFA_RESTORE = 0xc0,
	CFA_NOP = 0x00,
	CFA_SET_LOC = 0x01,
	CFA_ADVANCE1 = 0x02,
	CFA_ADVANCE2 = 0x03,
	CFA_ADVANCE4 = 0x04,
	CFA_OFFSET_EXTENDED = 0x05,
	CFA_RESTORE_EXTENDED = 0x06,
	CFA_UNDEFINED = 0x07,
	CFA_SAME_VALUE = 0x08,
	CFA_REGISTER = 0x09,
	CFA_REMEMBER = 0x0a,
	CFA_RECALL = 0x0b,
	CFA_DEF = 0x0c,
	CFA_DEF_REGISTER = 0x0d,
	CFA_DEF_OFFSET = 0x0e,
	CFA_DEF_EXPRESSION = 0x0f,
	CFA_EXPRESSION = 0x10,
	CFA_OFFSET_EXTENDED_SF = 0x11,
	CFA_DEF_SF = 0x12,
	CFA_DEF_OFFSET_SF = 0x13,
	CFA_VAL_OFFSET = 0x14,
	CFA_VAL_OFFSET_SF = 0x15,
	CFA_VAL_EXPRESSION = 0x16,
	CFA_NEGATE_RA_STATE = 0x2d, /* GNU_window_save elsewhere */
	CFA_GNU_ARGS_SIZE = 0x2e,
	CFA_GNU_NEGATIVE_OFFSET = 0x2f,
};

#define OP_BREG 0x70 /* DW_OP_breg0 + n */

struct run {
	const struct cfi_compiler *c;
	const struct cfi_cie *cie;
	struct cursor cur;
	struct cfi_state s, stack[CFI_REMEMBER_MAX];
	size_t depth;
	uint64_t loc;
};

void cfi_state_init(const struct cfi_compiler *c, struct cfi_state *s)
{
	*s = (struct cfi_state){.cfa_reg = UINT64_MAX};
	/* Callee-saved registers keep their value unless told; the address must be told. */
	if (c->regs->ra != c->regs->aux)
		s->columns[COL_RA].place = PLACE_OTHER;
}

static int column_of(const struct cfi_compiler *c, uint64_t reg)
{
	const struct cfi_arch_regs *r = c->regs;

	if (reg == r->fp)
		return COL_FP;
	if (reg == r->aux)
		return COL_AUX;
	if (reg == r->ra)
		return COL_RA;
	return reg == r->sp ? COL_SP : -1;
}

static void set_column(struct run *r, uint64_t reg, enum cfi_place place, int64_t off)
{
	int col = column_of(r->c, reg);

	if (col >= 0)
		r->s.columns[col] = (struct cfi_column_rule){place, off};
}

static int64_t scaled(const struct run *r, int64_t factored)
{
	return (int64_t)((uint64_t)factored * (uint64_t)r->cie->data_align);
}

static void restore_column(struct run *r, uint64_t reg)
{
	int col = column_of(r->c, reg);

	if (col >= 0)
		r->s.columns[col] = r->cie->initial.columns[col];
}

/* expression(reg): understood is "saved at frame pointer + constant", else unknown. */
static void run_expression(struct run *r, bool is_address)
{
	uint64_t reg = cursor_uleb(&r->cur), len = cursor_uleb(&r->cur);
	struct cursor expr = r->cur;
	int64_t off;

	cursor_skip(&r->cur, len);
	if (r->cur.err)
		return;
	expr.end = r->cur.pos;
	if (is_address && cursor_u8(&expr) == OP_BREG + r->c->regs->fp) {
		off = cursor_sleb(&expr);
		if (!expr.err && !cursor_left(&expr)) {
			set_column(r, reg, PLACE_FP, off);
			return;
		}
	}
	set_column(r, reg, PLACE_OTHER, 0);
}

static void run_def_expression(struct run *r)
{
	uint64_t len = cursor_uleb(&r->cur);

	r->s.expr = r->cur.pos;
	cursor_skip(&r->cur, len);
	r->s.expr_len = r->cur.err ? 0 : len;
	r->s.cfa_is_expr = true;
}

static void def_cfa(struct run *r, uint64_t reg, int64_t off)
{
	r->s.cfa_is_expr = false;
	r->s.cfa_reg = reg;
	r->s.cfa_off = off;
}

/* Instructions on the CFA. False if op is none of them. */
static bool run_cfa(struct run *r, uint8_t op)
{
	struct cursor *cur = &r->cur;
	uint64_t reg;

	switch (op) {
	case CFA_DEF:
		reg = cursor_uleb(cur);
		def_cfa(r, reg, (int64_t)cursor_uleb(cur));
		return true;
	case CFA_DEF_SF:
		reg = cursor_uleb(cur);
		def_cfa(r, reg, scaled(r, cursor_sleb(cur)));
		return true;
	case CFA_DEF_REGISTER:
		def_cfa(r, cursor_uleb(cur), r->s.cfa_off);
		return true;
	case CFA_DEF_OFFSET:
		r->s.cfa_off = (int64_t)cursor_uleb(cur);
		return true;
	case CFA_DEF_OFFSET_SF:
		r->s.cfa_off = scaled(r, cursor_sleb(cur));
		return true;
	case CFA_DEF_EXPRESSION:
		run_def_expression(r);
		return true;
	default:
		return false;
	}
}

/* Instructions on a register. False if op is none of them. */
static bool run_register(struct run *r, uint8_t op)
{
	struct cursor *cur = &r->cur;
	uint64_t reg;
	int64_t off;

	if ((op & 0xc0) == CFA_OFFSET) {
		set_column(r, op & 0x3f, PLACE_CFA, scaled(r, (int64_t)cursor_uleb(cur)));
		return true;
	}
	if ((op & 0xc0) == CFA_RESTORE) {
		restore_column(r, op & 0x3f);
		return true;
	}
	switch (op) {
	case CFA_EXPRESSION:
	case CFA_VAL_EXPRESSION:
		run_expression(r, op == CFA_EXPRESSION);
		return true;
	case CFA_OFFSET_EXTENDED:
	case CFA_RESTORE_EXTENDED:
	case CFA_UNDEFINED:
	case CFA_SAME_VALUE:
	case CFA_REGISTER:
	case CFA_OFFSET_EXTENDED_SF:
	case CFA_VAL_OFFSET:
	case CFA_VAL_OFFSET_SF:
	case CFA_GNU_NEGATIVE_OFFSET:
		break;
	default:
		return false;
	}
	reg = cursor_uleb(cur);
	switch (op) {
	case CFA_OFFSET_EXTENDED:
		set_column(r, reg, PLACE_CFA, scaled(r, (int64_t)cursor_uleb(cur)));
		break;
	case CFA_OFFSET_EXTENDED_SF:
		set_column(r, reg, PLACE_CFA, scaled(r, cursor_sleb(cur)));
		break;
	case CFA_GNU_NEGATIVE_OFFSET:
		off = scaled(r, (int64_t)cursor_uleb(cur));
		set_column(r, reg, PLACE_CFA, (int64_t) - (uint64_t)off);
		break;
	case CFA_RESTORE_EXTENDED:
		restore_column(r, reg);
		break;
	case CFA_UNDEFINED:
		set_column(r, reg, PLACE_UNDEF, 0);
		break;
	case CFA_SAME_VALUE:
		set_column(r, reg, PLACE_SAME, 0);
		break;
	case CFA_REGISTER:
		cursor_uleb(cur);
		set_column(r, reg, PLACE_OTHER, 0);
		break;
	default: /* val_offset: for sp "is CFA + 0", what it is anyway */
		off = op == CFA_VAL_OFFSET ? (int64_t)cursor_uleb(cur) : cursor_sleb(cur);
		set_column(r, reg, reg == r->c->regs->sp && !off ? PLACE_SAME : PLACE_OTHER, 0);
	}
	return true;
}

/* The rest. False if the instruction is unknown or cannot be followed. */
static bool run_other(struct run *r, uint8_t op)
{
	switch (op) {
	case CFA_NOP:
		return true;
	case CFA_REMEMBER:
		if (r->depth == CFI_REMEMBER_MAX)
			return false;
		r->stack[r->depth++] = r->s;
		return true;
	case CFA_RECALL:
		if (!r->depth)
			return false;
		r->s = r->stack[--r->depth];
		return true;
	case CFA_NEGATE_RA_STATE:
		r->s.ra_signed = !r->s.ra_signed;
		return true;
	case CFA_GNU_ARGS_SIZE: /* of no effect on the CFA */
		cursor_uleb(&r->cur);
		return true;
	default:
		return false;
	}
}

/* Is op an advance? Then *ret_loc is the new location. */
static bool run_advance(struct run *r, uint8_t op, uint64_t *ret_loc)
{
	uint64_t delta;

	switch (op & 0xc0 ? op & 0xc0 : op) {
	case CFA_ADVANCE:
		delta = op & 0x3f;
		break;
	case CFA_ADVANCE1:
		delta = cursor_u8(&r->cur);
		break;
	case CFA_ADVANCE2:
		delta = cursor_uint(&r->cur, 2);
		break;
	case CFA_ADVANCE4:
		delta = cursor_uint(&r->cur, 4);
		break;
	case CFA_SET_LOC:
		*ret_loc = cfi_read_address(r->c, &r->cur, r->cie->encoding);
		if (*ret_loc < r->loc)
			cursor_fail(&r->cur, -EBADMSG);
		return true;
	default:
		return false;
	}
	if (__builtin_mul_overflow(delta, r->cie->code_align, &delta) ||
	    __builtin_add_overflow(r->loc, delta, ret_loc))
		cursor_fail(&r->cur, -EBADMSG);
	return true;
}

static bool run_op(struct run *r, uint8_t op)
{
	bool known = run_register(r, op) || run_cfa(r, op) || run_other(r, op);

	return known && !r->cur.err;
}

int cfi_run_cie(const struct cfi_compiler *c, struct cfi_cie *cie)
{
	struct run r = {
		.c = c,
		.cie = cie,
		.cur = cfi_section_cursor(c, cie->program, cie->program_end),
	};

	cfi_state_init(c, &cie->initial);
	r.s = cie->initial;
	while (cursor_left(&r.cur))
		if (!run_op(&r, cursor_u8(&r.cur)))
			return -EBADMSG;
	cie->initial = r.s;
	return 0;
}

int cfi_run_fde(struct cfi_compiler *c, const struct cfi_fde *fde)
{
	size_t program_end = (size_t)fde->program + fde->program_len;
	struct run r;
	uint64_t loc;

	r.c = c;
	r.cie = &c->cies[fde->cie];
	r.cur = cfi_section_cursor(c, fde->program, program_end);
	r.s = r.cie->initial;
	r.depth = 0;
	r.loc = fde->pc;
	while (cursor_left(&r.cur)) {
		uint8_t op = cursor_u8(&r.cur);

		if (!run_advance(&r, op, &loc)) {
			if (!run_op(&r, op))
				goto cut;
			continue;
		}
		if (r.cur.err)
			goto cut;
		if (loc > r.loc)
			cfi_push(c, r.loc, cfi_rule_of(c, r.cie, &r.s));
		r.loc = loc;
		if (loc >= fde->end)
			return 0;
	}
	cfi_push(c, r.loc, cfi_rule_of(c, r.cie, &r.s));
	return 0;
cut:
	cfi_push(c, r.loc, CFI_RULE_UNSUP);
	return -EBADMSG;
}
