/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/plan.h"

#include <errno.h>
#include <string.h>

#include "trace/site.h"

/* Functions of the object by address; read when the first function that may throw asks. */
struct extents {
	struct extent {
		uint64_t start, end;
	} * v;
	size_t n, cap;
	bool read;
};

struct planning {
	const struct object *o;
	struct extents *extents;
	const struct alloc_found *found;
	uint64_t emulated;
	const struct plan_notes *notes;
	struct plan *plan;
};

static int list_add(struct plan_list *l, uint64_t offset, uint64_t cookie)
{
	int err = array_reserve(&l->offsets, &l->cap_offsets, l->n + 1, sizeof(*l->offsets));

	if (!err)
		err = array_reserve(&l->cookies, &l->cap_cookies, l->n + 1, sizeof(*l->cookies));
	if (err)
		return err;
	l->offsets[l->n] = offset;
	l->cookies[l->n++] = cookie;
	return 0;
}

static ssize_t read_code(void *arg, uint64_t vaddr, void *buf, size_t len)
{
	const struct object *o = ((struct planning *)arg)->o;
	uint64_t off;
	int err = object_vaddr_to_offset(o, vaddr, &off);

	/* The end of a segment may come before len: settle for less. */
	for (; !err && len; len /= 2)
		if (!object_read(o, off, buf, len))
			return (ssize_t)len;
	return err ? err : -EBADMSG;
}

/*
 * Registers that the BPF side reads: the arguments, and the stack pointer by its own rule;
 * where a free takes a stack (--trace), those that its caller has saved nowhere yet.
 */
static uint16_t registers_read(const struct alloc_spec *s)
{
	static const uint16_t by_arg[] = {0,	    INSN_RDI, INSN_RSI, INSN_RDX,
					  INSN_RCX, INSN_R8,  INSN_R9,	0};

	if (s->op >= ALLOC_OP_MMAP)
		return INSN_ARGS;
	if (s->op == ALLOC_OP_FREE)
		return by_arg[s->ptr_arg & 7] | INSN_RBX | INSN_RBP;
	return by_arg[s->size_arg & 7] | by_arg[s->count_arg & 7] | by_arg[s->ptr_arg & 7] |
	       by_arg[s->out_arg & 7];
}

/* May an argument be looked for elsewhere? The BPF side has mmap's in fixed places. */
static bool arguments_move(const struct alloc_spec *s)
{
	return s->op < ALLOC_OP_MMAP;
}

/* What the function is called with, as it lies at the site. */
static struct alloc_spec spec_at(const struct alloc_spec *s, const struct site *site)
{
	struct alloc_spec at = *s;

	at.flags |= site->fast ? 0 : ALLOC_FLAG_SLOW;
	if (!arguments_move(s))
		return at;
	at.sp_moved = (uint8_t)(-site->sp_change / 8);
	at.size_arg = site->arg_at[s->size_arg];
	at.count_arg = site->arg_at[s->count_arg];
	at.ptr_arg = site->arg_at[s->ptr_arg];
	at.out_arg = site->arg_at[s->out_arg];
	return at;
}

struct slot_query {
	uint64_t slot, target;
	bool noreturn;
};

