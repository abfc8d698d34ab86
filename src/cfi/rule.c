/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rule.c - rules from unwinder states, each kept once. Sixteen million rows of a whole
 * Debian system share some five thousand rules.
 */
#include "cfi/internal.h"

enum {
	OP_DEREF = 0x06,
	OP_PLUS_UCONST = 0x23,
	OP_LIT0 = 0x30,
	OP_LIT31 = 0x4f,
	OP_BREG0 = 0x70,
};

struct cfi_rules {
	struct unwind_rule *v;
	size_t n, cap;
	uint32_t *slots; /* open addressing: index + 1 */
	size_t n_slots;	 /* a power of two, at least twice n */
	uint64_t refused;
};

static uint64_t rule_hash(const struct unwind_rule *r)
{
	uint64_t half[2], h;

	memcpy(half, r, sizeof(half));
	h = (half[0] ^ half[1] * 0x9E3779B97F4A7C15ULL) * 0xFF51AFD7ED558CCDULL;
	return h ^ h >> 29;
}

static int rules_grow(struct cfi_rules *rules)
{
	size_t n = rules->n_slots ? rules->n_slots * 2 : 1024;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < rules->n; i++) {
		size_t at = rule_hash(&rules->v[i]) & (n - 1);

		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = (uint32_t)i + 1;
	}
	free(rules->slots);
	rules->slots = slots;
	rules->n_slots = n;
	return 0;
}

struct cfi_rules *cfi_rules_new(void)
{
	struct cfi_rules *rules = calloc(1, sizeof(*rules));
	struct unwind_rule fixed[] = {
		[CFI_RULE_GAP] = {.kind = UNWIND_GAP},
		[CFI_RULE_UNSUP] = {.kind = UNWIND_UNSUP},
	};

	if (!rules)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (cfi_rules_intern(rules, &fixed[i]) != i || rules->refused) {
			cfi_rules_free(rules);
			return NULL;
		}
	return rules;
}

void cfi_rules_free(struct cfi_rules *rules)
{
	if (!rules)
		return;
	free(rules->v);
	free(rules->slots);
	free(rules);
}

uint32_t cfi_rules_intern(struct cfi_rules *rules, const struct unwind_rule *rule)
{
	size_t at;

	if (rules->n * 2 >= rules->n_slots && rules_grow(rules))
		goto refuse;
	at = rule_hash(rule) & (rules->n_slots - 1);
	for (; rules->slots[at]; at = (at + 1) & (rules->n_slots - 1))
		if (!memcmp(&rules->v[rules->slots[at] - 1], rule, sizeof(*rule)))
			return rules->slots[at] - 1;
	if (rules->n >= UNWIND_MAX_RULES ||
	    array_reserve(&rules->v, &rules->cap, rules->n + 1, sizeof(*rules->v)))
		goto refuse;
	rules->v[rules->n] = *rule;
	rules->slots[at] = (uint32_t)++rules->n;
	return (uint32_t)rules->n - 1;
refuse:
	rules->refused++;
	return CFI_RULE_UNSUP;
}

size_t cfi_rules_count(const struct cfi_rules *rules)
{
	return rules->n;
}

const struct unwind_rule *cfi_rules_at(const struct cfi_rules *rules, uint32_t index)
{
	return index < rules->n ? &rules->v[index] : NULL;
}

uint64_t cfi_rules_refused(const struct cfi_rules *rules)
{
	return rules->refused;
}

/*
 * The linker's rule for PLT stubs: breg7 8; breg16 0; lit15; and; litN; ge; lit3; shl;
 * plus. That is sp + 8, and 8 more from byte N of the 16-byte stub on.
 */
static bool plt_rule(const struct cfi_compiler *c, const struct cfi_state *s, struct unwind_rule *r)
{
	static const uint8_t plt[] = {0x77, 8, 0x80, 0, 0x3f, 0x1a, 0, 0x2a, 0x33, 0x24, 0x22};
	const uint8_t *e = s->expr;

	if (c->section->arch != CFI_X86_64 || s->expr_len != sizeof(plt) || memcmp(e, plt, 6) ||
	    memcmp(e + 7, plt + 7, 4) || e[6] < OP_LIT0 || e[6] > OP_LIT31)
		return false;
	r->kind = UNWIND_PLT;
	r->cfa_off = e[6] - OP_LIT0;
	return true;
}

