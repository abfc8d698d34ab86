/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file.c - finds the unwind information of an ELF file without trusting it. Everything
 * is copied in through the read callback: a file that shrinks gives an error, not a
 * SIGBUS.
 */
#include "cfi/internal.h"

#include <elf.h>

#define MAX_SECTIONS (1U << 16)
#define MAX_STRINGS  (1U << 20)

struct elf {
	const struct cfi_file *f;
	Elf64_Ehdr eh;
	Elf64_Phdr *ph;
	Elf64_Shdr *sh;
	size_t n_sh;
	char *names; /* NUL-terminated */
	size_t names_len;
	struct cfi_section section; /* arch and text filled */
};

static int read_alloc(const struct cfi_file *f, uint64_t off, size_t len, void *ret)
{
	void *buf = malloc(len + 1);
	int err;

	if (!buf)
		return -ENOMEM;
	err = f->read(f->arg, off, buf, len);
	if (err) {
		free(buf);
		return err;
	}
	((char *)buf)[len] = '\0';
	*(void **)ret = buf;
	return 0;
}

static int read_header(struct elf *e)
{
	int err = e->f->read(e->f->arg, 0, &e->eh, sizeof(e->eh));

	if (err)
		return err == -EBADMSG ? -ENOEXEC : err;
	if (memcmp(e->eh.e_ident, ELFMAG, SELFMAG) || e->eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    e->eh.e_ident[EI_DATA] != ELFDATA2LSB)
		return -ENOEXEC;
	if (e->eh.e_machine == EM_X86_64)
		e->section.arch = CFI_X86_64;
	else if (e->eh.e_machine == EM_AARCH64)
		e->section.arch = CFI_AARCH64;
	else
		return -ENOEXEC;
	return 0;
}

/* Program headers, and from them the addresses that hold code. */
static int read_segments(struct elf *e)
{
	int err;

	if (!e->eh.e_phnum || e->eh.e_phentsize != sizeof(*e->ph))
		return 0;
	err = read_alloc(e->f, e->eh.e_phoff, e->eh.e_phnum * sizeof(*e->ph), &e->ph);
	if (err)
		return err;
	e->section.text = UINT64_MAX;
	for (size_t i = 0; i < e->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &e->ph[i];
		uint64_t end;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) ||
		    __builtin_add_overflow(p->p_vaddr, p->p_filesz, &end))
			continue;
		e->section.text = MIN(e->section.text, p->p_vaddr);
		e->section.text_end = MAX(e->section.text_end, end);
	}
	return e->section.text_end ? 0 : -ENODATA;
}

/* Section headers are optional: with damaged ones the program headers must do. */
static int read_sections(struct elf *e)
{
	const Elf64_Shdr *str;
	Elf64_Shdr first;
	size_t str_index = e->eh.e_shstrndx, len;
	int err;

	if (!e->eh.e_shoff || e->eh.e_shentsize != sizeof(*e->sh))
		return 0;
	err = e->f->read(e->f->arg, e->eh.e_shoff, &first, sizeof(first));
	if (err)
		return 0;
	e->n_sh = e->eh.e_shnum ? e->eh.e_shnum : first.sh_size; /* 65280 sections or more */
	if (str_index == SHN_XINDEX)
		str_index = first.sh_link;
	if (e->n_sh > MAX_SECTIONS || str_index >= e->n_sh ||
	    read_alloc(e->f, e->eh.e_shoff, e->n_sh * sizeof(*e->sh), &e->sh)) {
		e->n_sh = 0;
		return 0;
	}
	str = &e->sh[str_index];
	len = MIN(str->sh_size, (uint64_t)MAX_STRINGS);
	if (str->sh_type == SHT_NOBITS || read_alloc(e->f, str->sh_offset, len, &e->names))
		e->n_sh = 0;
	e->names_len = len;
	return 0;
}

static const Elf64_Shdr *find_section(const struct elf *e, const char *name)
{
	for (size_t i = 0; i < e->n_sh; i++) {
		const Elf64_Shdr *s = &e->sh[i];

		if (s->sh_type != SHT_NOBITS && s->sh_name < e->names_len &&
		    !(s->sh_flags & SHF_COMPRESSED) && !strcmp(e->names + s->sh_name, name))
			return s;
	}
	return NULL;
}

/* Reads len bytes at file offset off as the section and compiles them. */
static int compile_at(struct elf *e, uint64_t off, uint64_t len, struct cfi_rules *rules,
		      struct cfi_table *ret)
{
	_cleanup_free_ uint8_t *data = NULL;
	int err;

	if (len > CFI_MAX_BYTES)
		return -EFBIG;
	err = read_alloc(e->f, off, len, &data);
	if (err)
		return err;
	e->section.data = data;
	e->section.len = len;
	return cfi_compile(&e->section, rules, ret);
}

static int compile_section(struct elf *e, const char *name, struct cfi_rules *rules,
			   struct cfi_table *ret)
{
	const Elf64_Shdr *s = find_section(e, name);

	if (!s)
		return -ENODATA;
	e->section.vaddr = s->sh_addr;
	return compile_at(e, s->sh_offset, s->sh_size, rules, ret);
}

/* File offset of a vaddr and how many bytes of its segment follow; false: not in the file. */
static bool locate(const struct elf *e, uint64_t vaddr, uint64_t *ret_off, uint64_t *ret_len)
{
	for (size_t i = 0; e->ph && i < e->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &e->ph[i];

		if (p->p_type != PT_LOAD || vaddr < p->p_vaddr || vaddr - p->p_vaddr >= p->p_filesz)
			continue;
		*ret_off = p->p_offset + (vaddr - p->p_vaddr);
		*ret_len = p->p_filesz - (vaddr - p->p_vaddr);
		return true;
	}
	return false;
}

/*
 * .eh_frame_hdr: version 1, encodings of the pointer to .eh_frame, of a count and of a
 * table, then that pointer. Linkers write it as 32 bits relative to itself (0x1b).
 */
static int compile_by_segment(struct elf *e, struct cfi_rules *rules, struct cfi_table *ret)
{
	uint8_t hdr[8];
	uint64_t off, len;
	int32_t rel;

	for (size_t i = 0; e->ph && i < e->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &e->ph[i];

		if (p->p_type != PT_GNU_EH_FRAME)
			continue;
		if (e->f->read(e->f->arg, p->p_offset, hdr, sizeof(hdr)) || hdr[0] != 1 ||
		    hdr[1] != 0x1b)
			return -ENODATA;
		memcpy(&rel, hdr + 4, sizeof(rel));
		e->section.vaddr = p->p_vaddr + 4 + (uint64_t)(int64_t)rel;
		e->section.stop_at_zero = true;
		if (!locate(e, e->section.vaddr, &off, &len))
			return -ENODATA;
		return compile_at(e, off, len, rules, ret);
	}
	return -ENODATA;
}

int cfi_compile_file(const struct cfi_file *f, struct cfi_rules *rules, struct cfi_table *ret)
{
	struct elf e = {.f = f};
	int err = read_header(&e);

	if (!err)
		err = read_segments(&e);
	if (!err)
		err = read_sections(&e);
	if (!err)
		err = compile_section(&e, ".eh_frame", rules, ret);
	if (err == -ENODATA && !e.n_sh)
		err = compile_by_segment(&e, rules, ret);
	if (err == -ENODATA) {
		e.section.debug_frame = true;
		e.section.stop_at_zero = false;
		err = compile_section(&e, ".debug_frame", rules, ret);
	}
	free(e.ph);
	free(e.sh);
	free(e.names);
	return err;
}
