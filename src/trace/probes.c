/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/probes_parts.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "abi.h"
#include "trace/features.h"

#define COST_UNKNOWN_NS 1000 /* of a hit, where nothing could be measured */

struct probes *probes_new(const struct probes_config *c)
{
	struct probes *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->cfg = *c;
	calibrate_load(NULL, &p->cal); /* on failure every probe goes to the entry */
	return p;
}

void probes_detach(struct probes *p)
{
	for (size_t i = 0; i < p->n_attached; i++)
		probes_links_close(&p->attached[i]);
	p->n_attached = 0;
}

void probes_free(struct probes *p)
{
	if (!p)
		return;
	probes_detach(p);
	for (size_t i = 0; i < p->n_searched; i++) {
		plan_deinit(&p->searched[i].plan);
		alloc_found_deinit(&p->searched[i].found);
	}
	free(p->searched);
	free(p->attached);
	strlist_deinit(&p->found);
	strlist_deinit(&p->skipped);
	strlist_deinit(&p->slow);
	free(p);
}

/* ---- method ---- */

static int set_attach_types(const struct probes_programs *programs)
{
	const struct {
		struct bpf_program *prog;
		enum uprobe_kind kind;
	} all[] = {
		{programs->enter, UPROBE_ENTRY},
		{programs->leave, UPROBE_RETURN},
		{programs->ret_site, UPROBE_ENTRY},
		{programs->call, UPROBE_SESSION},
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all) && !err; i++)
		err = bpf_program__set_expected_attach_type(
			all[i].prog, (enum bpf_attach_type)uprobe_attach_type(all[i].kind));
	return err;
}

/*
 * A session link costs a pair of calls some 40 ns more than two links do (of 1,700, on an AMD
 * EPYC under 6.18), and saves 500 where the return need not be seen. So it is for runs in
 * which there are many of those: calls of other processes, and calls left out.
 */
int probes_prepare(struct probes *p, const struct probes_programs *programs)
{
	bool every = p->cfg.every_process || p->cfg.follow;
	int err;

	p->programs = *programs;
	p->names = !feature_has(FEATURE_COOKIE);
	p->multi = !p->names && feature_has(FEATURE_UPROBE_MULTI) &&
		   (every || feature_has(FEATURE_UPROBE_MULTI_PID));
	p->session = p->multi && (every || p->cfg.filters) && feature_has(FEATURE_UPROBE_SESSION);
	err = bpf_map__set_autocreate(programs->names, p->names);
	if (!err && p->multi)
		err = set_attach_types(programs);
	if (!err)
		err = bpf_program__set_autoload(programs->call, p->session);
	return err ? err : bpf_program__set_autoload(programs->leave, !p->session);
}

bool probes_skip_returns(const struct probes *p)
{
	return p->session;
}

bool probes_have_names(const struct probes *p)
{
	return p->names;
}

const char *probes_method(const struct probes *p)
{
	return p->session ? "uprobe-session" : p->multi ? "uprobe-multi" : "uprobe-perf";
}

/* ---- searching ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static int note_found(struct probes *p, const struct object *o, const struct alloc_found *f)
{
	if (f->n)
		return strlist_add(&p->found, "%s: %zu functions", base_name(o->path), f->n);
	if (f->reason == ALLOC_NONE)
		return 0;
	return strlist_add(&p->skipped, "%s: %s", o->path, alloc_reason_text(f->reason));
}

static struct searched *searched_find(const struct probes *p, const struct object *o)
{
	for (size_t i = 0; i < p->n_searched; i++)
		if (p->searched[i].o == o)
			return &p->searched[i];
	return NULL;
}

static int search(struct probes *p, const struct object *o, struct searched **ret)
{
	struct plan_notes notes = {&p->skipped, &p->slow};
	struct alloc_found found = {0};
	struct searched *s;
	int err;

	*ret = searched_find(p, o);
	if (*ret)
		return 0;
	err = array_reserve(&p->searched, &p->cap_searched, p->n_searched + 1, sizeof(*s));
	if (!err)
		err = allocators_find(p->cfg.allocators, o, &found);
	if (err)
		return err;
	s = &p->searched[p->n_searched];
	*s = (struct searched){.o = o};
	err = note_found(p, o, &found);
	if (!err)
		err = plan_make(o, &found, p->cal.emulated, &notes, &s->plan);
	if (err) {
		alloc_found_deinit(&found);
		return err;
	}
	s->found = found;
	p->n_searched++;
	p->n_found += found.n;
	*ret = s;
	return 0;
}

/* ---- attaching ---- */

