/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libdw's own ways are not used where they do not scale or do not reach:
 *   dwfl_module_addrdie needs .debug_aranges, which clang does not write;
 *   dwarf_getscopes walks the whole unit for each address (one unit with LTO).
 * So there are two tables: address -> unit of the file, and, for each unit that was
 * looked into, address -> function. Only inside the function the tree is walked.
 *
 * Bounds of our own: siblings must move forward in the file (a corrupt DW_AT_sibling
 * could go round for ever), depth and length of the chain are limited.
 */
#include "sym/lines.h"

#include <dwarf.h>
#include <elfutils/libdw.h>

#include "sym/table.h"

#define DEPTH_MAX  64
#define RANGES_MAX (1 << 20)

struct dies { /* a table whose tags are indices into v */
	struct sym_table table;
	Dwarf_Die *v;
	size_t n, cap;
};

struct unit {
	Dwarf_Off offset; /* of the unit's DIE, its identity */
	struct dies functions;
};

struct sym_lines {
	Dwfl_Module *mod;
	GElf_Addr bias;	    /* Dwfl address = vaddr + bias */
	Dwarf_Addr dw_bias; /* Dwfl address = DWARF address + dw_bias */
	struct dies cus;    /* fallback where .debug_aranges say nothing */
	bool cus_done;
	struct unit *units; /* those looked into */
	size_t n_units, cap_units;
};

struct sym_lines *sym_lines_new(Dwfl_Module *mod, GElf_Addr bias)
{
	struct sym_lines *l;
	Dwarf_Addr dw_bias;

	if (!dwfl_module_getdwarf(mod, &dw_bias))
		return NULL;
	l = calloc(1, sizeof(*l));
	if (l)
		*l = (struct sym_lines){.mod = mod, .bias = bias, .dw_bias = dw_bias};
	return l;
}

static void dies_deinit(struct dies *d)
{
	sym_table_deinit(&d->table);
	free(d->v);
}

void sym_lines_free(struct sym_lines *l)
{
	size_t i;

	if (!l)
		return;
	for (i = 0; i < l->n_units; i++)
		dies_deinit(&l->units[i].functions);
	free(l->units);
	dies_deinit(&l->cus);
	free(l);
}

static void dies_add(struct dies *d, Dwarf_Die *die)
{
	struct sym_entry e = {.tag = d->n & INT32_MAX};
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;
	bool kept = false;
	int i;

	for (i = 0; i < RANGES_MAX; i++) {
		at = dwarf_ranges(die, at, &base, &start, &end);
		if (at <= 0)
			return;
		if (!start) /* code the linker threw away */
			continue;
		if (!kept && array_reserve(&d->v, &d->cap, d->n + 1, sizeof(*d->v)))
			return;
		if (!kept)
			d->v[d->n++] = *die;
		kept = true;
		e.start = start;
		e.end = end;
		if (sym_table_add(&d->table, &e))
			return;
	}
}

static Dwarf_Die *dies_find(struct dies *d, Dwarf_Addr pc)
{
	const struct sym_entry *e = sym_table_find(&d->table, pc);

	return e ? &d->v[e->tag] : NULL;
}

/* Moves *die to the next sibling; false at the end, or if it would not move forward. */
static bool next_sibling(Dwarf_Die *die)
{
	Dwarf_Off from = dwarf_dieoffset(die);
	Dwarf_Die next;

	if (dwarf_siblingof(die, &next) != 0 || dwarf_dieoffset(&next) <= from)
		return false;
	*die = next;
	return true;
}

static void collect_functions(struct dies *d, Dwarf_Die *parent, int depth)
{
	Dwarf_Die die;

	if (depth > DEPTH_MAX || dwarf_child(parent, &die) != 0)
		return;
	do {
		switch (dwarf_tag(&die)) {
		case DW_TAG_subprogram:
			dies_add(d, &die);
			break;
		case DW_TAG_namespace: /* clang and rustc define functions inside */
		case DW_TAG_module:
		case DW_TAG_class_type:
		case DW_TAG_structure_type:
		case DW_TAG_union_type:
		case DW_TAG_enumeration_type:
			collect_functions(d, &die, depth + 1);
			break;
		default:
			break;
		}
	} while (next_sibling(&die));
}

static void collect_units(struct sym_lines *l)
{
	Dwarf_Die *cu = NULL;
	Dwarf_Addr bias;

	while ((cu = dwfl_module_nextcu(l->mod, cu, &bias)))
		dies_add(&l->cus, cu);
	sym_table_sort(&l->cus.table);
}

static Dwarf_Die *find_cu(struct sym_lines *l, Dwarf_Addr pc)
{
	Dwarf_Addr bias;
	Dwarf_Die *cu = dwfl_module_addrdie(l->mod, pc + l->dw_bias, &bias);

	if (cu)
		return cu;
	if (!l->cus_done) {
		l->cus_done = true;
		collect_units(l);
	}
	return dies_find(&l->cus, pc);
}

/* The functions of a unit; with split DWARF they are in the .dwo file. */
static struct dies *functions_of(struct sym_lines *l, Dwarf_Die *cu)
{
	Dwarf_Off offset = dwarf_dieoffset(cu);
	Dwarf_Die split, *from = cu;
	struct unit *u;
	uint8_t type;
	size_t i;

