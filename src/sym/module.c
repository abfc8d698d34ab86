/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Dwfl holds exactly one module, reported at its link-time address; what is left of a
 * bias (libdwfl aligns the base by p_align, prelinked debug files) is asked for and
 * taken away here, so that the rest of the room sees vaddrs only.
 *
 * libdwfl's own look-up (dwfl_module_addrinfo) walks all symbols for every address; for
 * libLLVM that is a millisecond each, and among aliases it takes the first of the best
 * binding. So the symbols are taken over into a sorted table once.
 *
 * The file is read with ELF_C_READ, not mapped: whoever truncates it while we read
 * would otherwise kill us with SIGBUS.
 */
#include "sym/module.h"

#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "sym/debugfile.h"
#include "sym/lines.h"
#include "sym/names.h"
#include "sym/plt.h"
#include "sym/table.h"

struct sym_module {
	const struct object *object;
	Dwfl_Callbacks callbacks;
	char *debug_path; /* for libdwfl's own search */
	Dwfl *dwfl;
	Dwfl_Module *mod;
	Elf *elf;	/* of the file itself, libdwfl's */
	GElf_Addr bias; /* address inside the Dwfl = vaddr + bias */
	struct sym_debugfile debugfile;
	struct sym_table symbols;
	struct sym_plt *plt;
	struct sym_lines *lines;
	bool symbols_done, plt_done, lines_done;
};

static int find_elf(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
		    char **ret_file_name, Elf **ret_elf)
{
	struct sym_module *m = *userdata;
	const struct object *o = m->object;
	int fd = -1;

	(void)mod;
	(void)name;
	(void)base;
	if (o->image) {
		*ret_elf = elf_memory((char *)o->image, o->image_len);
	} else {
		fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return -1;
		*ret_elf = elf_begin(fd, ELF_C_READ, NULL);
	}
	if (*ret_elf) {
		*ret_file_name = strdup(o->path);
		m->elf = *ret_elf;
	} else if (fd >= 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/*
 * libdwfl comes here for the debug file and, once it has that, with the name it read in
 * .gnu_debugaltlink, for the file of dwz, which has a build id of its own. Its own
 * search is left for debuginfod: it asks if DEBUGINFOD_URLS is set.
 */
static int find_debuginfo(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
			  const char *file_name, const char *link, GElf_Word crc, char **ret_path)
{
	struct sym_module *m = *userdata;
	struct sym_debugfile_want want;
	const char *urls = getenv("DEBUGINFOD_URLS");
	Dwarf_Addr bias;
	int fd;

	if (!m->elf || m->object->image)
		return -1;
	sym_debugfile_want(m->elf, m->object->path, &want);
	if (link && (!want.link || strcmp(link, want.link) != 0)) {
		Dwarf *dwarf = dwfl_module_getdwarf(mod, &bias);
		ssize_t len = dwarf ? dwelf_dwarf_gnu_debugaltlink(dwarf, &link, &want.id) : 0;

		if (len <= 0)
			return -1;
		want.id_len = (size_t)len;
		want.link = link;
		want.beside = file_name ? file_name : m->object->path;
	}
	fd = sym_debugfile_open(&m->debugfile, &want, ret_path);
	if (fd >= 0 || !urls || !*urls)
		return fd;
	return dwfl_standard_find_debuginfo(mod, userdata, name, base, file_name, link, crc,
					    ret_path);
}

static int report(struct sym_module *m)
{
	const struct object *o = m->object;
	uint64_t start = UINT64_MAX, end = 0;
	void **userdata;
	size_t i;

	for (i = 0; i < o->n_segments; i++) {
		const struct segment *s = &o->segments[i];

		start = MIN(start, s->vaddr & ~0xfffULL);
		end = MAX(end, s->vaddr + s->memsz);
	}
	if (start >= end)
		return -ENOEXEC;
	dwfl_report_begin(m->dwfl);
	m->mod = dwfl_report_module(m->dwfl, o->path, start, end);
	if (!m->mod)
		return -ENOMEM;
	dwfl_module_info(m->mod, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
	*userdata = m;
	if (dwfl_report_end(m->dwfl, NULL, NULL))
		return -ENOEXEC;
	return dwfl_module_getelf(m->mod, &m->bias) ? 0 : -ENOEXEC;
}

int sym_module_new(const struct object *object, const struct sym_module_opts *opts,
		   struct sym_module **ret)
{
	struct sym_module *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->object = object;
	m->debug_path = strdup(opts->debug_dir);
	m->callbacks = (Dwfl_Callbacks){
		.find_elf = find_elf,
		.find_debuginfo = find_debuginfo,
		.section_address = dwfl_offline_section_address,
		.debuginfo_path = &m->debug_path,
	};
	m->debugfile = (struct sym_debugfile){
		.dir = opts->debug_dir,
		.pid = opts->pid,
	};
	elf_version(EV_CURRENT);
	m->dwfl = m->debug_path ? dwfl_begin(&m->callbacks) : NULL;
	err = m->dwfl ? report(m) : -ENOMEM;
	if (err) {
		sym_module_free(m);
		return err;
	}
	*ret = m;
	return 0;
}

void sym_module_free(struct sym_module *m)
{
	if (!m)
		return;
	sym_lines_free(m->lines);
	sym_plt_free(m->plt);
	sym_table_deinit(&m->symbols);
	dwfl_end(m->dwfl);
	free(m->debug_path);
	free(m);
}

/*
 * libdwfl hands names out as pointers into a string table without a look at its end,
 * which in a damaged file is no NUL. Here is where names may start: up to the last NUL.
 */
struct name_ranges {
	Elf *elf;
	struct {
		const char *start, *end;
	} v[4];
	size_t n;
};

static void name_ranges_add(struct name_ranges *r, const char *start, size_t len)
{
	while (len && start[len - 1])
		len--;
	if (!len || r->n == ARRAY_SIZE(r->v))
		return;
	r->v[r->n].start = start;
	r->v[r->n++].end = start + len;
}

static void name_ranges_load(struct name_ranges *r, Elf *elf)
{
	Elf_Scn *scn = NULL;
	Elf_Data *data;
	GElf_Shdr shdr;

	*r = (struct name_ranges){.elf = elf};
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &shdr) ||
		    (shdr.sh_type != SHT_SYMTAB && shdr.sh_type != SHT_DYNSYM))
			continue;
		data = elf_getdata(elf_getscn(elf, shdr.sh_link), NULL);
		if (data && data->d_buf)
			name_ranges_add(r, data->d_buf, data->d_size);
	}
}

