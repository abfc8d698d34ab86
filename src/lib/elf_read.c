/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/elf_read.h"

#include <errno.h>
#include <gelf.h>
#include <limits.h>
#include <string.h>

#include "lib/cursor.h"

/* Far above what linkers write, low enough that a sparse file cannot eat the machine. */
enum {
	SEGMENTS_MAX = 1024,
	NOTE_BYTES_MAX = 1 << 20,
	DYNAMIC_MAX = 1 << 16,
	TABLE_BYTES_MAX = 1 << 29,
};

static void elf_endp(Elf **elf)
{
	elf_end(*elf);
}

static Elf *elf_open(const struct object *o)
{
	elf_version(EV_CURRENT);
	if (o->image)
		return elf_memory((char *)o->image, o->image_len);
	return elf_begin(o->fd, ELF_C_READ, NULL);
}

static int load_header(struct object *o, Elf *elf)
{
	GElf_Ehdr ehdr;

	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &ehdr))
		return -ENOEXEC;
	if (ehdr.e_ident[EI_DATA] != ELFDATA2LSB)
		return -ENOEXEC;
	if (ehdr.e_type != ET_EXEC && ehdr.e_type != ET_DYN)
		return -ENOEXEC;
	o->machine = ehdr.e_machine;
	o->type = ehdr.e_type;
	o->program = ehdr.e_type == ET_EXEC;
	o->is_64bit = ehdr.e_ident[EI_CLASS] == ELFCLASS64;
	return 0;
}

static bool fits(uint64_t off, uint64_t len, uint64_t limit)
{
	return off <= limit && len <= limit - off;
}

/* A note: name size, description size, type, name, description, each padded to align. */
static bool note_build_id(struct object *o, const void *data, size_t len, size_t align)
{
	struct cursor c = cursor_at(data, len);

	align = align == 8 ? 8 : 4;
	while (cursor_left(&c) >= 12) {
		uint64_t namesz = cursor_uint(&c, 4), descsz = cursor_uint(&c, 4);
		uint64_t type = cursor_uint(&c, 4);
		const uint8_t *name = c.pos, *desc;

		cursor_skip(&c, namesz);
		cursor_skip(&c, MIN(-cursor_pos(&c) % align, cursor_left(&c)));
		desc = c.pos;
		cursor_skip(&c, descsz);
		if (c.err)
			return false;
		if (type == NT_GNU_BUILD_ID && namesz == 4 && !memcmp(name, "GNU", 4) && descsz &&
		    descsz <= BUILD_ID_MAX) {
			memcpy(o->build_id, desc, descsz);
			o->build_id_len = descsz;
			return true;
		}
		cursor_skip(&c, MIN(-cursor_pos(&c) % align, cursor_left(&c)));
	}
	return false;
}

static bool load_note(struct object *o, uint64_t off, uint64_t len, uint64_t align)
{
	_cleanup_free_ void *data = NULL;

	if (o->build_id_len || !len || len > NOTE_BYTES_MAX)
		return false;
	data = malloc(len);
	return data && !object_read(o, off, data, len) && note_build_id(o, data, len, align);
}

static int load_segment(struct object *o, const GElf_Phdr *p, uint64_t file_size)
{
	uint64_t end;

	if (!fits(p->p_offset, p->p_filesz, file_size) || p->p_memsz < p->p_filesz ||
	    __builtin_add_overflow(p->p_vaddr, p->p_memsz, &end))
		return -ENOEXEC;
	o->segments[o->n_segments++] = (struct segment){
		.vaddr = p->p_vaddr,
		.offset = p->p_offset,
		.filesz = p->p_filesz,
		.memsz = p->p_memsz,
		.flags = p->p_flags,
	};
	return 0;
}

static int load_interp(struct object *o, const GElf_Phdr *p)
{
	_cleanup_free_ char *interp = NULL;

	if (o->interp || !p->p_filesz || p->p_filesz > PATH_MAX)
		return 0;
	interp = malloc(p->p_filesz + 1);
	if (!interp)
		return -ENOMEM;
	if (object_read(o, p->p_offset, interp, p->p_filesz))
		return -ENOEXEC;
	interp[p->p_filesz] = '\0';
	o->interp = take_ptr(interp);
	return 0;
}