static bool never_returns(const char *name)
{
	static const char *const names[] = {"abort", "__cxa_throw", "__cxa_rethrow",
					    "_Unwind_Resume", "__stack_chk_fail"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static int match_slot(const struct object_slot *s, void *arg)
{
	struct slot_query *q = arg;

	if (s->vaddr != q->slot)
		return 0;
	q->target = s->target;
	q->noreturn = never_returns(s->name);
	return 1;
}

/* Where a PLT stub of this object leads, if that is in this object too. */
static int resolve_slot(void *arg, uint64_t slot, uint64_t *ret_vaddr)
{
	const struct planning *p = arg;
	struct slot_query q = {.slot = slot};

	if (object_each_slot(p->o, match_slot, &q) != 1 || !q.target)
		return -ENOENT;
	*ret_vaddr = q.target;
	return 0;
}

/* A PLT stub, "[endbr64] jmp *slot(%rip)" or alike, of a function that never returns. */
static bool is_noreturn(void *arg, uint64_t vaddr)
{
	const struct planning *p = arg;
	struct slot_query q = {0};
	uint8_t stub[24];
	struct insn in;
	ssize_t n = read_code(arg, vaddr, stub, sizeof(stub));
	size_t skip;

	if (n <= 0 || insn_decode(stub, (size_t)n, vaddr, &in))
		return false;
	if (in.class == INSN_ENDBR) {
		skip = in.length;
		if (insn_decode(stub + skip, (size_t)n - skip, vaddr + skip, &in))
			return false;
	}
	if (in.class != INSN_JMP_IND || in.mem != INSN_MEM_RIP)
		return false;
	q.slot = in.slot;
	return object_each_slot(p->o, match_slot, &q) == 1 && q.noreturn;
}

static int add_extent(const struct object_symbol *s, void *arg)
{
	struct extents *e = arg;

	if (!s->size)
		return 0;
	if (array_reserve(&e->v, &e->cap, e->n + 1, sizeof(*e->v)))
		return -ENOMEM;
	e->v[e->n++] = (struct extent){s->vaddr, s->vaddr + s->size};
	return 0;
}

/* End of the function around vaddr; 0 where no symbol covers it. */
static uint64_t symbol_end(void *arg, uint64_t vaddr)
{
	const struct planning *p = arg;
	struct extents *e = p->extents;

	if (!e->read)
		object_each_function(p->o, add_extent, e);
	e->read = true;
	for (size_t i = 0; i < e->n; i++)
		if (vaddr >= e->v[i].start && vaddr < e->v[i].end)
			return e->v[i].end;
	return 0;
}

static struct site_code code_of(const struct planning *p)
{
	return (struct site_code){.read = read_code,
				  .symbol_end = symbol_end,
				  .resolve = resolve_slot,
				  .noreturn = is_noreturn,
				  .arg = (void *)p};
}

static struct site_func func_of(const struct planning *p, const struct alloc_site *s)
{
	struct site_func f = {s->vaddr, s->size, UINT64_MAX};

	for (size_t i = 0; i < p->found->n; i++)
		if (p->found->sites[i].vaddr > s->vaddr)
			f.next_symbol = MIN(f.next_symbol, p->found->sites[i].vaddr);
	return f;
}

/* Where the probe of a function's entry goes: the entry itself if nothing better is known. */
static struct site choose_site(const struct planning *p, const struct alloc_site *s)
{
	struct site_code code = code_of(p);
	struct site_func func = func_of(p, s);
	struct site_want want = {
		.emulated = p->emulated,
		.keep = registers_read(&s->spec),
		.may_hold = arguments_move(&s->spec) ? INSN_ARGS | INSN_RAX : 0,
	};
	struct site site = {.arg_at = {0, 1, 2, 3, 4, 5, 6}, .reason = "its code cannot be read"};

	/* What no return probe belongs to may have made room on its stack before. */
	want.sp_may_move = s->spec.op == ALLOC_OP_FREE;
	site_choose(&code, &func, &want, &site);
	if (site.sp_change > 0 || site.sp_change % 8 || site.sp_change < -8 * UINT8_MAX) {
		want.sp_may_move = false;
		site_choose(&code, &func, &want, &site);
	}
	if (!site.fast)
		strlist_add(p->notes->slow, "%s in %s: %s", s->name, p->o->path, site.reason);
	(site.fast ? p->plan->fast : p->plan->slow)[site.class]++;
	return site;
}

/* -ENOTSUP: the function's ends can't be known, it is left out. */
static int add_ret_sites(const struct planning *p, const struct alloc_site *s)
{
	struct site_code code = code_of(p);
	struct site_func func = func_of(p, s);
	struct site_rets rets = {0};
	int err = site_returns(&code, &func, &rets);

	if (err) {
		strlist_add(p->notes->skipped, "%s in %s: it may throw and %s", s->name, p->o->path,
			    rets.reason ? rets.reason : errno_name(err));
		return -ENOTSUP;
	}
	for (size_t i = 0; i < rets.n && !err; i++) {
		uint64_t off;

		if (!object_vaddr_to_offset(p->o, rets.at[i].vaddr, &off))
			err = list_add(&p->plan->list[PLAN_RET_SITE], off, 0);
	}
	return err;
}

static int plan_site(const struct planning *p, const struct alloc_site *s)
{
	struct alloc_spec spec;
	struct site site;
	enum plan_ends ends = PLAN_ENTER;
	uint64_t off;
	int err;

	if (s->spec.flags & ALLOC_FLAG_THROWS) {
		err = add_ret_sites(p, s);
		if (err)
			return err == -ENOTSUP ? 0 : err;
	}
	site = choose_site(p, s);
	off = s->offset + site.delta;
	spec = spec_at(&s->spec, &site);
	if (s->spec.op != ALLOC_OP_FREE && !(s->spec.flags & ALLOC_FLAG_THROWS))
		ends = PLAN_CALL;
	return list_add(&p->plan->list[ends], off, alloc_spec_pack(&spec));
}

static bool releases(const struct alloc_site *s)
{
	switch (s->spec.op) {
	case ALLOC_OP_FREE:
	case ALLOC_OP_REALLOC:
	case ALLOC_OP_MUNMAP:
	case ALLOC_OP_MREMAP:
		return true;
	default:
		return false;
	}
}

static int plan_sites(const struct planning *p, bool releasing)
{
	int err = 0;

	for (size_t i = 0; i < p->found->n && !err; i++)
		if (releases(&p->found->sites[i]) == releasing)
			err = plan_site(p, &p->found->sites[i]);
	return err;
}

int plan_make(const struct object *o, const struct alloc_found *found, uint64_t emulated,
	      const struct plan_notes *notes, struct plan *ret)
{
	struct plan plan = {0};
	struct extents extents = {0};
	struct planning p = {o, &extents, found, emulated, notes, &plan};
	int err = plan_sites(&p, true);

	if (!err)
		err = plan_sites(&p, false);
	free(extents.v);
	if (err) {
		plan_deinit(&plan);
		return err;
	}
	*ret = plan;
	return 0;
}

void plan_deinit(struct plan *p)
{
	for (int i = 0; i < PLAN_LISTS; i++) {
		free(p->list[i].offsets);
		free(p->list[i].cookies);
	}
	*p = (struct plan){0};
}