static void fail(int err, char **ret_msg, const struct object *o)
{
	if (asprintf(ret_msg, "cannot attach to the functions of '%s': %s", o->path,
		     errno_name(err)) < 0)
		*ret_msg = NULL;
}

static int attach_now(struct probes *p, struct attached *a, char **ret_msg)
{
	int err = probes_links_open(p, a, &searched_find(p, a->o)->plan);

	a->pending = false;
	if (err && err != -ESRCH)
		fail(err, ret_msg, a->o);
	return err;
}

static bool is_attached(const struct probes *p, pid_t pid, const struct object *o)
{
	for (size_t i = 0; i < p->n_attached; i++)
		if (p->attached[i].o == o && p->attached[i].pid == pid)
			return true;
	return false;
}

int probes_add(struct probes *p, pid_t pid, const struct object *o, char **ret_msg)
{
	pid_t scope = p->cfg.every_process || p->cfg.follow ? EVERY_PROCESS : pid;
	struct searched *s;
	struct attached *a;
	int err = search(p, o, &s);

	if (err || !s->found.n || is_attached(p, scope, o))
		return err;
	err = array_reserve(&p->attached, &p->cap_attached, p->n_attached + 1, sizeof(*a));
	if (err)
		return err;
	a = &p->attached[p->n_attached++];
	*a = (struct attached){.pid = scope, .o = o, .pending = true};
	return p->loaded ? attach_now(p, a, ret_msg) : 0;
}

int probes_attach(struct probes *p, char **ret_msg)
{
	int err = 0;

	p->loaded = true;
	for (size_t i = 0; i < p->n_attached && !err; i++)
		if (p->attached[i].pending)
			err = attach_now(p, &p->attached[i], ret_msg);
	return err;
}

void probes_forget(struct probes *p, pid_t pid)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n_attached; i++) {
		if (p->attached[i].pid == pid)
			probes_links_close(&p->attached[i]);
		else
			p->attached[kept++] = p->attached[i];
	}
	p->n_attached = kept;
}

/* ---- asking ---- */

size_t probes_found(const struct probes *p)
{
	return p->n_found;
}

static const char *const *lines(const struct strlist *l, size_t *ret_n)
{
	*ret_n = l->n;
	return (const char *const *)l->v;
}

const char *const *probes_found_lines(const struct probes *p, size_t *ret_n)
{
	return lines(&p->found, ret_n);
}

const char *const *probes_skipped_lines(const struct probes *p, size_t *ret_n)
{
	return lines(&p->skipped, ret_n);
}

const char *const *probes_slow_lines(const struct probes *p, size_t *ret_n)
{
	return lines(&p->slow, ret_n);
}

/* Mean over n[class] sites; 0 without any. */
static double mean_cost(const struct probes *p, const uint32_t *n)
{
	double sum = 0, sites = 0;

	for (int i = 0; i < INSN_CLASSES; i++) {
		uint32_t ns = p->cal.ns[i] ? p->cal.ns[i] : p->cal.ns[INSN_OTHER];

		sum += (double)n[i] * (ns ? ns : COST_UNKNOWN_NS);
		sites += n[i];
	}
	return sites > 0 ? sum / sites : 0;
}

void probes_costs(const struct probes *p, struct probe_costs *ret)
{
	uint32_t fast[INSN_CLASSES] = {0}, slow[INSN_CLASSES] = {0};

	for (size_t i = 0; i < p->n_searched; i++) {
		for (int j = 0; j < INSN_CLASSES; j++) {
			fast[j] += p->searched[i].plan.fast[j];
			slow[j] += p->searched[i].plan.slow[j];
		}
	}
	*ret = (struct probe_costs){
		.enter_ns = mean_cost(p, fast),
		.slow_ns = mean_cost(p, slow),
		.return_ns = p->cal.return_ns ? p->cal.return_ns : COST_UNKNOWN_NS,
		.ret_site_ns = p->cal.ns[INSN_RET] ? p->cal.ns[INSN_RET] : COST_UNKNOWN_NS,
	};
}

bool probes_is_allocator(const struct probes *p, const struct object *o)
{
	const struct searched *s = searched_find(p, o);

	return s && s->found.is_allocator;
}

bool probes_is_allocating(const struct probes *p, const struct object *o, uint64_t vaddr)
{
	const struct searched *s = searched_find(p, o);

	for (size_t i = 0; s && i < s->found.n; i++) {
		const struct alloc_site *f = &s->found.sites[i];

		if (f->spec.kind == ALLOC_KIND_MALLOC && vaddr - f->vaddr < f->size)
			return true;
	}
	return false;
}
