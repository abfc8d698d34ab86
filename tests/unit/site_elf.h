/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * site_elf.h - test helper: the exported functions of a library on this machine, with
 * their code, for the property tests of probe placement.
 */
#ifndef SITE_ELF_H
#define SITE_ELF_H

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gelf.h>

struct elf_func {
	const char *name;
	uint64_t vaddr, size;
	uint64_t next; /* the next higher function symbol, UINT64_MAX at the end */
	const uint8_t *code;
};

struct elf_lib {
	int fd;
	size_t len;
	uint8_t *map;
	Elf *elf;
	struct elf_func *funcs; /* by address; aliases stay next to each other */
	size_t n;
};

static inline int elf_func_cmp(const void *a, const void *b)
{
	const struct elf_func *x = a, *y = b;

	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

/* File bytes behind a virtual address, NULL when [vaddr, vaddr + len) is not in the file. */
static inline const uint8_t *elf_lib_at(const struct elf_lib *lib, uint64_t vaddr, size_t len)
{
	size_t i, n = 0;
	GElf_Phdr ph;

	if (elf_getphdrnum(lib->elf, &n))
		return NULL;
	for (i = 0; i < n; i++)
		if (gelf_getphdr(lib->elf, (int)i, &ph) && ph.p_type == PT_LOAD &&
		    vaddr >= ph.p_vaddr && vaddr + len <= ph.p_vaddr + ph.p_filesz)
			return lib->map + ph.p_offset + (vaddr - ph.p_vaddr);
	return NULL;
}

/* As much of it as is there; for struct site_code. */
static inline ssize_t elf_lib_read(void *arg, uint64_t vaddr, void *buf, size_t len)
{
	const uint8_t *p = NULL;

	while (len && !(p = elf_lib_at((const struct elf_lib *)arg, vaddr, len)))
		len /= 2;
	if (!p)
		return -EFAULT;
	memcpy(buf, p, len);
	return (ssize_t)len;
}

static inline void elf_lib_symbols(struct elf_lib *lib, Elf_Scn *scn, const GElf_Shdr *sh)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t i, n = sh->sh_entsize ? sh->sh_size / sh->sh_entsize : 0;
	GElf_Sym sym;

	lib->funcs = calloc(n + 1, sizeof(*lib->funcs));
	for (i = 0; lib->funcs && i < n; i++) {
		const uint8_t *code;

		if (!gelf_getsym(data, (int)i, &sym) || GELF_ST_TYPE(sym.st_info) != STT_FUNC ||
		    !sym.st_size || sym.st_shndx == SHN_UNDEF)
			continue;
		code = elf_lib_at(lib, sym.st_value, sym.st_size);
		if (code)
			lib->funcs[lib->n++] = (struct elf_func){
				.name = elf_strptr(lib->elf, sh->sh_link, sym.st_name),
				.vaddr = sym.st_value,
				.size = sym.st_size,
				.code = code,
			};
	}
	qsort(lib->funcs, lib->n, sizeof(*lib->funcs), elf_func_cmp);
	for (i = lib->n; i-- > 0;)
		lib->funcs[i].next = i + 1 == lib->n ? UINT64_MAX
				     : lib->funcs[i + 1].vaddr > lib->funcs[i].vaddr
					     ? lib->funcs[i + 1].vaddr
					     : lib->funcs[i + 1].next;
}

/* False when the library is not on this machine. */
static inline bool elf_lib_open(struct elf_lib *lib, const char *path)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	struct stat st;

	memset(lib, 0, sizeof(*lib));
	elf_version(EV_CURRENT);
	lib->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (lib->fd < 0 || fstat(lib->fd, &st))
		return false;
	lib->len = (size_t)st.st_size;
	lib->map = mmap(NULL, lib->len, PROT_READ, MAP_PRIVATE, lib->fd, 0);
	lib->elf = elf_begin(lib->fd, ELF_C_READ_MMAP, NULL);
	if (lib->map == MAP_FAILED || !lib->elf)
		return false;
	while ((scn = elf_nextscn(lib->elf, scn)))
		if (gelf_getshdr(scn, &sh) && sh.sh_type == SHT_DYNSYM)
			elf_lib_symbols(lib, scn, &sh);
	return lib->n > 0;
}

static inline const struct elf_func *elf_lib_find(const struct elf_lib *lib, const char *name)
{
	size_t i;

	for (i = 0; i < lib->n; i++)
		if (!strcmp(lib->funcs[i].name, name))
			return &lib->funcs[i];
	return NULL;
}

static inline void elf_lib_close(struct elf_lib *lib)
{
	free(lib->funcs);
	if (lib->elf)
		elf_end(lib->elf);
	if (lib->map && lib->map != MAP_FAILED)
		munmap(lib->map, lib->len);
	if (lib->fd >= 0)
		close(lib->fd);
}

#endif
