/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The software events are opened per CPU for every process and the programs filter: exact
 * from the first moment for threads and children too. Period 1 is never throttled (linux
 * 6.12 kernel/events/core.c, perf_swevent_event: the shortcut for period 1).
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>

#include "faults.h"
#include "faults.skel.h"
#include "lib/log.h"
#include "trace/attach.h"

struct hook {
	struct bpf_program *prog;
	uint64_t config;      /* software event, where category is NULL */
	const char *category; /* tracepoint */
	const char *name;
	bool wanted, optional;
};

#define N_HOOKS 9

/* Every program but those that follow processes, which are attached before. */
static void hooks_fill(const struct faults *f, struct hook h[N_HOOKS])
{
	const struct faults_opts *o = f->o;
	bool full = o->detail == FAULTS_DETAIL_FULL;
	bool timed = o->detail != FAULTS_DETAIL_COUNT;
	bool both = o->major == o->minor;
	struct hook all[N_HOOKS] = {
		{f->bpf->progs.fault_start, PERF_COUNT_SW_PAGE_FAULTS, NULL, "page-faults", timed,
		 false},
		{f->bpf->progs.fault_minor, PERF_COUNT_SW_PAGE_FAULTS_MIN, NULL, "minor-faults",
		 both || o->minor, false},
		{f->bpf->progs.fault_major, PERF_COUNT_SW_PAGE_FAULTS_MAJ, NULL, "major-faults",
		 both || o->major, false},
		{f->bpf->progs.fault_page_alloc, 0, "kmem", "mm_page_alloc", full && !o->bad,
		 false},
		{f->bpf->progs.fault_exception_user, 0, "exceptions", "page_fault_user",
		 full && !o->bad, true},
		{f->bpf->progs.fault_exception_kernel, 0, "exceptions", "page_fault_kernel",
		 full && !o->bad, true},
		{f->bpf->progs.fault_page_free, 0, "kmem", "mm_page_free", o->rss, false},
		{f->bpf->progs.fault_signal, 0, "signal", "signal_generate", timed && !o->rss,
		 false},
		{f->bpf->progs.fault_exit, 0, "sched", "sched_process_exit", !o->rss, false},
	};

	memcpy(h, all, sizeof(all));
}

void faults_select(struct faults *f)
{
	struct hook h[N_HOOKS];

	hooks_fill(f, h);
	for (size_t i = 0; i < N_HOOKS; i++)
		bpf_program__set_autoload(h[i].prog, h[i].wanted);
	bpf_program__set_autoload(f->bpf->progs.fault_exec, true);
	bpf_program__set_autoload(f->bpf->progs.fault_newtask, f->o->common.follow);
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
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = h->config,
		.sample_period = 1,
		.disabled = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	struct bpf_link *link;
	int err;

	if (fd < 0)
		return errno == ENODEV ? 0 : -errno; /* a CPU that is off */
	link = bpf_program__attach_perf_event(h->prog, fd);
	err = libbpf_get_error(link);
	if (err) {
		close(fd);
		return err;
	}
	return keep_link(f, link);
}

static int attach_hook(struct faults *f, const struct hook *h)
{
	int cpus = libbpf_num_possible_cpus(), err = 0;
	struct bpf_link *link;

	if (h->category) {
		err = attach_tracepoint(h->prog, h->category, h->name, &link);
		return err ? err : keep_link(f, link);
	}
	if (cpus < 0)
		return cpus;
	for (int cpu = 0; cpu < cpus && !err; cpu++)
		err = attach_cpu(f, h, cpu);
	return err;
}

/*
 * From the last one up, START at the end: a fault that is under way then is counted without
 * its time, whereas a START whose END nobody watches would look like a fault that failed.
 */
int faults_attach(struct faults *f)
{
	struct hook h[N_HOOKS];
	int err;

	hooks_fill(f, h);
	for (size_t k = N_HOOKS; k > 0; k--) {
		struct hook *hook = &h[k - 1];

		if (!hook->wanted)
			continue;
		err = attach_hook(f, hook);
		if (err == -ENOENT && hook->optional)
			continue;
		if (err) {
			log_error("cannot attach to '%s': %s", hook->name, errno_name(err));
			return err;
		}
		f->has_error_code |= hook->optional;
	}
	return 0;
}

void faults_detach(struct faults *f)
{
	for (size_t i = 0; i < f->n_links; i++)
		bpf_link__destroy(f->links[i]);
	free(f->links);
	f->links = NULL;
	f->n_links = f->cap_links = 0;
}
