/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sym/plt.h"

#include <errno.h>
#include <gelf.h>
#include <string.h>

#include "sym/table.h"

#define SECTIONS_MAX 8
#define STUB_MAX     64

struct stubs {
	uint64_t start, end, stub_bytes;
	const uint8_t *code;
};

struct sym_plt {
	uint16_t machine;
	struct stubs sections[SECTIONS_MAX];
	size_t n_sections;
	struct sym_table slots; /* address of a slot -> name */
};

/* IRELATIVE has no symbol: the stub then has no name. */
static const char *relocation_name(Elf *elf, const GElf_Shdr *rela, size_t index)
{
	Elf_Scn *scn = elf_getscn(elf, rela->sh_link);
	GElf_Shdr symtab;
	GElf_Sym sym;

	if (!index || index > INT32_MAX || !gelf_getshdr(scn, &symtab) ||
	    (symtab.sh_type != SHT_DYNSYM && symtab.sh_type != SHT_SYMTAB) ||
	    !gelf_getsym(elf_getdata(scn, NULL), (int)index, &sym))
		return NULL;
	return elf_strptr(elf, symtab.sh_link, sym.st_name);
}

static int add_slots(struct sym_plt *p, Elf *elf, Elf_Scn *scn, const GElf_Shdr *shdr)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t i, n = data && shdr->sh_entsize ? data->d_size / shdr->sh_entsize : 0;
	GElf_Rela rela;
	int err = 0;

	for (i = 0; !err && i < MIN(n, (size_t)INT32_MAX); i++) {
		struct sym_entry e = {0};

		if (!gelf_getrela(data, (int)i, &rela))
			break;
		e.start = rela.r_offset;
		e.end = e.start + 8;
		e.name = relocation_name(elf, shdr, GELF_R_SYM(rela.r_info));
		if (e.name && *e.name)
			err = sym_table_add(&p->slots, &e);
	}
	return err;
}

static void add_stubs(struct sym_plt *p, Elf_Scn *scn, const GElf_Shdr *shdr)
{
	Elf_Data *data = elf_rawdata(scn, NULL);
	struct stubs s = {.start = shdr->sh_addr, .stub_bytes = shdr->sh_entsize};

	if (s.stub_bytes < 8 || s.stub_bytes > STUB_MAX)
		s.stub_bytes = 16;
	if (!data || !data->d_buf || p->n_sections == SECTIONS_MAX)
		return;
	s.end = s.start + data->d_size;
	s.code = data->d_buf;
	if (s.end > s.start)
		p->sections[p->n_sections++] = s;
}

struct sym_plt *sym_plt_new(Elf *elf)
{
	struct sym_plt *p = calloc(1, sizeof(*p));
	Elf_Scn *scn = NULL;
	GElf_Ehdr ehdr;
	GElf_Shdr shdr;
	size_t names;

	if (!p || !gelf_getehdr(elf, &ehdr) || elf_getshdrstrndx(elf, &names))
		goto fail;
	p->machine = ehdr.e_machine;
	while ((scn = elf_nextscn(elf, scn))) {
		const char *name;

		if (!gelf_getshdr(scn, &shdr))
			continue;
		name = elf_strptr(elf, names, shdr.sh_name);
		if (shdr.sh_type == SHT_RELA && shdr.sh_flags & SHF_ALLOC) {
			if (add_slots(p, elf, scn, &shdr))
				goto fail;
		} else if (name && shdr.sh_type == SHT_PROGBITS && shdr.sh_flags & SHF_EXECINSTR &&
			   (!strcmp(name, ".plt") || !strncmp(name, ".plt.", 5))) {
			add_stubs(p, scn, &shdr);
		}
	}
	if (!p->n_sections || !p->slots.n)
		goto fail;
	sym_table_sort(&p->slots);
	return p;
fail:
	sym_plt_free(p);
	return NULL;
}

void sym_plt_free(struct sym_plt *p)
{
	if (!p)
		return;
	sym_table_deinit(&p->slots);
	free(p);
}

/* x86-64: jmp *disp32(%rip) is ff 25, after endbr64 and bnd if there are any. */
static bool slot_x86(const uint8_t *code, size_t len, uint64_t at, uint64_t *ret)
{
	int32_t disp;
	size_t i;

	for (i = 0; i + 6 <= len; i++) {
		if (code[i] != 0xff || code[i + 1] != 0x25)
			continue;
		memcpy(&disp, code + i + 2, sizeof(disp));
		*ret = at + i + 6 + (uint64_t)(int64_t)disp;
		return true;
	}
	return false;
}

/* arm64: adrp x16, page; ldr x17, [x16, #low], after bti if there is one. */
static bool slot_arm64(const uint8_t *code, size_t len, uint64_t at, uint64_t *ret)
{
	uint32_t adrp, ldr;
	uint64_t pages;
	size_t i;

	for (i = 0; i + 8 <= len; i += 4) {
		memcpy(&adrp, code + i, 4);
		memcpy(&ldr, code + i + 4, 4);
		if ((adrp & 0x9f00001f) != 0x90000010 || (ldr & 0xffc003ff) != 0xf9400211)
			continue;
		pages = (adrp >> 5 & 0x7ffff) << 2 | (adrp >> 29 & 3);
		if (pages & 1 << 20)
			pages |= ~0x1fffffULL;
		*ret = ((at + i) & ~0xfffULL) + (pages << 12) + (ldr >> 10 & 0xfff) * 8;
		return true;
	}
	return false;
}

int sym_plt_find(const struct sym_plt *p, uint64_t vaddr, struct sym_symbol *ret)
{
	const struct sym_entry *e;
	const struct stubs *s;
	uint64_t start, slot;
	size_t i, len;
	bool known;

	for (i = 0; i < p->n_sections; i++) {
		if (vaddr >= p->sections[i].start && vaddr < p->sections[i].end)
			break;
	}
	if (i == p->n_sections)
		return -ENOENT;
	s = &p->sections[i];
	start = vaddr - (vaddr - s->start) % s->stub_bytes;
	len = MIN(s->stub_bytes, s->end - start);
	known = p->machine == EM_AARCH64
			? slot_arm64(s->code + (start - s->start), len, start, &slot)
		: p->machine == EM_X86_64
			? slot_x86(s->code + (start - s->start), len, start, &slot)
			: false;
	e = known ? sym_table_find(&p->slots, slot) : NULL;
	if (!e || e->start != slot)
		return -ENOENT;
	*ret = (struct sym_symbol){e->name, start, true};
	return 0;
}
