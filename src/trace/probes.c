/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "abi.h"
#include "trace/calibrate.h"
#include "trace/features.h"
#include "trace/plan.h"
#include "trace/uprobe.h"

#define EVERY_PROCESS	0
#define COST_UNKNOWN_NS 1000 /* of a hit, where nothing could be measured */

/* One object that was searched. */
struct searched {
	const struct object *o;
	struct plan plan;
	struct alloc_found found;
};

/* One object probed for one process (or for all). */
struct attached {
	pid_t pid;
	const struct object *o;
	int *fds; /* links, and on older kernels the perf events under them */
	size_t n, cap;
	bool pending;
};

struct probes {
	struct probes_config cfg;
	struct probes_programs programs;
	struct calibration cal;
	bool multi;   /* one link for all offsets; else one perf event each */
	bool session; /* and one for entry and return */
	bool names;   /* no cookies: the program goes by struct probe_name */
	bool loaded;
	struct searched *searched;
	size_t n_searched, cap_searched;
	struct attached *attached;
	size_t n_attached, cap_attached;
	size_t n_found;
	struct strlist found, skipped, slow;
};

struct probes *probes_new(const struct probes_config *c)
{
	struct probes *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->cfg = *c;
	calibrate_load(NULL, &p->cal); /* on failure every probe goes to the entry */
	return p;
}

static void attached_detach(struct attached *a)
{
	uprobe_close_all(a->fds, a->n);
	free(a->fds);
	a->fds = NULL;
	a->n = a->cap = 0;
}

void probes_detach(struct probes *p)
{
	for (size_t i = 0; i < p->n_attached; i++)
		attached_detach(&p->attached[i]);
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

int probes_prepare(struct probes *p, const struct probes_programs *programs)
{
	bool every = p->cfg.every_process || p->cfg.follow;

	int err;

	p->programs = *programs;
	p->names = !feature_has(FEATURE_COOKIE);
	p->multi = !p->names && feature_has(FEATURE_UPROBE_MULTI) &&
		   (every || feature_has(FEATURE_UPROBE_MULTI_PID));
	p->session = p->multi && feature_has(FEATURE_UPROBE_SESSION);
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

static int keep_fd(struct attached *a, int fd)
{
	if (array_reserve(&a->fds, &a->cap, a->n + 1, sizeof(*a->fds))) {
		close(fd);
		return -ENOMEM;
	}
	a->fds[a->n++] = fd;
	return 0;
}

static int attach_multi(struct attached *a, int prog_fd, const struct plan_list *l,
			enum uprobe_kind kind)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", a->o->fd);
	fd = uprobe_multi_attach(prog_fd, &(struct uprobe_multi){
						  .path = path,
						  .offsets = l->offsets,
						  .cookies = l->cookies,
						  .n = l->n,
						  .kind = kind,
						  .pid = a->pid,
					  });
	return fd < 0 ? fd : keep_fd(a, fd);
}

static int attach_one(struct attached *a, int prog_fd, const struct uprobe_perf *u)
{
	struct uprobe_perf_link link;
	int err = uprobe_perf_attach(prog_fd, u, &link);

	if (!err)
		err = keep_fd(a, link.perf_fd);
	if (!err && link.link_fd >= 0)
		err = keep_fd(a, link.link_fd);
	return err;
}

/* Kernels without multi links, or whose multi links see one thread only. */
static int attach_perf(const struct probes *p, struct attached *a, int prog_fd,
		       const struct plan_list *l, enum uprobe_kind kind)
{
	struct probe_name name = {0};
	struct uprobe_perf u = {
		.path = name.path,
		.pid = a->pid == EVERY_PROCESS ? -1 : a->pid,
		.is_return = kind == UPROBE_RETURN,
	};
	int err = 0;

	snprintf(name.path, sizeof(name.path), "/proc/self/fd/%d", a->o->fd);
	for (size_t i = 0; i < l->n && !err; i++) {
		name.offset = u.offset = l->offsets[i];
		u.cookie = p->names || u.is_return ? 0 : l->cookies[i];
		if (p->names && !u.is_return && l->cookies[i] &&
		    bpf_map_update_elem(bpf_map__fd(p->programs.names), &name, &l->cookies[i],
					BPF_ANY))
			return -errno;
		err = attach_one(a, prog_fd, &u);
	}
	return err;
}

static int attach(const struct probes *p, struct attached *a, const struct bpf_program *prog,
		  const struct plan_list *l, enum uprobe_kind kind)
{
	int prog_fd = bpf_program__fd(prog);

	if (!l->n)
		return 0;
	return p->multi ? attach_multi(a, prog_fd, l, kind) : attach_perf(p, a, prog_fd, l, kind);
}

/* Returns first: an entry without its return would wait for ever. */
static int attach_calls(const struct probes *p, struct attached *a, const struct plan_list *l)
{
	int err;

	if (p->session)
		return attach(p, a, p->programs.call, l, UPROBE_SESSION);
	err = attach(p, a, p->programs.leave, l, UPROBE_RETURN);
	return err ? err : attach(p, a, p->programs.enter, l, UPROBE_ENTRY);
}

static int attach_now(struct probes *p, struct attached *a, char **ret_msg)
{
	const struct plan_list *lists = searched_find(p, a->o)->plan.list;
	int err;

	a->pending = false;
	err = attach(p, a, p->programs.ret_site, &lists[PLAN_RET_SITE], UPROBE_ENTRY);
	if (!err)
		err = attach_calls(p, a, &lists[PLAN_CALL]);
	if (!err)
		err = attach(p, a, p->programs.enter, &lists[PLAN_ENTER], UPROBE_ENTRY);
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
			attached_detach(&p->attached[i]);
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
