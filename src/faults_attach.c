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
#include "trace/features.h"

enum hook_kind {
	HOOK_EVENT,    /* software event, see config */
	HOOK_RAW,      /* raw tracepoint */
	HOOK_TASKS,    /* likewise; two programs are needed everywhere (bpf/fault_tasks.bpf.h) */
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
		{f->bpf->progs.fault_page_alloc, HOOK_RAW, 0, "mm_page_alloc", full},
		{f->bpf->progs.fault_page_free, HOOK_RAW, 0, "mm_page_free", o->rss && !sampled},
		{f->bpf->progs.fault_sample_alloc, HOOK_RAW, 0, "mm_page_alloc", sampled},
		{f->bpf->progs.fault_sample_kernel, HOOK_RAW, 0, "page_fault_kernel",
		 sampled && exceptions},
		{f->bpf->progs.fault_sample_abort, HOOK_FUNCTION, 0, "do_mem_abort",
		 sampled && aborts},
		{f->bpf->progs.fault_signal, HOOK_RAW, 0, "signal_generate", timed && !o->rss},
		{f->bpf->progs.fault_exit, HOOK_TASKS, 0, "sched_process_exit", true},
		{f->bpf->progs.fault_newtask, HOOK_TASKS, 0, "task_newtask", o->common.follow},
		{f->bpf->progs.fault_exec, HOOK_TASKS, 0, "sched_process_exec", true},
	};

	memcpy(h, all, sizeof(all));
}

static unsigned int usual_turns(const struct hook *h)
{
	return h->kind == HOOK_TASKS ? 2 : 1;
}

void faults_select(struct faults *f)
{
	struct hook h[N_HOOKS];

	hooks_fill(f, h);
	for (size_t i = 0; i < N_HOOKS; i++)
		turns_load(f->bpf->obj, h[i].prog, usual_turns(&h[i]), h[i].wanted);
	bpf_program__set_autoload(f->bpf->progs.fault_tasks, f->bpf->rodata->fault_cfg.counters);
	bpf_program__set_autoload(f->bpf->progs.fault_pages, f->o->sample > 1);
}

static int attach_hook(struct faults *f, const struct hook *h)
{
	if (!h->wanted)
		return 0;
	if (h->kind == HOOK_EVENT)
		return attach_software_event(&f->links, h->prog, h->config);
	if (h->kind == HOOK_FUNCTION)
		return links_keep(&f->links, bpf_program__attach_trace(h->prog));
	return turns_attach(&f->links, f->bpf->obj, h->prog, usual_turns(h), h->name);
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
	links_drop(&f->links);
}