	for (i = 0; i < l->n_units; i++) {
		if (l->units[i].offset == offset)
			return &l->units[i].functions;
	}
	if (array_reserve(&l->units, &l->cap_units, l->n_units + 1, sizeof(*l->units)))
		return NULL;
	if (!dwarf_cu_info(cu->cu, NULL, &type, NULL, &split, NULL, NULL, NULL) &&
	    type == DW_UT_skeleton && dwarf_tag(&split) > 0)
		from = &split;
	u = &l->units[l->n_units++];
	*u = (struct unit){.offset = offset};
	collect_functions(&u->functions, from, 0);
	sym_table_sort(&u->functions.table);
	return &u->functions;
}

static const char *die_name(Dwarf_Die *die)
{
	static const unsigned int names[] = {DW_AT_linkage_name, DW_AT_MIPS_linkage_name,
					     DW_AT_name};
	Dwarf_Attribute attr;
	const char *name;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		name = dwarf_formstring(dwarf_attr_integrate(die, names[i], &attr));
		if (name)
			return name;
	}
	return NULL;
}

/* Moves *die to the child that holds pc and may have inlined calls in it. */
static bool step_in(Dwarf_Die *die, Dwarf_Addr pc)
{
	Dwarf_Die child;
	int tag;

	if (dwarf_child(die, &child) != 0)
		return false;
	do {
		tag = dwarf_tag(&child);
		if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
		     tag == DW_TAG_try_block || tag == DW_TAG_catch_block) &&
		    dwarf_haspc(&child, pc) == 1) {
			*die = child;
			return true;
		}
	} while (next_sibling(&child));
	return false;
}

/* chain[0] is the function, then the inlined calls towards the inside. */
static size_t inlined_chain(const Dwarf_Die *function, Dwarf_Addr pc,
			    Dwarf_Die chain[SYM_INLINE_MAX])
{
	Dwarf_Die die = *function;
	size_t n = 0;
	int depth;

	chain[n++] = die;
	for (depth = 0; depth < 2 * DEPTH_MAX && n < SYM_INLINE_MAX && step_in(&die, pc); depth++) {
		if (dwarf_tag(&die) == DW_TAG_inlined_subroutine)
			chain[n++] = die;
	}
	return n;
}

static uint64_t unsigned_attr(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attr;
	Dwarf_Word v;

	return dwarf_formudata(dwarf_attr(die, name, &attr), &v) ? 0 : v;
}

/*
 * A relative name starts in the directory of the compilation. If even that is relative
 * (builds with -ffile-prefix-map), the name is better alone.
 */
static void set_position(struct sym_call *call, Dwarf_Die *cu, const char *file, uint64_t line)
{
	Dwarf_Attribute attr;
	const char *dir;

	if (!file || line > INT32_MAX)
		return;
	call->file = file;
	call->line = (int)line;
	dir = *file == '/' ? NULL : dwarf_formstring(dwarf_attr(cu, DW_AT_comp_dir, &attr));
	call->dir = dir && *dir == '/' ? dir : NULL;
}

/* Where the inlined function was called: a position in the one around it. */
static void call_site(Dwarf_Die *cu, Dwarf_Die *inlined, struct sym_call *ret)
{
	uint64_t index = unsigned_attr(inlined, DW_AT_call_file);
	Dwarf_Files *files;
	Dwarf_Die own; /* with split DWARF not the same as cu */
	size_t n;

	if (!dwarf_diecu(inlined, &own, NULL, NULL) || dwarf_getsrcfiles(&own, &files, &n) ||
	    index >= n)
		return;
	set_position(ret, cu, dwarf_filesrc(files, index, NULL, NULL),
		     unsigned_attr(inlined, DW_AT_call_line));
}

static void line_of(Dwarf_Die *cu, Dwarf_Addr pc, struct sym_call *ret)
{
	Dwarf_Line *line = dwarf_getsrc_die(cu, pc);
	int number;

	if (!line || dwarf_lineno(line, &number) || number < 0)
		return;
	set_position(ret, cu, dwarf_linesrc(line, NULL, NULL), (uint64_t)number);
}

size_t sym_lines_find(struct sym_lines *l, uint64_t vaddr, struct sym_call calls[SYM_INLINE_MAX])
{
	Dwarf_Addr pc = vaddr + l->bias - l->dw_bias;
	Dwarf_Die *cu = find_cu(l, pc), *function;
	Dwarf_Die chain[SYM_INLINE_MAX];
	struct dies *functions;
	Dwarf_Addr entry;
	size_t i, n = 0;

	if (!cu)
		return 0;
	functions = functions_of(l, cu);
	function = functions ? dies_find(functions, pc) : NULL;
	calls[0] = (struct sym_call){0};
	line_of(cu, pc, &calls[0]);
	if (!function)
		return calls[0].file ? 1 : 0;
	n = inlined_chain(function, pc, chain);
	for (i = 0; i < n; i++) { /* calls[i] is chain[n - 1 - i] */
		calls[i].name = die_name(&chain[n - 1 - i]);
		calls[i].start = 0;
		if (i + 1 < n) {
			calls[i + 1] = (struct sym_call){0};
			call_site(cu, &chain[n - 1 - i], &calls[i + 1]);
		}
	}
	if (!dwarf_entrypc(&chain[0], &entry))
		calls[n - 1].start = entry + l->dw_bias - l->bias;
	return n;
}
