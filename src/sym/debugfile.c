/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sym/debugfile.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "lib/log.h"
#include "sym/rootfile.h"

#define BUILD_ID_BYTES_MAX 64

struct search {
	struct sym_debugfile *d;
	const struct sym_debugfile_want *want;
	pid_t root; /* whose */
	char *path; /* result, malloc'ed */
};

void sym_debugfile_want(Elf *elf, const char *path, struct sym_debugfile_want *ret)
{
	GElf_Word crc = 0;
	ssize_t len;

	*ret = (struct sym_debugfile_want){.beside = path};
	len = dwelf_elf_gnu_build_id(elf, &ret->id);
	ret->id_len = len > 0 ? (size_t)len : 0;
	ret->link = dwelf_elf_gnu_debuglink(elf, &crc);
	ret->crc = crc;
	/* The checksum proves nothing about a path into other directories. */
	if (ret->link && (!*ret->link || strchr(ret->link, '/')))
		ret->link = NULL;
}

static bool has_build_id(int fd, const struct sym_debugfile_want *want)
{
	bool same = false;
	const void *id;
	ssize_t len;
	Elf *elf;

	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf)
		return false;
	len = dwelf_elf_gnu_build_id(elf, &id);
	if (len > 0 && (size_t)len == want->id_len)
		same = !memcmp(want->id, id, want->id_len);
	elf_end(elf);
	return same;
}

static bool has_crc(int fd, uint32_t want)
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

/* Takes path over; returns the fd, -ENOENT or -ENOMEM. */
static int try(struct search *s, char *path)
{
	_cleanup_free_ char *owned = path;
	_cleanup_close_ int fd = path ? sym_rootfile_open(s->root, path) : -ENOMEM;

	if (!path)
		return -ENOMEM;
	if (fd < 0)
		return -ENOENT;
	if (s->want->id_len ? !has_build_id(fd, s->want) : !has_crc(fd, s->want->crc)) {
		log_debug("'%s' is a debug file of another build than '%s'", path, s->want->beside);
		s->d->refused++;
		return -ENOENT;
	}
	s->path = take_ptr(owned);
	return take_fd(&fd);
}

static char *format(const char *fmt, ...) _printf_(1, 2);
static char *format(const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : text;
}

static int by_build_id(struct search *s)
{
	const unsigned char *id = s->want->id;
	char hex[2 * BUILD_ID_BYTES_MAX + 1];
	size_t i;

	if (s->want->id_len < 2 || s->want->id_len > BUILD_ID_BYTES_MAX)
		return -ENOENT;
	for (i = 0; i < s->want->id_len; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	return try(s, format("%s/.build-id/%.2s/%s.debug", s->d->dir, hex, hex + 2));
}

static int by_link(struct search *s)
{
	const char *beside = s->want->beside, *link = s->want->link;
	const char *slash = strrchr(beside, '/');
	int fd, dir_len = slash ? (int)(slash - beside) : 0;

	if (!link)
		return -ENOENT;
	if (*link == '/')
		return try(s, strdup(link));
	/* A link to its own name means the file itself. */
	if (strcmp(slash ? slash + 1 : beside, link) != 0) {
		fd = try(s, format("%.*s/%s", dir_len, beside, link));
		if (fd >= 0)
			return fd;
	}
	fd = try(s, format("%.*s/.debug/%s", dir_len, beside, link));
	if (fd >= 0)
		return fd;
	return try(s, format("%s%.*s/%s", s->d->dir, dir_len, beside, link));
}

static bool is_our_root(pid_t pid)
{
	struct stat ours, its;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root/", (int)pid);
	return !stat("/", &ours) && !stat(path, &its) && ours.st_dev == its.st_dev &&
	       ours.st_ino == its.st_ino;
}

int sym_debugfile_open(struct sym_debugfile *d, const struct sym_debugfile_want *want,
		       char **ret_path)
{
	struct search s = {.d = d, .want = want};
	const pid_t roots[] = {is_our_root(d->pid) ? 0 : d->pid, getpid()};
	int fd = -ENOENT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(roots) && fd == -ENOENT; i++) {
		s.root = roots[i];
		if (!s.root)
			continue;
		fd = by_build_id(&s);
		if (fd == -ENOENT)
			fd = by_link(&s);
	}
	if (fd >= 0)
		*ret_path = s.path;
	return fd;
}
