/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cfi/internal.h"

static const struct cfi_arch_regs arch_regs[] = {
	[CFI_X86_64] = {.sp = 7, .fp = 6, .aux = 3, .ra = 16, .scratch = 10},
	[CFI_AARCH64] = {.sp = 31, .fp = 29, .aux = 30, .ra = 30, .scratch = UINT64_MAX - 1},
};

void cfi_push(struct cfi_compiler *c, uint64_t pc, uint32_t rule)
{
	struct cfi_table *t = c->table;
	uint32_t rel = (uint32_t)(pc - t->base);

	if (c->err)
		return;
	if (t->n_rows && t->rows[t->n_rows - 1].pc == rel) /* the later one holds */
		t->n_rows--;
	if (t->n_rows && t->rows[t->n_rows - 1].rule == rule)
		return;
	if (t->n_rows >= CFI_MAX_ROWS)
		c->err = -EFBIG;
	else
		c->err = array_reserve(&t->rows, &t->cap, t->n_rows + 1, sizeof(*t->rows));
	if (c->err)
		return;
	t->rows[t->n_rows++] = (struct unwind_row){.rule = rule, .pc = rel};
	t->stats.unsupported += rule == CFI_RULE_UNSUP;
}

static int compare_fdes(const void *a, const void *b)
{
	const struct cfi_fde *x = a, *y = b;

	if (x->pc != y->pc)
		return x->pc < y->pc ? -1 : 1;
	if (x->end != y->end)
		return x->end > y->end ? -1 : 1;
	return x->program < y->program ? -1 : x->program > y->program;
}

/*
 * In order, one per address, each ending where the next begins: what libgcc's binary
 * search over .eh_frame_hdr would find. Without it rows would not be sorted.
 */
static void sort_and_clip(struct cfi_compiler *c)
{
	bool sorted = true;
	size_t n = 0;

	for (size_t i = 1; i < c->n_fdes && sorted; i++)
		sorted = compare_fdes(&c->fdes[i - 1], &c->fdes[i]) <= 0;
	if (!sorted)
		qsort(c->fdes, c->n_fdes, sizeof(*c->fdes), compare_fdes);
	for (size_t i = 0; i < c->n_fdes; i++) {
		struct cfi_fde *last = n ? &c->fdes[n - 1] : NULL;

		if (last && last->pc == c->fdes[i].pc) {
			c->table->stats.clipped += last->end != c->fdes[i].end;
			continue;
		}
		if (last && last->end > c->fdes[i].pc) {
			last->end = c->fdes[i].pc;
			c->table->stats.clipped++;
		}
		c->fdes[n++] = c->fdes[i];
	}
	c->n_fdes = n;
}

/* Offsets are 32 bits: what lies further from the first function is given up. */
static void drop_far(struct cfi_compiler *c)
{
	uint64_t limit;

	if (__builtin_add_overflow(c->table->base, (uint64_t)UINT32_MAX, &limit))
		limit = UINT64_MAX;
	while (c->n_fdes && c->fdes[c->n_fdes - 1].end > limit) {
		c->n_fdes--;
		c->table->stats.outside++;
	}
}

static int compile(struct cfi_compiler *c)
{
	int err = cfi_section_scan(c);

	if (err)
		return err;
	if (!c->n_fdes)
		return -ENODATA;
	sort_and_clip(c);
	c->table->base = c->fdes[0].pc;
	drop_far(c);
	for (size_t i = 0; i < c->n_fdes && !c->err; i++) {
		if (cfi_run_fde(c, &c->fdes[i]))
			c->table->stats.bad_ops++;
		cfi_push(c, c->fdes[i].end, CFI_RULE_GAP);
	}
	if (!c->err && !c->table->n_rows)
		return -ENODATA;
	return c->err;
}

int cfi_compile(const struct cfi_section *s, struct cfi_rules *rules, struct cfi_table *ret)
{
	uint64_t start = clock_mono_ns();
	struct cfi_table table = {.stats.bytes = s->len};
	struct cfi_compiler c = {
		.section = s,
		.regs = &arch_regs[s->arch],
		.rules = rules,
		.table = &table,
	};
	int err;

	if (s->len > CFI_MAX_BYTES)
		return -EFBIG;
	err = compile(&c);
	free(c.cies);
	free(c.fdes);
	if (err) {
		cfi_table_deinit(&table);
		return err;
	}
	table.stats.rows = table.n_rows;
	table.stats.ns = clock_mono_ns() - start;
	*ret = table;
	return 0;
}

void cfi_table_deinit(struct cfi_table *t)
{
	free(t->rows);
	t->rows = NULL;
	t->n_rows = t->cap = 0;
}

size_t cfi_table_blocks(const struct cfi_table *t)
{
	return t->n_rows ? ((size_t)t->rows[t->n_rows - 1].pc >> UNWIND_BLOCK_SHIFT) + 1 : 0;
}

void cfi_table_index(const struct cfi_table *t, uint32_t first_row, struct unwind_block *blocks)
{
	size_t n = cfi_table_blocks(t), first = 0, last;

	for (size_t b = 0; b < n; b++) {
		uint64_t start = (uint64_t)b << UNWIND_BLOCK_SHIFT;
		uint64_t end = start + (1 << UNWIND_BLOCK_SHIFT);

		while (first + 1 < t->n_rows && t->rows[first + 1].pc <= start)
			first++;
		for (last = first; last + 1 < t->n_rows && t->rows[last + 1].pc < end;)
			last++;
		blocks[b].first = first_row + (uint32_t)first;
		blocks[b].n = (uint32_t)(last - first + 1);
	}
}

uint32_t cfi_table_rule(const struct cfi_table *t, uint64_t vaddr)
{
	uint64_t off = vaddr - t->base;
	size_t lo = 0, hi = t->n_rows;

	if (vaddr < t->base || !hi || off > t->rows[hi - 1].pc)
		return CFI_RULE_GAP;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->rows[mid].pc <= off)
			lo = mid;
		else
			hi = mid;
	}
	return t->rows[lo].rule;
}
