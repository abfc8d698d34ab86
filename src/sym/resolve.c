/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sym/resolve.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "sym/lines.h"
#include "sym/module.h"
#include "sym/names.h"

struct file { /* by object id */
	struct sym_module *module;
	const char *build_id;
	bool tried;
};

struct sym_resolver {
	struct symbolizer_opts opts;
	unsigned int name_flags;
	struct sym_strings *strings;
	struct sym_cache *cache;
	struct file *files;
	size_t n_files, cap_files;
};

struct sym_resolver *sym_resolver_new(const struct symbolizer_opts *opts)
{
	struct sym_resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->opts = *opts;
	r->name_flags = (opts->no_params ? NAME_NO_PARAMS : 0) | (opts->mangled ? NAME_MANGLED : 0);
	r->strings = sym_strings_new();
	r->cache = sym_cache_new();
	if (!r->strings || !r->cache) {
		sym_resolver_free(r);
		return NULL;
	}
	return r;
}

void sym_resolver_free(struct sym_resolver *r)
{
	size_t i;

	if (!r)
		return;
	for (i = 0; i < r->n_files; i++)
		sym_module_free(r->files[i].module);
	sym_cache_free(r->cache);
	sym_strings_free(r->strings);
	free(r->files);
	free(r);
}

const char *sym_resolver_keep(struct sym_resolver *r, const char *text)
{
	return text ? sym_strings_keep(r->strings, text, strlen(text)) : NULL;
}

static const char *readable(struct sym_resolver *r, const char *name)
{
	return name ? sym_name_readable(r->strings, name, r->name_flags) : NULL;
}

static const char *build_id_hex(struct sym_resolver *r, const struct object *o)
{
	char hex[2 * BUILD_ID_MAX + 1];
	size_t i;

	if (!o->build_id_len)
		return NULL;
	for (i = 0; i < MIN(o->build_id_len, (size_t)BUILD_ID_MAX); i++)
		snprintf(hex + 2 * i, 3, "%02x", o->build_id[i]);
	return sym_resolver_keep(r, hex);
}

static struct file *file_of(struct sym_resolver *r, const struct sym_place *place)
{
	const struct sym_module_opts opts = {r->opts.debug_dir, place->pid};
	const struct object *o = place->object;
	struct file *f;

	while (r->n_files <= o->id) {
		if (array_reserve(&r->files, &r->cap_files, r->n_files + 1, sizeof(*r->files)))
			return NULL;
		r->files[r->n_files++] = (struct file){0};
	}
	f = &r->files[o->id];
	if (!f->tried) {
		f->tried = true;
		f->build_id = build_id_hex(r, o);
		/* What libdwfl refuses stays a file without names. */
		if (sym_module_new(o, &opts, &f->module))
			f->module = NULL;
	}
	return f;
}

/*
 * The return address of a signal handler is the first byte of the code that calls
 * rt_sigreturn (in libc or the vdso); one byte lower is another function. As debuggers
 * do, it is known by its instructions, as stripped files do not name it.
 */
static bool is_signal_trampoline(const struct object *o, uint64_t vaddr)
{
	static const uint8_t x86[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
	static const uint8_t arm64[] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4};
	const uint8_t *want = o->machine == EM_AARCH64 ? arm64 : x86;
	size_t len = o->machine == EM_AARCH64 ? sizeof(arm64) : sizeof(x86);
	uint8_t have[sizeof(x86)];
	uint64_t off;

	if (o->machine != EM_AARCH64 && o->machine != EM_X86_64)
		return false;
	return !object_vaddr_to_offset(o, vaddr, &off) && !object_read(o, off, have, len) &&
	       !memcmp(have, want, len);
}

/* False: the file has no symbol there. */
static bool name_by_symbol(struct sym_resolver *r, struct sym_module *m, uint64_t lookup,
			   struct frame *f)
{
	_cleanup_free_ char *plt = NULL;
	struct sym_symbol symbol;

	if (sym_module_symbol(m, lookup, &symbol))
		return false;
	f->function = readable(r, symbol.name);
	f->offset = f->address - symbol.start;
	if (symbol.plt && f->function && asprintf(&plt, "%s@plt", f->function) >= 0)
		f->function = sym_resolver_keep(r, plt);
	return true;
}

static const char *source_path(struct sym_resolver *r, const struct sym_call *call)
{
	_cleanup_free_ char *path = NULL;

	if (!call->file || !call->dir || asprintf(&path, "%s/%s", call->dir, call->file) < 0)
		return sym_resolver_keep(r, call->file);
	return sym_resolver_keep(r, path);
}

/*
 * frames[0] has address, object and build id. The function that was called for real is
 * named by the symbol table, as it is what a user can set a breakpoint on, and by DWARF
 * where there is no symbol; inlined calls by DWARF.
 */
static uint32_t name_frames(struct sym_resolver *r, struct sym_module *m, uint64_t lookup,
			    struct frame frames[SYM_INLINE_MAX])
{
	struct sym_lines *lines = r->opts.no_lines ? NULL : sym_module_lines(m);
	struct sym_call calls[SYM_INLINE_MAX] = {{0}};
	size_t found = lines ? sym_lines_find(lines, lookup, calls) : 0;
	size_t i, n = MAX(found, (size_t)1);

	for (i = 0; i < n; i++) {
		frames[i] = frames[0];
		frames[i].file = source_path(r, &calls[i]);
		frames[i].line = calls[i].line;
		frames[i].inlined = i + 1 < n;
	}
	for (i = 0; i + 1 < n; i++)
		frames[i].function = readable(r, calls[i].name);
	if (!name_by_symbol(r, m, lookup, &frames[n - 1]) && calls[n - 1].name) {
		frames[n - 1].function = readable(r, calls[n - 1].name);
		frames[n - 1].offset = frames[n - 1].address - calls[n - 1].start;
	}
	return (uint32_t)n;
}

static const struct sym_cached *resolve(struct sym_resolver *r, const struct sym_place *place)
{
	const struct object *o = place->object;
	struct frame frames[SYM_INLINE_MAX] = {{.address = place->vaddr, .object = o->path}};
	struct sym_cached e = {.key = {place->vaddr, o->id, place->is_return}, .n = 1};
	const struct file *f = file_of(r, place);
	uint64_t lookup;

	if (!f)
		return NULL;
	e.signal = is_signal_trampoline(o, place->vaddr);
	lookup = place->vaddr - (place->is_return && !e.signal);
	frames[0].build_id = f->build_id;
	if (f->module)
		e.n = name_frames(r, f->module, lookup, frames);
	if (e.signal && !frames[e.n - 1].function)
		frames[e.n - 1].function = sym_resolver_keep(r, "__restore_rt");
	return sym_cache_add(r->cache, &e, frames);
}

int sym_resolver_get(struct sym_resolver *r, const struct sym_place *place,
		     const struct frame **ret, bool *ret_signal)
{
	const struct sym_key key = {place->vaddr, place->object->id, place->is_return};
	const struct sym_cached *e = sym_cache_find(r->cache, &key);

	if (!e)
		e = resolve(r, place);
	if (!e)
		return -ENOMEM;
	*ret = sym_cache_frames(r->cache, e);
	*ret_signal = e->signal;
	return (int)e->n;
}

void sym_resolver_stats(const struct sym_resolver *r, struct symbolizer_stats *ret)
{
	size_t i;

	ret->resolved = sym_cache_count(r->cache);
	for (i = 0; i < r->n_files; i++) {
		if (!r->files[i].module)
			continue;
		ret->objects++;
		ret->debug_refused += sym_module_refused(r->files[i].module);
	}
}
