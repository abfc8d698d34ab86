/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sym/names.h"

#include <elf.h>
#include <setjmp.h>
#include <string.h>
#include <libiberty/demangle.h>

#define MANGLED_MAX  4096
#define READABLE_MAX (16 * 1024)

static bool is_mangled(const char *name)
{
	return !strncmp(name, "_Z", 2) || !strncmp(name, "_R", 2);
}

uint32_t sym_name_rank(const char *name, unsigned int bind, unsigned int type)
{
	size_t underscores = is_mangled(name) ? 0 : strspn(name, "_");
	size_t len = strlen(name);
	uint32_t rank;

	rank = bind == STB_LOCAL;
	rank = rank << 2 | (uint32_t)MIN(underscores, (size_t)3);
	rank = rank << 1 | (type == STT_NOTYPE);
	rank = rank << 1 | (bind == STB_WEAK);
	return rank << 16 | (uint32_t)MIN(len, (size_t)0xffff);
}

struct text {
	char buf[READABLE_MAX];
	size_t len;
	jmp_buf full;
};

/*
 * libiberty's printers can write without end for a short input (nested back references)
 * and have no way to be stopped, but they hold no memory while they print: leave them.
 */
static void append(const char *s, size_t len, void *arg)
{
	struct text *text = arg;

	if (len > sizeof(text->buf) - text->len)
		longjmp(text->full, 1);
	memcpy(text->buf + text->len, s, len);
	text->len += len;
}

static bool demangle(const char *mangled, int options, struct text *text)
{
	if (setjmp(text->full))
		return false;
	text->len = 0;
	if (rust_demangle_callback(mangled, options, append, text))
		return text->len > 0;
	text->len = 0;
	return cplus_demangle_v3_callback(mangled, options, append, text) && text->len > 0;
}

/*
 * The length limit of ours bounds the recursion; libiberty's own limit would refuse
 * every name above 1,024 characters, and C++ has many.
 */
const char *sym_name_readable(struct sym_strings *t, const char *name, unsigned int flags)
{
	const char *at = strchr(name, '@');
	size_t len = at && at > name ? (size_t)(at - name) : strlen(name);
	int options = DMGL_ANSI | DMGL_NO_RECURSE_LIMIT;
	char plain[MANGLED_MAX];
	struct text text;

	if (!is_mangled(name) || len >= sizeof(plain) || flags & NAME_MANGLED)
		return sym_strings_keep(t, name, len);
	memcpy(plain, name, len);
	plain[len] = '\0';
	if (!(flags & NAME_NO_PARAMS))
		options |= DMGL_PARAMS;
	if (!demangle(plain, options, &text))
		return sym_strings_keep(t, name, len);
	return sym_strings_keep(t, text.buf, text.len);
}
