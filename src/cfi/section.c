/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * section.c - the records of .eh_frame and .debug_frame: common information entries
 * (CIE) and frame description entries (FDE).
 *
 * Record: u32 length (0xffffffff: a u64 length follows), u32 id, body. In .eh_frame id 0
 * is a CIE, else the distance back from the id field to the FDE's CIE; the id keeps four
 * bytes even with a 64-bit length (LSB; LLVM's DWARFDebugFrame.cpp agrees). In
 * .debug_frame all ones is a CIE, else the CIE's offset in the section, as wide as the
 * length. A zero length ends .eh_frame, but after `ld -r` more may follow.
 */
#include "cfi/internal.h"

enum { /* DW_EH_PE_*: pointer encodings */
       PE_ABSPTR = 0x00,
       PE_ULEB = 0x01,
       PE_U2 = 0x02,
       PE_U4 = 0x03,
       PE_U8 = 0x04,
       PE_SLEB = 0x09,
       PE_S2 = 0x0a,
       PE_S4 = 0x0b,
       PE_S8 = 0x0c,
       PE_FORMAT = 0x0f,
       PE_PCREL = 0x10,
       PE_ALIGNED = 0x50,
       PE_BASE = 0xf0, /* with the indirect bit */
       PE_OMIT = 0xff,
};

struct record {
	struct cursor body; /* behind the id */
	uint64_t off, cie_off;
	size_t end;
	bool is_cie;
};

struct cursor cfi_section_cursor(const struct cfi_compiler *c, size_t from, size_t to)
{
	const uint8_t *data = c->section->data;

	return (struct cursor){.base = data, .pos = data + from, .end = data + to};
}

static uint64_t read_value(struct cursor *cur, uint8_t enc)
{
	switch (enc & PE_FORMAT) {
	case PE_ABSPTR:
	case PE_U8:
	case PE_S8:
		return cursor_uint(cur, 8);
	case PE_ULEB:
		return cursor_uleb(cur);
	case PE_U2:
		return cursor_uint(cur, 2);
	case PE_U4:
		return cursor_uint(cur, 4);
	case PE_SLEB:
		return (uint64_t)cursor_sleb(cur);
	case PE_S2:
		return (uint64_t)(int16_t)cursor_uint(cur, 2);
	case PE_S4:
		return (uint64_t)(int32_t)cursor_uint(cur, 4);
	default:
		return cursor_fail(cur, -EBADMSG);
	}
}

uint64_t cfi_read_address(const struct cfi_compiler *c, struct cursor *cur, uint8_t enc)
{
	uint64_t at = c->section->vaddr + cursor_pos(cur);
	uint64_t v = read_value(cur, enc);

	switch (enc & PE_BASE) {
	case PE_ABSPTR:
		return v;
	case PE_PCREL:
		return v + at;
	default: /* relative to text, data or function, indirect: never seen for code */
		return cursor_fail(cur, -EBADMSG);
	}
}

/* A length is a magnitude in the format of the address, without its sign and base. */
static uint64_t read_length(struct cursor *cur, uint8_t enc)
{
	uint64_t v = read_value(cur, enc);

	if ((enc & PE_FORMAT) == PE_S4)
		v = (uint32_t)v;
	else if ((enc & PE_FORMAT) == PE_S2)
		v = (uint16_t)v;
	return v;
}

static void skip_personality(const struct cfi_compiler *c, struct cursor *cur)
{
	uint8_t enc = cursor_u8(cur);

	if (enc == PE_OMIT)
		return;
	if (enc == PE_ALIGNED) {
		cursor_skip(cur, -(c->section->vaddr + cursor_pos(cur)) & 7);
		enc = PE_ABSPTR;
	}
	read_value(cur, enc);
}

/* The letters behind 'z'; an unknown one ends them, the data's length skips the rest. */
static void read_augmentation(const struct cfi_compiler *c, struct cfi_cie *cie, struct cursor *cur,
			      const char *letters)
{
	uint64_t len = cursor_uleb(cur);
	struct cursor data = *cur;

	cursor_skip(cur, len);
	if (cur->err)
		return;
	data.end = cur->pos;
	cie->augmented = true;
	for (; *letters; letters++) {
		switch (*letters) {
		case 'R':
			cie->encoding = cursor_u8(&data);
			break;
		case 'L':
			cursor_u8(&data);
			break;
		case 'P':
			skip_personality(c, &data);
			break;
		case 'S':
			cie->signal = true;
			break;
		case 'B': /* aarch64: signed with the B key */
			break;
		default:
			return;
		}
	}
	if (data.err)
		cursor_fail(cur, data.err);
}

static int read_cie(struct cfi_compiler *c, struct record *rec, struct cfi_cie *cie)
{
	struct cursor *cur = &rec->body;
	uint8_t version = cursor_u8(cur);
	const char *letters = cursor_str(cur);
	uint64_t ra;

	if (!letters || (version != 1 && version != 3 && version != 4))
		return -EBADMSG;
	if (version == 4 && (cursor_u8(cur) != 8 || cursor_u8(cur) != 0))
		return -EBADMSG; /* address and segment selector size */
	cie->code_align = cursor_uleb(cur);
	cie->data_align = cursor_sleb(cur);
	ra = version == 1 ? cursor_u8(cur) : cursor_uleb(cur);
	if (ra != c->regs->ra)
		return -EBADMSG;
	if (letters[0] == 'z')
		read_augmentation(c, cie, cur, letters + 1);
	else if (letters[0]) /* "eh" of gcc 2: more fields, of unknown size */
		return -EBADMSG;
	if (cur->err)
		return cur->err;
	cie->program = cursor_pos(cur);
	cie->program_end = rec->end;
	return cfi_run_cie(c, cie);
}

static int add_cie(struct cfi_compiler *c, struct record *rec)
{
	struct cfi_cie *cie;
	int err;

	if (c->n_cies >= CFI_MAX_CIES)
		return -EFBIG;
	err = array_reserve(&c->cies, &c->cap_cies, c->n_cies + 1, sizeof(*c->cies));
	if (err)
		return err;
	cie = &c->cies[c->n_cies++];
	*cie = (struct cfi_cie){.off = rec->off};
	cie->ok = !read_cie(c, rec, cie);
	c->table->stats.cies++;
	c->table->stats.bad_cies += !cie->ok;
	return 0;
}

/* CIEs are in order of their offset, as they were met. */
static uint32_t find_cie(const struct cfi_compiler *c, uint64_t off, uint32_t hint)
{
	size_t lo = 0, hi = c->n_cies;

	if (hint < hi && c->cies[hint].off == off)
		return hint;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->cies[mid].off == off)
			return (uint32_t)mid;
		if (c->cies[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return UINT32_MAX;
}

/* Cuts [pc, end) to where code can be; false if nothing is left. */
static bool clip_to_text(const struct cfi_section *s, uint64_t *pc, uint64_t *end)
{
	if (!s->text_end)
		return true;
	*pc = MAX(*pc, s->text);
	*end = MIN(*end, s->text_end);
	return *pc < *end;
}

static int read_fde(struct cfi_compiler *c, struct record *rec, struct cfi_fde *fde)
{
	struct cursor *cur = &rec->body;
	const struct cfi_cie *cie = &c->cies[fde->cie];
	uint64_t len;

	fde->pc = cfi_read_address(c, cur, cie->encoding);
	len = read_length(cur, cie->encoding);
	if (cie->augmented)
		cursor_skip(cur, cursor_uleb(cur));
	if (cur->err || __builtin_add_overflow(fde->pc, len, &fde->end))
		return -EBADMSG;
	fde->program = (uint32_t)cursor_pos(cur);
	fde->program_len = (uint32_t)cursor_left(cur);
	return 0;
}

static int add_fde(struct cfi_compiler *c, struct record *rec)
{
	struct cfi_stats *st = &c->table->stats;
	uint32_t hint = c->n_fdes ? c->fdes[c->n_fdes - 1].cie : 0;
	struct cfi_fde fde = {.cie = find_cie(c, rec->cie_off, hint)};
	uint64_t pc;
	int err;

	st->fdes++;
	if (fde.cie == UINT32_MAX || !c->cies[fde.cie].ok || read_fde(c, rec, &fde)) {
		st->bad_fdes++;
		return 0;
	}
	if (fde.pc == fde.end)
		return 0;
	pc = fde.pc;
	if (!clip_to_text(c->section, &pc, &fde.end) || pc != fde.pc) {
		st->outside++;
		return 0;
	}
	if (c->n_fdes >= CFI_MAX_FDES)
		return -EFBIG;
	err = array_reserve(&c->fdes, &c->cap_fdes, c->n_fdes + 1, sizeof(*c->fdes));
	if (!err)
		c->fdes[c->n_fdes++] = fde;
	return err;
}

/* Splits the next record off *cur. False at the end or where lengths make no sense. */
static bool next_record(const struct cfi_compiler *c, struct cursor *cur, struct record *ret)
{
	const struct cfi_section *s = c->section;
	uint64_t len, id, all_ones;
	size_t id_at, id_size = 4;

	do {
		if (cursor_left(cur) < 4)
			return false;
		ret->off = cursor_pos(cur);
		len = cursor_uint(cur, 4);
	} while (!len && !s->stop_at_zero);
	if (len == UINT32_MAX) {
		len = cursor_uint(cur, 8);
		id_size = s->debug_frame ? 8 : 4;
	}
	if (!len || cur->err || len > cursor_left(cur))
		return false;
	id_at = cursor_pos(cur);
	cursor_skip(cur, len);
	ret->end = id_at + len;
	ret->body = cfi_section_cursor(c, id_at, ret->end);
	id = cursor_uint(&ret->body, id_size);
	all_ones = id_size == 8 ? UINT64_MAX : UINT32_MAX;
	ret->is_cie = s->debug_frame ? id == all_ones : id == 0;
	ret->cie_off = s->debug_frame ? id : id_at - id;
	return true;
}

/*
 * Two passes, CIEs first: an FDE may refer forward, and names a record's start only if
 * that record was seen.
 */
int cfi_section_scan(struct cfi_compiler *c)
{
	int err = 0;

	for (int want_cie = 1; want_cie >= 0 && !err; want_cie--) {
		struct cursor cur = cfi_section_cursor(c, 0, c->section->len);
		struct record rec;

		while (!err && next_record(c, &cur, &rec)) {
			if (rec.body.err || rec.is_cie != (want_cie == 1))
				continue;
			err = want_cie ? add_cie(c, &rec) : add_fde(c, &rec);
		}
	}
	return err;
}