static bool is_name(const struct name_ranges *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		if (name >= r->v[i].start && name < r->v[i].end)
			return *name;
	}
	return false;
}

struct section { /* the one looked at last: symbols come in runs */
	Elf *elf;
	GElf_Word index;
	bool exec;
	GElf_Addr end;
};

static void section_load(struct section *s, Elf *elf, GElf_Word index)
{
	GElf_Shdr shdr;

	if (s->elf == elf && s->index == index)
		return;
	*s = (struct section){.elf = elf, .index = index};
	if (!gelf_getshdr(elf_getscn(elf, index), &shdr))
		return;
	s->exec = shdr.sh_flags & SHF_EXECINSTR;
	s->end = shdr.sh_addr + shdr.sh_size;
}

struct loading {
	struct section section;
	struct name_ranges names;
};

static int add_symbol(struct sym_module *m, int i, struct loading *l)
{
	struct sym_entry e = {0};
	GElf_Addr address, bias;
	unsigned int type, bind;
	GElf_Word index = 0;
	GElf_Sym sym;
	Elf *elf;

	e.name = dwfl_module_getsym_info(m->mod, i, &sym, &address, &index, &elf, &bias);
	if (!e.name)
		return 0;
	if (l->names.elf != elf)
		name_ranges_load(&l->names, elf);
	if (!is_name(&l->names, e.name))
		return 0;
	type = GELF_ST_TYPE(sym.st_info);
	bind = GELF_ST_BIND(sym.st_info);
	if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return 0;
	/* Labels with $ mark code and data on arm64; their names say nothing. */
	if (index == SHN_UNDEF || (index >= SHN_LORESERVE && sym.st_shndx != SHN_XINDEX) ||
	    *e.name == '$')
		return 0;
	e.start = address - m->bias;
	e.end = e.start + sym.st_size;
	if (type == STT_NOTYPE || !sym.st_size) {
		section_load(&l->section, elf, index);
		if (!l->section.exec)
			return 0;
	}
	if (!sym.st_size) {
		e.open = 1;
		e.end = l->section.end + bias - m->bias;
	}
	e.rank = sym_name_rank(e.name, bind, type);
	return sym_table_add(&m->symbols, &e);
}

static void load_symbols(struct sym_module *m)
{
	int i, n = dwfl_module_getsymtab(m->mod);
	struct loading l = {0};

	for (i = 1; i < n; i++) {
		if (add_symbol(m, i, &l))
			break; /* no memory: fewer names */
	}
	sym_table_sort(&m->symbols);
}

int sym_module_symbol(struct sym_module *m, uint64_t vaddr, struct sym_symbol *ret)
{
	const struct sym_entry *e;

	if (!m->symbols_done) {
		m->symbols_done = true;
		load_symbols(m);
	}
	e = sym_table_find(&m->symbols, vaddr);
	if (e) {
		*ret = (struct sym_symbol){e->name, e->start, false};
		return 0;
	}
	if (!m->plt_done) {
		m->plt_done = true;
		m->plt = sym_plt_new(m->elf);
	}
	return m->plt ? sym_plt_find(m->plt, vaddr, ret) : -ENOENT;
}

struct sym_lines *sym_module_lines(struct sym_module *m)
{
	if (!m->lines_done) {
		m->lines_done = true;
		m->lines = sym_lines_new(m->mod, m->bias);
	}
	return m->lines;
}

unsigned int sym_module_refused(const struct sym_module *m)
{
	return m->debugfile.refused;
}