/*
 * Program or library? The linker flags a PIE, which a static one has nothing else to show
 * for. Older linkers do not: there it is what has an interpreter and no name for others to
 * link to (libc.so.6 has both).
 */
static int load_dynamic(struct object *o, const GElf_Phdr *p)
{
	uint64_t n = p->p_filesz / sizeof(Elf64_Dyn);
	_cleanup_free_ Elf64_Dyn *dyn = NULL;
	bool pie = false, soname = false;

	if (!o->is_64bit || !n || n > DYNAMIC_MAX)
		return 0;
	dyn = malloc(n * sizeof(*dyn));
	if (!dyn)
		return -ENOMEM;
	if (object_read(o, p->p_offset, dyn, n * sizeof(*dyn)))
		return 0; /* separate debug files have none */
	for (uint64_t i = 0; i < n && dyn[i].d_tag != DT_NULL; i++) {
		pie |= dyn[i].d_tag == DT_FLAGS_1 && (dyn[i].d_un.d_val & DF_1_PIE);
		soname |= dyn[i].d_tag == DT_SONAME;
	}
	/* The interpreter's header stands before this one, the specification says. */
	o->program |= pie || (o->interp && !soname);
	return 0;
}

static int load_segments(struct object *o, Elf *elf, uint64_t file_size)
{
	GElf_Phdr p;
	size_t n;
	int err = 0;

	if (elf_getphdrnum(elf, &n) || !n || n > SEGMENTS_MAX)
		return -ENOEXEC;
	o->segments = calloc(n, sizeof(*o->segments));
	if (!o->segments)
		return -ENOMEM;
	for (size_t i = 0; i < n && !err; i++) {
		if (!gelf_getphdr(elf, (int)i, &p))
			return -ENOEXEC;
		if (p.p_type == PT_LOAD)
			err = load_segment(o, &p, file_size);
		else if (p.p_type == PT_INTERP)
			err = load_interp(o, &p);
		else if (p.p_type == PT_DYNAMIC)
			err = load_dynamic(o, &p);
		else if (p.p_type == PT_NOTE)
			load_note(o, p.p_offset, p.p_filesz, p.p_align);
	}
	return err ?: (o->n_segments ? 0 : -ENOEXEC);
}

/* Some linkers leave the note out of the segments; then only the section header tells. */
static void load_section_notes(struct object *o, Elf *elf)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;

	while (!o->build_id_len && (scn = elf_nextscn(elf, scn)))
		if (gelf_getshdr(scn, &shdr) && shdr.sh_type == SHT_NOTE)
			load_note(o, shdr.sh_offset, shdr.sh_size, shdr.sh_addralign);
}

int elf_load(struct object *o, uint64_t file_size)
{
	_cleanup_(elf_endp) Elf *elf = elf_open(o);
	int err;

	if (!elf)
		return -ENOEXEC;
	err = load_header(o, elf);
	if (!err)
		err = load_segments(o, elf, file_size);
	if (!err)
		load_section_notes(o, elf);
	return err;
}

struct table {
	Elf_Data *syms;
	const char *names;
	size_t names_len; /* up to and with the last NUL: every offset below it ends */
	size_t n;
	bool dynamic;
};

static Elf_Data *table_data(Elf_Scn *scn, GElf_Shdr *shdr)
{
	Elf_Data *data;

	if (!scn || !gelf_getshdr(scn, shdr) || shdr->sh_size > TABLE_BYTES_MAX)
		return NULL;
	data = elf_getdata(scn, NULL);
	return data && data->d_buf ? data : NULL;
}

