/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The software events are opened per CPU for every process and the programs filter: exact
 * from the first moment for threads and children too.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>

#include "faults.h"
#include "faults.skel.h"
#include "lib/log.h"
#include "trace/attach.h"
#include "trace/features.h"

enum hook_kind {
	HOOK_EVENT,    /* software event, see config */
	HOOK_RAW,      /* raw tracepoint */
	HOOK_TURNS,    /* likewise, with later programs (bpf/turns.bpf.h) */
	HOOK_PAGES,    /* likewise, only where the kernel may skip one */
	HOOK_FUNCTION, /* the one of the program's section */
};

struct hook {
	struct bpf_program *prog;
	enum hook_kind kind;
	uint64_t config;
	const char *name;
	bool wanted;
};

#define N_HOOKS	  15
#define N_FOLLOWS 2 /* at the end: those that follow processes are attached before */

static void hooks_fill(const struct faults *f, struct hook h[N_HOOKS])
{
	const struct faults_opts *o = f->o;
	bool both = o->major == o->minor, exceptions = feature_has(FEATURE_EXCEPTIONS);
	bool aborts = !exceptions && feature_has(FEATURE_ABORTS);
	bool sampled = o->sample > 1, ends = !sampled && !f->bpf->rodata->fault_cfg.counters;
	bool timed = o->detail != FAULTS_DETAIL_COUNT && !sampled;
	bool full = o->detail == FAULTS_DETAIL_FULL && !o->bad && !sampled;
	struct hook all[N_HOOKS] = {
		{f->bpf->progs.fault_start, HOOK_EVENT, PERF_COUNT_SW_PAGE_FAULTS, "page-faults",
		 timed && !exceptions && !aborts},
		{f->bpf->progs.fault_exception_user, HOOK_RAW, 0, "page_fault_user",
		 timed && exceptions},
		{f->bpf->progs.fault_exception_kernel, HOOK_RAW, 0, "page_fault_kernel",
		 timed && exceptions},
		{f->bpf->progs.fault_abort, HOOK_FUNCTION, 0, "do_mem_abort", timed && aborts},
		{f->bpf->progs.fault_minor, HOOK_EVENT, PERF_COUNT_SW_PAGE_FAULTS_MIN,
		 "minor-faults", ends && (both || o->minor)},
		{f->bpf->progs.fault_major, HOOK_EVENT, PERF_COUNT_SW_PAGE_FAULTS_MAJ,
		 "major-faults", ends && (both || o->major)},
		{f->bpf->progs.fault_page_alloc, HOOK_PAGES, 0, "mm_page_alloc", full},
		{f->bpf->progs.fault_page_free, HOOK_PAGES, 0, "mm_page_free", o->rss && !sampled},
		{f->bpf->progs.fault_sample_alloc, HOOK_RAW, 0, "mm_page_alloc", sampled},
		{f->bpf->progs.fault_sample_kernel, HOOK_RAW, 0, "page_fault_kernel",
		 sampled && exceptions},
		{f->bpf->progs.fault_sample_abort, HOOK_FUNCTION, 0, "do_mem_abort",
		 sampled && aborts},
		{f->bpf->progs.fault_signal, HOOK_RAW, 0, "signal_generate", timed && !o->rss},
		{f->bpf->progs.fault_exit, HOOK_TURNS, 0, "sched_process_exit", true},
		{f->bpf->progs.fault_newtask, HOOK_TURNS, 0, "task_newtask", o->common.follow},
		{f->bpf->progs.fault_exec, HOOK_TURNS, 0, "sched_process_exec", true},
	};

	memcpy(h, all, sizeof(all));
}

/* The program of this turn; NULL: there is none, or no need of it. */
static struct bpf_program *later(const struct faults *f, const struct hook *h, unsigned int turn)
{
	bool wanted = feature_has(FEATURE_EVENTS_SKIPPED)
			      ? h->kind == HOOK_TURNS || h->kind == HOOK_PAGES
			      : h->kind == HOOK_TURNS && turn == 1;

