/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An object may have 100,000 function symbols and 100 objects may be mapped, so a symbol
 * costs one hash of its name and one look into a table of the wanted names.
 */
#include "trace/allocators.h"

#include <elf.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "trace/alloc_rows.h"

enum { NAME_MAX_LEN = 48, SLOTS = 2048 };

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#else
#error "which e_machine has the code of this machine?"
#endif

/* Names that tell what an object is; beyond the rows in the numbering of the slots. */
static const char *const libc_marks[] = {
	"__libc_start_main", /* glibc, musl, dietlibc */
	"__libc_init",	     /* bionic */
	"__uClibc_main",
	"__tls_get_addr", /* glibc's ld.so; older ones have a malloc for themselves */
};

struct slot {
	uint64_t hash;
	uint16_t row; /* + 1; 0: empty */
};

struct allocators {
	const struct alloc_custom *custom;
	size_t n_custom;
	bool matched[ALLOC_CUSTOM_MAX];
	struct slot slots[SLOTS];
};

struct search {
	struct allocators *a;
	const struct object *obj;
	struct alloc_found *found;
	size_t functions;	       /* symbols seen */
	bool wanted[ALLOC_CUSTOM_MAX]; /* custom functions of this object */
	bool any_wanted;
	bool has_malloc, has_native;
};

static const char *row_name(size_t row)
{
	return row < alloc_rows_count ? alloc_rows[row].name : libc_marks[row - alloc_rows_count];
}

/*
 * FNV-1a of the name up to its end or the @ of a version (.symtab has "free@@GLIBC_2.2.5").
 * Sets *ret_len to NAME_MAX_LEN for whatever is longer than any wanted name.
 */
static uint64_t name_hash(const char *name, size_t *ret_len)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	size_t len = 0;

	for (; len < NAME_MAX_LEN && name[len] && name[len] != '@'; len++)
		hash = (hash ^ (uint8_t)name[len]) * 0x100000001b3ULL;
	*ret_len = len;
	return hash;
}

static void slot_add(struct allocators *a, size_t row)
{
	size_t len;
	uint64_t hash = name_hash(row_name(row), &len);
	size_t i = hash;

	while (a->slots[i % SLOTS].row)
		i++;
	a->slots[i % SLOTS] = (struct slot){.hash = hash, .row = (uint16_t)(row + 1)};
}

/* The row of that name; -1: none. */
static int slot_find(const struct allocators *a, const char *name)
{
	size_t len;
	uint64_t hash = name_hash(name, &len);

	if (len == NAME_MAX_LEN)
		return -1;
	for (size_t i = hash;; i++) {
		const struct slot *s = &a->slots[i % SLOTS];

		if (!s->row)
			return -1;
		if (s->hash == hash && strlen(row_name(s->row - 1U)) == len &&
		    !memcmp(row_name(s->row - 1U), name, len))
			return s->row - 1;
	}
}

struct allocators *allocators_new(const struct alloc_custom *custom, size_t n_custom)
{
	struct allocators *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->custom = custom;
	a->n_custom = MIN(n_custom, (size_t)ALLOC_CUSTOM_MAX);
	for (size_t i = 0; i < alloc_rows_count + ARRAY_SIZE(libc_marks); i++)
		slot_add(a, i);
	return a;
}

void allocators_free(struct allocators *a)
{
	free(a);
}

static bool is_executable(const struct object *obj, uint64_t offset)
{
	for (size_t i = 0; i < obj->n_segments; i++)
		if ((obj->segments[i].flags & PF_X) && offset >= obj->segments[i].offset &&
		    offset - obj->segments[i].offset < obj->segments[i].filesz)
			return true;
	return false;
}

static int site_add(struct search *s, const struct object_symbol *sym, struct alloc_spec spec)
{
	struct alloc_found *f = s->found;
	int err;

	if (!is_executable(s->obj, sym->offset))
		return 0;
	err = array_reserve(&f->sites, &f->cap, f->n + 1, sizeof(*f->sites));
	if (err)
		return err;
	f->sites[f->n++] = (struct alloc_site){
		.vaddr = sym->vaddr,
		.offset = sym->offset,
		.size = sym->size,
		.spec = spec,
		.name = allocators_name(s->a, spec.function),
	};
	return 0;
}

static int custom_add(struct search *s, const struct object_symbol *sym, size_t i)
{
	struct alloc_spec spec = s->a->custom[i].spec;

	spec.function = (uint16_t)(alloc_rows_count + i);
	s->a->matched[i] = true;
	return site_add(s, sym, spec);
}

static int custom_symbol(struct search *s, const struct object_symbol *sym)
{
	size_t len = strcspn(sym->name, "@");

	for (size_t i = 0; i < s->a->n_custom; i++) {
		const struct alloc_custom *c = &s->a->custom[i];
		int err;

		if (!s->wanted[i] || c->by_vaddr || strncmp(c->function, sym->name, len) ||
		    c->function[len])
			continue;
		err = custom_add(s, sym, i);
		if (err)
			return err;
	}
	return 0;
}

static int on_symbol(const struct object_symbol *sym, void *arg)
{
	struct search *s = arg;
	int row = slot_find(s->a, sym->name), err;
	struct alloc_spec spec;

	s->functions++;
	err = s->any_wanted && !sym->ifunc ? custom_symbol(s, sym) : 0;
	if (err || row < 0)
		return err;
	if ((size_t)row >= alloc_rows_count) {
		s->found->is_libc = true;
		return 0;
	}
	if (sym->ifunc)
		return 0;
	s->has_malloc |= !strcmp(alloc_rows[row].name, "malloc");
	s->has_native |= alloc_rows[row].class == CLASS_NATIVE;
	spec = alloc_rows[row].spec;
	spec.function = (uint16_t)row;
	return site_add(s, sym, spec);
}