static int table_open(Elf *elf, Elf_Scn *scn, struct table *ret)
{
	GElf_Shdr shdr, names_shdr;
	Elf_Data *syms = table_data(scn, &shdr), *names;
	const char *nul;

	if (!syms || !shdr.sh_size)
		return -EBADMSG;
	names = table_data(elf_getscn(elf, shdr.sh_link), &names_shdr);
	if (!names || names_shdr.sh_type != SHT_STRTAB)
		return -EBADMSG;
	nul = memrchr(names->d_buf, '\0', names->d_size);
	*ret = (struct table){
		.syms = syms,
		.names = names->d_buf,
		.names_len = nul ? (size_t)(nul - (char *)names->d_buf) + 1 : 0,
		.n = syms->d_size / gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT),
		.dynamic = shdr.sh_type == SHT_DYNSYM,
	};
	return 0;
}

static bool is_function(const GElf_Sym *s)
{
	unsigned int type = GELF_ST_TYPE(s->st_info);

	return (type == STT_FUNC || type == STT_GNU_IFUNC) && s->st_shndx != SHN_UNDEF &&
	       s->st_shndx != SHN_ABS;
}

static int table_each(const struct object *o, const struct table *t,
		      int (*fn)(const struct object_symbol *sym, void *arg), void *arg)
{
	struct object_symbol sym;
	GElf_Sym s;
	int stop;

	for (size_t i = 0; i < t->n; i++) {
		if (!gelf_getsym(t->syms, (int)i, &s) || !is_function(&s))
			continue;
		if (s.st_name >= t->names_len || object_vaddr_to_offset(o, s.st_value, &sym.offset))
			continue;
		sym.name = t->names + s.st_name;
		sym.vaddr = s.st_value;
		sym.size = s.st_size;
		sym.dynamic = t->dynamic;
		sym.ifunc = GELF_ST_TYPE(s.st_info) == STT_GNU_IFUNC;
		stop = fn(&sym, arg);
		if (stop)
			return stop;
	}
	return 0;
}

int object_each_function(const struct object *o,
			 int (*fn)(const struct object_symbol *sym, void *arg), void *arg)
{
	_cleanup_(elf_endp) Elf *elf = elf_open(o);
	Elf_Scn *scn = NULL;
	bool bad = false;
	struct table t;
	GElf_Shdr shdr;
	int stop;

	if (!elf)
		return -EBADMSG;
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &shdr))
			return -EBADMSG;
		if (shdr.sh_type != SHT_DYNSYM && shdr.sh_type != SHT_SYMTAB)
			continue;
		if (table_open(elf, scn, &t)) {
			bad = true;
			continue;
		}
		stop = table_each(o, &t, fn, arg);
		if (stop)
			return stop;
	}
	return bad ? -EBADMSG : 0;
}

static int slots_of(Elf *elf, Elf_Scn *scn, int (*fn)(const struct object_slot *slot, void *arg),
		    void *arg)
{
	struct object_slot slot;
	GElf_Shdr shdr;
	Elf_Data *relas = table_data(scn, &shdr);
	struct table t;
	GElf_Rela r;
	GElf_Sym s;
	int stop = 0;

	if (!relas || table_open(elf, elf_getscn(elf, shdr.sh_link), &t))
		return 0;
	for (int i = 0; !stop && gelf_getrela(relas, i, &r); i++) {
		if (!GELF_R_SYM(r.r_info) || !gelf_getsym(t.syms, (int)GELF_R_SYM(r.r_info), &s) ||
		    s.st_name >= t.names_len)
			continue;
		slot = (struct object_slot){r.r_offset, t.names + s.st_name,
					    s.st_shndx == SHN_UNDEF ? 0 : s.st_value};
		stop = fn(&slot, arg);
	}
	return stop;
}

int object_each_slot(const struct object *o, int (*fn)(const struct object_slot *slot, void *arg),
		     void *arg)
{
	_cleanup_(elf_endp) Elf *elf = elf_open(o);
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;
	int stop = 0;

	if (!elf)
		return -EBADMSG;
	while (!stop && (scn = elf_nextscn(elf, scn)))
		if (gelf_getshdr(scn, &shdr) && shdr.sh_type == SHT_RELA)
			stop = slots_of(elf, scn, fn, arg);
	return stop;
}