/* breg{sp,fp} a; deref [; plus_uconst b]* */
static bool deref_rule(const struct cfi_compiler *c, const struct cfi_state *s,
		       struct unwind_rule *r)
{
	struct cursor cur = cursor_at(s->expr, s->expr_len);
	uint64_t reg = (uint64_t)cursor_u8(&cur) - OP_BREG0, sum = 0;
	int64_t off = cursor_sleb(&cur);

	if ((reg != c->regs->sp && reg != c->regs->fp) || cursor_u8(&cur) != OP_DEREF)
		return false;
	while (cursor_left(&cur)) {
		if (cursor_u8(&cur) != OP_PLUS_UCONST)
			return false;
		sum += cursor_uleb(&cur);
		if (sum > INT32_MAX)
			return false;
	}
	if (cur.err || off != (int32_t)off)
		return false;
	r->kind = reg == c->regs->sp ? UNWIND_DSP : UNWIND_DBP;
	r->cfa_off = (int32_t)off;
	r->off2 = (int32_t)sum;
	return true;
}

static bool cfa_rule(const struct cfi_compiler *c, const struct cfi_state *s, struct unwind_rule *r)
{
	const struct cfi_arch_regs *regs = c->regs;

	if (s->cfa_is_expr)
		return plt_rule(c, s, r) || deref_rule(c, s, r);
	if (s->cfa_off != (int32_t)s->cfa_off)
		return false;
	r->cfa_off = (int32_t)s->cfa_off;
	if (s->cfa_reg == regs->sp)
		r->kind = UNWIND_SP;
	else if (s->cfa_reg == regs->fp)
		r->kind = UNWIND_BP;
	else if (c->section->arch == CFI_X86_64 && s->cfa_reg == regs->aux)
		r->kind = UNWIND_BX;
	else if (c->section->arch == CFI_X86_64 && s->cfa_reg == regs->scratch)
		r->kind = UNWIND_R10;
	else
		return false;
	return true;
}

static void register_rule(const struct cfi_column_rule *col, uint8_t *ret, int16_t *ret_off)
{
	*ret = UNWIND_LOST;
	if (col->place == PLACE_SAME) {
		*ret = UNWIND_SAME;
	} else if ((col->place == PLACE_CFA || col->place == PLACE_FP) &&
		   col->off == (int16_t)col->off) {
		*ret = col->place == PLACE_CFA ? UNWIND_CFA : UNWIND_BPREL;
		*ret_off = (int16_t)col->off;
	}
}

/* The return address: always at CFA - 8 on x86-64, in x30 or at CFA + n on aarch64. */
static bool address_rule(const struct cfi_compiler *c, const struct cfi_state *s,
			 const struct unwind_rule *r)
{
	const struct cfi_column_rule *ra = &s->columns[COL_RA];

	if (c->section->arch == CFI_AARCH64)
		return r->aux == UNWIND_SAME || r->aux == UNWIND_CFA;
	return ra->place == PLACE_CFA && ra->off == -8;
}

uint32_t cfi_rule_of(struct cfi_compiler *c, const struct cfi_cie *cie, const struct cfi_state *s)
{
	int ra = c->section->arch == CFI_AARCH64 ? COL_AUX : COL_RA;
	struct unwind_rule r = {0};

	if (cie->signal) {
		r.kind = UNWIND_SIGFRAME;
	} else if (s->columns[ra].place == PLACE_UNDEF) {
		r.kind = UNWIND_STOP;
	} else {
		register_rule(&s->columns[COL_FP], &r.fp, &r.fp_off);
		register_rule(&s->columns[COL_AUX], &r.aux, &r.aux_off);
		r.flags = s->ra_signed ? UNWIND_RULE_SIGNED : 0;
		if (s->columns[COL_SP].place != PLACE_SAME || !cfa_rule(c, s, &r) ||
		    !address_rule(c, s, &r))
			return CFI_RULE_UNSUP;
	}
	return cfi_rules_intern(c->rules, &r);
}