static int custom_addresses(struct search *s)
{
	struct object_symbol sym = {};
	int err;

	for (size_t i = 0; i < s->a->n_custom; i++) {
		const struct alloc_custom *c = &s->a->custom[i];

		if (!s->wanted[i] || !c->by_vaddr ||
		    object_vaddr_to_offset(s->obj, c->vaddr, &sym.offset))
			continue;
		sym.vaddr = c->vaddr;
		err = custom_add(s, &sym, i);
		if (err)
			return err;
	}
	return 0;
}

/* Own functions first, so that they replace built-in ones; then the order of the table. */
static uint32_t site_rank(const struct alloc_site *s)
{
	return s->spec.kind == ALLOC_KIND_CUSTOM ? 0 : s->spec.function + 1U;
}

static int site_compare(const void *a, const void *b)
{
	const struct alloc_site *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (site_rank(x) > site_rank(y)) - (site_rank(x) < site_rank(y));
}

static bool is_cxx(const struct alloc_site *s)
{
	return s->spec.function < alloc_rows_count &&
	       alloc_rows[s->spec.function].class == CLASS_CXX;
}

/*
 * Sorts, keeps one site per offset and drops operator new and delete where they call malloc.
 * What is known of a C library's functions is not true of those that replace them, nor when
 * functions inside of it are probed as somebody's own.
 */
static void sites_settle(struct search *s)
{
	bool bypass = s->has_native || (s->has_malloc && !s->found->is_libc);
	struct alloc_found *f = s->found;
	size_t n = 0;

	if (f->n)
		qsort(f->sites, f->n, sizeof(*f->sites), site_compare);
	for (size_t i = 0; i < f->n; i++) {
		struct alloc_site *last = n ? &f->sites[n - 1] : NULL;

		if (!bypass && is_cxx(&f->sites[i]))
			continue;
		if (last && last->offset == f->sites[i].offset)
			last->spec.flags |=
				f->sites[i].spec.flags & (ALLOC_FLAG_THROWS | ALLOC_FLAG_LEAF);
		else
			f->sites[n++] = f->sites[i];
	}
	f->n = n;
	for (size_t i = 0; i < n && (!s->found->is_libc || s->any_wanted); i++)
		f->sites[i].spec.flags &= (uint8_t)~ALLOC_FLAG_LEAF;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/*
 * Only what is an allocator and nothing else may have its mmaps hidden: a library that
 * contains one (under a prefix) maps memory of its own, too.
 */
static bool is_allocator_library(const struct search *s)
{
	static const char *const names[] = {"jemalloc", "tcmalloc", "mimalloc"};

	if (s->found->is_libc || s->obj->program)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (s->has_native && strstr(base_name(s->obj->path), names[i]))
			return true;
	return s->has_malloc;
}

static enum alloc_reason reason_of(const struct search *s)
{
	if (s->found->n)
		return ALLOC_FOUND;
	if (s->found->damaged)
		return ALLOC_UNREADABLE;
	if (s->obj->program && !s->obj->interp && !s->functions)
		return ALLOC_STRIPPED_STATIC;
	return ALLOC_NONE;
}

static void custom_choose(struct search *s)
{
	for (size_t i = 0; i < s->a->n_custom; i++) {
		const char *want = s->a->custom[i].object;

		if (!*want)
			s->wanted[i] = s->obj->program;
		else if (*want == '/')
			s->wanted[i] = !strcmp(want, s->obj->path);
		else
			s->wanted[i] = !fnmatch(want, base_name(s->obj->path), 0);
		s->any_wanted |= s->wanted[i];
	}
}

int allocators_find(struct allocators *a, const struct object *obj, struct alloc_found *ret)
{
	struct alloc_found found = {};
	struct search s = {.a = a, .obj = obj, .found = &found};
	int err;

	if (!obj->is_64bit || obj->machine != OUR_MACHINE || obj->image) {
		found.reason = !obj->is_64bit ? ALLOC_32BIT
			       : obj->image   ? ALLOC_NONE
					      : ALLOC_FOREIGN;
		*ret = found;
		return 0;
	}
	custom_choose(&s);
	err = object_each_function(obj, on_symbol, &s);
	found.damaged = err == -EBADMSG;
	if (!err || found.damaged)
		err = custom_addresses(&s);
	if (err) {
		alloc_found_deinit(&found);
		return err;
	}
	sites_settle(&s);
	found.is_allocator = is_allocator_library(&s);
	found.reason = reason_of(&s);
	*ret = found;
	return 0;
}

void alloc_found_deinit(struct alloc_found *f)
{
	if (!f)
		return;
	free(f->sites);
	*f = (struct alloc_found){};
}

bool allocators_matched(const struct allocators *a, size_t i)
{
	return i < a->n_custom && a->matched[i];
}

const char *allocators_name(const struct allocators *a, uint16_t function)
{
	if (function < alloc_rows_count)
		return alloc_rows[function].name;
	if (function - alloc_rows_count < a->n_custom)
		return a->custom[function - alloc_rows_count].function;
	return "?";
}

const char *alloc_reason_text(enum alloc_reason reason)
{
	static const char *const texts[] = {
		[ALLOC_FOUND] = "found",
		[ALLOC_NONE] = "no allocator function",
		[ALLOC_STRIPPED_STATIC] = ("stripped and static, no function has a name: give "
					   "--alloc and --free by address"),
		[ALLOC_32BIT] = "32-bit, not supported",
		[ALLOC_FOREIGN] = "code of another machine",
		[ALLOC_UNREADABLE] = "damaged symbol table",
	};

	return texts[reason];
}
