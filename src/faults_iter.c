/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is looked at when a report is due, by an iterator in the kernel: the counters of all
 * tasks, in place of a program on the faults (bpf/fault_counters.bpf.h); or the pages of a
 * sample, whether they are still there (bpf/fault_rss.bpf.h).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "faults.h"
#include "faults.skel.h"
#include "trace/features.h"
#include "trace/skeleton.h"

/*
 * Per process or thread is all that counters know. In a cgroup processes come and go between
 * two looks, and the iterator numbers tasks as the initial pid namespace does.
 */
bool faults_counters_usable(const struct faults *f)
{
	const unsigned int known = FAULTS_BY_PROCESS | FAULTS_BY_THREAD;

	return f->o->detail == FAULTS_DETAIL_COUNT && !(f->by & ~known) && !f->o->common.cgroup &&
	       !f->bpf->rodata->cfg.pidns_ino && feature_has(FEATURE_TASK_ITER) &&
	       feature_has(FEATURE_TASK_STORAGE) && !skeleton_is_old();
}

#define LOOKS 32 /* at most for one report, for tasks that the kernel had no memory for at once */

/* -EAGAIN: the kernel went over many elements and wants to be asked on. */
static int look(struct faults *f)
{
	_cleanup_close_ int fd = bpf_iter_create(bpf_link__fd(f->iter));
	char nothing[8];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = read(fd, nothing, sizeof(nothing));
	while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	return n ? -errno : 0;
}

int faults_iter_read(struct faults *f)
{
	uint32_t *untaken = &f->bpf->bss->fault_untaken;
	int err = 0;

	for (int i = 0; i < LOOKS && f->iter && !err && (!i || *untaken); i++) {
		*untaken = 0;
		err = look(f);
	}
	f->untaken = *untaken;
	return err;
}

static int begin_counters(struct faults *f)
{
	uint64_t now_ns = clock_mono_ns();
	int err;

	f->iter = bpf_program__attach_iter(f->bpf->progs.fault_tasks, NULL);
	if (!f->iter)
		return -errno;
	err = faults_iter_read(f);
	f->bpf->bss->fault_counting = err ? 0 : now_ns;
	return err;
}

static int begin_sample(struct faults *f)
{
	union bpf_iter_link_info info = {
		.map.map_fd = (uint32_t)bpf_map__fd(f->bpf->maps.blocks),
	};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));

	f->iter = bpf_program__attach_iter(f->bpf->progs.fault_pages, &opts);
	return f->iter ? 0 : -errno;
}

int faults_iter_begin(struct faults *f)
{
	if (f->bpf->rodata->fault_cfg.counters)
		return begin_counters(f);
	return f->o->sample > 1 ? begin_sample(f) : 0;
}
