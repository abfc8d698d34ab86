/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bare count from the kernel's own counters of each task, without a program on the
 * faults (bpf/fault_counters.bpf.h): at each report an iterator passes all tasks.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sys/stat.h>

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

/* -EAGAIN: the kernel went over many tasks and wants to be asked on. */
int faults_counters_read(struct faults *f)
{
	_cleanup_close_ int fd = bpf_iter_create(bpf_link__fd(f->tasks));
	char nothing[8];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = read(fd, nothing, sizeof(nothing));
	while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	return n ? -errno : 0;
}

int faults_counters_begin(struct faults *f)
{
	int err;

	f->tasks = bpf_program__attach_iter(f->bpf->progs.fault_tasks, NULL);
	if (!f->tasks)
		return -errno;
	err = faults_counters_read(f);
	f->bpf->bss->fault_counting = !err;
	return err;
}
