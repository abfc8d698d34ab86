/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "lib/opts.h"
#include "trace/tracer_parts.h"

static int add_pid(struct tracer *t, pid_t pid, char **ret_msg)
{
	const char *why = NULL;
	struct process *p;
	int err;

	if (processes_find_pid(t->processes, pid))
		return 0;
	err = process_check_target(pid, &why);
	if (err)
		return opts_fail(err, ret_msg, "cannot trace pid %d: %s", pid, why);
	err = processes_add(t->processes, pid, &p);
	if (err)
		return opts_fail(err, ret_msg, "cannot trace pid %d: %s", pid, errno_name(err));
	return 0;
}

/* Processes that can't be traced (kernel threads, 32-bit ones) are no error here. */
static void add_pid_quietly(struct tracer *t, pid_t pid)
{
	_cleanup_free_ char *msg = NULL;

	if (pid != getpid())
		add_pid(t, pid, &msg);
}

static int add_all(struct tracer *t)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	uint64_t pid;

	if (!dir)
		return -errno;
	while ((e = readdir(dir)))
		if (!parse_u64(e->d_name, 1, INT32_MAX, &pid))
			add_pid_quietly(t, (pid_t)pid);
	closedir(dir);
	return 0;
}

static int add_cgroup_procs(struct tracer *t, const char *path)
{
	_cleanup_fclose_ FILE *f = NULL;
	char file[4200];
	int pid;

	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	f = fopen(file, "re");
	if (!f)
		return -errno;
	while (fscanf(f, "%d", &pid) == 1)
		if (pid > 0)
			add_pid_quietly(t, pid);
	return 0;
}

/* cgroup.procs of the whole subtree; depth is bounded because links are not followed. */
static int add_cgroup(struct tracer *t, const char *path, int depth)
{
	char sub[4096];
	struct dirent *e;
	DIR *dir;
	int err = add_cgroup_procs(t, path);

	if (err || depth > 32)
		return err;
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		if (snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name) < (int)sizeof(sub))
			add_cgroup(t, sub, depth + 1); /* may vanish meanwhile */
	}
	closedir(dir);
	return 0;
}

static int add_program(struct tracer *t, char **ret_msg)
{
	struct process *p;
	int err = spawn_hold(t->cfg.program, &t->cfg.memlock, &t->spawn);

	if (!err)
		err = processes_add(t->processes, t->spawn.pid, &p);
	if (err)
		return opts_fail(err, ret_msg, "cannot start '%s': %s", t->cfg.program[0],
				 errno_name(err));
	maps_deinit(&p->maps); /* still ours; the program's own come with its exec */
	process_will_run(p, t->cfg.program[0]);
	return 0;
}

int targets_add(struct tracer *t, char **ret_msg)
{
	int err = 0;

	for (size_t i = 0; i < t->cfg.n_pids && !err; i++)
		err = add_pid(t, t->cfg.pids[i], ret_msg);
	if (!err && t->cfg.cgroup) {
		err = add_cgroup(t, t->cfg.cgroup, 0);
		if (err)
			return opts_fail(err, ret_msg, "cannot read cgroup '%s': %s", t->cfg.cgroup,
					 errno_name(err));
	}
	if (!err && t->cfg.all)
		err = add_all(t);
	if (!err && t->cfg.program)
		err = add_program(t, ret_msg);
	return err;
}