	return wanted ? program_turn(f->bpf->obj, h->prog, turn) : NULL;
}

void faults_select(struct faults *f)
{
	struct hook h[N_HOOKS];

	hooks_fill(f, h);
	for (size_t i = 0; i < N_HOOKS; i++) {
		struct bpf_program *p = h[i].prog;

		for (unsigned int turn = 1; p; p = later(f, &h[i], turn++))
			bpf_program__set_autoload(p, h[i].wanted);
	}
	bpf_program__set_autoload(f->bpf->progs.fault_tasks, f->bpf->rodata->fault_cfg.counters);
	bpf_program__set_autoload(f->bpf->progs.fault_pages, f->o->sample > 1);
}

static int keep_link(struct faults *f, struct bpf_link *link)
{
	int err = array_reserve(&f->links, &f->cap_links, f->n_links + 1, sizeof(link));

	if (err) {
		bpf_link__destroy(link);
		return err;
	}
	f->links[f->n_links++] = link;
	return 0;
}

static int attach_cpu(struct faults *f, const struct hook *h, int cpu)
{
	struct bpf_link *link;
	int err = attach_software_event(h->prog, h->config, cpu, &link);

	if (err)
		return err == -ENODEV ? 0 : err; /* a CPU that is off */
	return keep_link(f, link);
}

static int attach_every_cpu(struct faults *f, const struct hook *h)
{
	int cpus = libbpf_num_possible_cpus(), err = cpus < 0 ? cpus : 0;

	for (int cpu = 0; cpu < cpus && !err; cpu++)
		err = attach_cpu(f, h, cpu);
	return err;
}

static int attach_raw_kept(struct faults *f, struct bpf_program *prog, const char *name)
{
	struct bpf_link *link;
	int err = attach_raw(prog, name, &link);

	return err ? err : keep_link(f, link);
}

static int attach_function(struct faults *f, struct bpf_program *prog)
{
	struct bpf_link *link = bpf_program__attach_trace(prog);
	int err = libbpf_get_error(link);

	return err ? err : keep_link(f, link);
}

static int attach_turns(struct faults *f, const struct hook *h)
{
	struct bpf_program *p = h->prog;
	int err = 0;

	for (unsigned int turn = 1; p && !err; p = later(f, h, turn++))
		err = attach_raw_kept(f, p, h->name);
	return err;
}

static int attach_hook(struct faults *f, const struct hook *h)
{
	if (!h->wanted)
		return 0;
	if (h->kind == HOOK_EVENT)
		return attach_every_cpu(f, h);
	return h->kind == HOOK_FUNCTION ? attach_function(f, h->prog) : attach_turns(f, h);
}

static int attach_hooks(struct faults *f, size_t from, size_t to)
{
	struct hook h[N_HOOKS];
	int err = 0;

	hooks_fill(f, h);
	for (size_t k = to; k > from && !err; k--) {
		err = attach_hook(f, &h[k - 1]);
		if (err)
			log_error("cannot attach to '%s': %s", h[k - 1].name, errno_name(err));
	}
	return err;
}

int faults_attach_follows(struct faults *f)
{
	return attach_hooks(f, N_HOOKS - N_FOLLOWS, N_HOOKS);
}

/*
 * From the last one up, START at the end: a fault that is under way then is counted without
 * its time, whereas a START whose END nobody watches would look like a fault that failed.
 */
int faults_attach(struct faults *f)
{
	int err = attach_hooks(f, 0, N_HOOKS - N_FOLLOWS);

	if (!err) {
		err = faults_iter_begin(f);
		if (err)
			log_error("cannot attach an iterator: %s", errno_name(err));
	}
	return err;
}

void faults_detach(struct faults *f)
{
	bpf_link__destroy(f->iter);
	f->iter = NULL;
	while (f->n_links)
		bpf_link__destroy(f->links[--f->n_links]);
	free(f->links);
	f->links = NULL;
	f->cap_links = 0;
}
