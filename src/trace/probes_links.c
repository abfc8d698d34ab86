/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "abi.h"
#include "trace/probes_parts.h"

void probes_links_close(struct attached *a)
{
	uprobe_close_all(a->fds, a->n);
	free(a->fds);
	a->fds = NULL;
	a->n = a->cap = 0;
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

/*
 * What releases before what allocates, as in the lists themselves (trace/plan.h). Ends of
 * calls before their beginnings: what has begun would wait for its end for ever.
 */
int probes_links_open(const struct probes *p, struct attached *a, const struct plan *plan)
{
	const struct plan_list *lists = plan->list;
	int err = attach(p, a, p->programs.ret_site, &lists[PLAN_RET_SITE], UPROBE_ENTRY);

	if (!err)
		err = attach(p, a, p->programs.enter, &lists[PLAN_ENTER], UPROBE_ENTRY);
	if (!err)
		err = attach_calls(p, a, &lists[PLAN_CALL]);
	return err;
}
