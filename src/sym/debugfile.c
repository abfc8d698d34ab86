/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sym/debugfile.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "lib/log.h"
#include "sym/rootfile.h"

#define BUILD_ID_BYTES_MAX 64

static bool same_build(Elf *elf, int fd)
{
	const void *want, *have;
	ssize_t want_len, have_len;
	bool same = false;
	Elf *other;

	want_len = dwelf_elf_gnu_build_id(elf, &want);
	other = elf_begin(fd, ELF_C_READ, NULL);
	if (!other)
		return false;
	have_len = dwelf_elf_gnu_build_id(other, &have);
	if (want_len > 0 && have_len == want_len)
		same = !memcmp(want, have, (size_t)want_len);
	elf_end(other);
	return same;
}

static bool same_crc(int fd, GElf_Word want)
{
	unsigned char buf[16 * 1024];
	uLong crc = crc32(0, NULL, 0);
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		crc = crc32(crc, buf, (uInt)n);
		at += n;
	}
	return !n && crc == want;
}

struct link {
	const char *name; /* NULL: none */
	GElf_Word crc;
};

static int try(struct sym_debugfile *d, const struct link *link, const char *path, char **ret_path)
{
	_cleanup_close_ int fd = sym_rootfile_open(d->pid, path);
	const void *id;
	bool good;

	if (fd < 0)
		return fd;
	good = dwelf_elf_gnu_build_id(d->elf, &id) > 0 ? same_build(d->elf, fd)
						       : link->name && same_crc(fd, link->crc);
	if (!good) {
		log_debug("'%s' is a debug file of another build than '%s'", path, d->path);
		d->refused++;
		return -ENOENT;
	}
	*ret_path = strdup(path);
	return *ret_path ? take_fd(&fd) : -ENOMEM;
}

static int by_build_id(struct sym_debugfile *d, const struct link *link, char **ret_path)
{
	_cleanup_free_ char *path = NULL;
	char hex[2 * BUILD_ID_BYTES_MAX + 1];
	const unsigned char *id;
	const void *bits;
	ssize_t i, len = dwelf_elf_gnu_build_id(d->elf, &bits);

	if (len < 2 || len > BUILD_ID_BYTES_MAX)
		return -ENOENT;
	id = bits;
	for (i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	if (asprintf(&path, "%s/.build-id/%.2s/%s.debug", d->dir, hex, hex + 2) < 0)
		return -ENOMEM;
	return try(d, link, path, ret_path);
}

static int by_link(struct sym_debugfile *d, const struct link *link, char **ret_path)
{
	static const struct {
		bool global;
		const char *sub;
	} places[] = {{false, ""}, {false, ".debug/"}, {true, ""}};
	const char *slash = strrchr(d->path, '/');
	int dir_len = slash ? (int)(slash - d->path) : 0;
	size_t i;

	if (!link->name || !*link->name || strchr(link->name, '/'))
		return -ENOENT;
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *path = NULL;
		int fd;

		if (asprintf(&path, "%s%.*s/%s%s", places[i].global ? d->dir : "", dir_len, d->path,
			     places[i].sub, link->name) < 0)
			return -ENOMEM;
		/* A link to a file of its own name beside it: the file itself. */
		if (!strcmp(path, d->path))
			continue;
		fd = try(d, link, path, ret_path);
		if (fd >= 0)
			return fd;
	}
	return -ENOENT;
}

int sym_debugfile_open(struct sym_debugfile *d, char **ret_path)
{
	struct link link = {0};
	int fd;

	link.name = dwelf_elf_gnu_debuglink(d->elf, &link.crc);
	fd = by_build_id(d, &link, ret_path);
	return fd >= 0 ? fd : by_link(d, &link, ret_path);
}
