/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One address goes: mapping -> object -> vaddr -> resolver (cache, symbols, DWARF).
 * Code without a file is looked up in the JIT map of the process, each time, because
 * such maps change. Kernel code: kallsyms.
 */
#include "sym/sym.h"

#include <errno.h>

#include "sym/jit.h"
#include "sym/kallsyms.h"
#include "sym/resolve.h"

#define KALLSYMS_UNREAD 1

struct symbolizer {
	struct objects *objects;
	struct sym_resolver *resolver;
	struct sym_jits *jits;
	struct sym_kallsyms *kallsyms;
	int kallsyms_err; /* or KALLSYMS_UNREAD */
	uint64_t n_addresses;
};

struct output {
	struct frame *v;
	size_t n, cap;
};

struct place { /* one address of a stack */
	pid_t pid;
	const struct mapping *mapping; /* NULL: none there */
	uint64_t address;
	bool is_return;
};

struct symbolizer *symbolizer_new(struct objects *objects, const struct symbolizer_opts *opts)
{
	struct symbolizer_opts o = opts ? *opts : (struct symbolizer_opts){0};
	struct symbolizer *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	if (!o.debug_dir)
		o.debug_dir = "/usr/lib/debug";
	s->objects = objects;
	s->kallsyms_err = o.no_kernel ? -ECANCELED : KALLSYMS_UNREAD;
	s->resolver = sym_resolver_new(&o);
	s->jits = sym_jits_new();
	if (!s->resolver || !s->jits) {
		symbolizer_free(s);
		return NULL;
	}
	return s;
}

void symbolizer_free(struct symbolizer *s)
{
	if (!s)
		return;
	sym_resolver_free(s->resolver);
	sym_jits_free(s->jits);
	sym_kallsyms_free(s->kallsyms);
	free(s);
}

static int output_reserve(struct output *out, size_t more)
{
	return array_reserve(&out->v, &out->cap, out->n + more, sizeof(*out->v));
}

/* Returns 1 if the next frame is exact, 0, -ENOENT if there is no such file, -ENOMEM. */
static int add_file_frames(struct symbolizer *s, const struct place *p, struct output *out)
{
	struct sym_place place = {.pid = p->pid, .is_return = p->is_return};
	const struct frame *from;
	struct object *o;
	uint64_t bias, lookup;
	bool signal;
	int i, n;

	if (!p->mapping || objects_get(s->objects, p->pid, p->mapping, &o) ||
	    object_bias(o, p->mapping, &bias))
		return -ENOENT;
	place.object = o;
	place.vaddr = p->address - bias;
	n = sym_resolver_get(s->resolver, &place, &from, &signal);
	if (n < 0 || output_reserve(out, (size_t)n))
		return -ENOMEM;
	lookup = p->address - (p->is_return && !signal);
	for (i = 0; i < n; i++) {
		struct frame *f = &out->v[out->n++];

		*f = from[i];
		f->address = p->address;
		f->object_offset = p->mapping->offset + (lookup - p->mapping->start);
	}
	return signal;
}

/* What is in no ELF file: JIT code, or memory we know nothing of. */
static int add_other_frame(struct symbolizer *s, const struct place *p, struct output *out)
{
	uint64_t lookup = p->address - p->is_return, start;
	const struct mapping *m = p->mapping;
	const char *name;
	struct frame *f;

	if (output_reserve(out, 1))
		return -ENOMEM;
	f = &out->v[out->n++];
	*f = (struct frame){.address = p->address};
	if (!m)
		return 0;
	f->object_offset = m->offset + (lookup - m->start);
	f->object = m->path && *m->path ? sym_resolver_keep(s->resolver, m->path) : NULL;
	if (!(m->prot & MAP_EXEC))
		return 0;
	if (!f->object)
		f->object = "[jit]";
	if (sym_jits_find(s->jits, p->pid, lookup, &name, &start))
		return 0;
	f->function = sym_resolver_keep(s->resolver, name);
	f->offset = p->address - start;
	f->object = "[jit]";
	return 0;
}

static bool is_exact(const struct sym_stack *stack, size_t i)
{
	return stack->exact && stack->exact[i / 64] >> i % 64 & 1;
}

int symbolizer_stack(struct symbolizer *s, const struct sym_stack *stack, struct frame **ret_frames,
		     size_t *ret_n)
{
	struct place p = {.pid = stack->pid, .is_return = stack->leaf_is_return};
	struct output out = {0};
	size_t i;
	int got;

	for (i = 0; i < stack->n; i++) {
		p.address = stack->addresses[i];
		p.is_return = p.is_return && p.address && !is_exact(stack, i);
		p.mapping = maps_find(stack->maps, p.address - p.is_return);
		got = add_file_frames(s, &p, &out);
		if (got == -ENOENT)
			got = add_other_frame(s, &p, &out);
		if (got < 0) {
			free(out.v);
			return got;
		}
		p.is_return = !got;
	}
	s->n_addresses += stack->n;
	*ret_frames = out.v;
	*ret_n = out.n;
	return 0;
}

int symbolizer_kernel_status(struct symbolizer *s)
{
	size_t len;
	char *text;

	if (s->kallsyms_err != KALLSYMS_UNREAD)
		return s->kallsyms_err;
	s->kallsyms_err = read_file("/proc/kallsyms", &text, &len);
	if (!s->kallsyms_err)
		s->kallsyms_err = sym_kallsyms_new(text, len, &s->kallsyms);
	return s->kallsyms_err;
}

static void name_kernel_frame(const struct symbolizer *s, uint64_t lookup, struct frame *f)
{
	struct sym_kernel_symbol symbol;

	f->object = "[kernel]";
	if (!s->kallsyms || sym_kallsyms_find(s->kallsyms, lookup, &symbol))
		return;
	f->function = symbol.name;
	f->offset = f->address - symbol.start;
	if (symbol.module)
		f->object = symbol.module;
}

int symbolizer_kernel(struct symbolizer *s, const struct sym_stack *stack,
		      struct frame **ret_frames, size_t *ret_n)
{
	struct frame *frames = calloc(MAX(stack->n, (size_t)1), sizeof(*frames));
	bool is_return = stack->leaf_is_return;
	size_t i;

	if (!frames)
		return -ENOMEM;
	symbolizer_kernel_status(s); /* without names, frames are still numbers */
	for (i = 0; i < stack->n; i++, is_return = true) {
		is_return = is_return && !is_exact(stack, i);
		frames[i].address = stack->addresses[i];
		name_kernel_frame(s, frames[i].address - is_return, &frames[i]);
	}
	s->n_addresses += stack->n;
	*ret_frames = frames;
	*ret_n = stack->n;
	return 0;
}

void symbolizer_forget(struct symbolizer *s, pid_t pid)
{
	sym_jits_forget(s->jits, pid);
}

void symbolizer_stats(const struct symbolizer *s, struct symbolizer_stats *ret)
{
	struct symbolizer_stats stats = {
		.addresses = s->n_addresses,
		.perf_map_refused = sym_jits_refused(s->jits),
	};

	sym_resolver_stats(s->resolver, &stats);
	*ret = stats;
}
