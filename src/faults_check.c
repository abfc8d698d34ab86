/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The check of every run: what was traced against what the kernel counted for the same
 * threads (min_flt and maj_flt: in /proc/PID/task/TID/stat while they live, taken at their
 * exit by fault_exit). What the kernel faulted in on a process's behalf has no event: it is
 * the difference. Where a process runs while we attach, the faults of that moment are in
 * the kernel's number or not; `slack` bounds them.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "faults.skel.h"
#include "trace/collect.h"

struct counters {
	uint64_t minor, major;
};

struct base {
	pid_t pid;
	struct counters before, after;
};

struct faults_check {
	struct base *v;
	size_t n, cap;
};

struct faults_check *faults_check_new(void)
{
	return calloc(1, sizeof(struct faults_check));
}

void faults_check_free(struct faults_check *c)
{
	if (c)
		free(c->v);
	free(c);
}

/* Adds the counters of one thread that is alive (proc(5), stat: fields 3, 10 and 12). */
static void thread_read(pid_t pid, const char *tid, struct counters *sum)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long minor, major;
	char path[64], *rest, state;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/stat", pid, tid);
	if (read_file(path, &text, NULL))
		return;
	rest = strrchr(text, ')');
	if (!rest ||
	    sscanf(rest, ") %c %*d %*d %*d %*d %*d %*u %llu %*u %llu", &state, &minor, &major) != 3)
		return;
	if (state == 'Z' || state == 'X')
		return; /* counted at its exit */
	sum->minor += minor;
	sum->major += major;
}

static struct counters process_read(pid_t pid)
{
	struct counters sum = {0, 0};
	struct dirent *e;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			thread_read(pid, e->d_name, &sum);
	if (dir)
		closedir(dir);
	return sum;
}

int faults_check_begin(struct faults *f, bool attached)
{
	struct processes *all = tracer_processes(f->tracer);
	struct faults_check *c = f->check;

	if (attached) {
		for (size_t i = 0; i < c->n; i++)
			c->v[i].after = process_read(c->v[i].pid);
		return 0;
	}
	for (size_t i = 0; i < processes_count(all); i++) {
		pid_t pid = processes_at(all, i)->pid;

		if (array_reserve(&c->v, &c->cap, c->n + 1, sizeof(*c->v)))
			return -ENOMEM;
		c->v[c->n++] = (struct base){.pid = pid, .before = process_read(pid)};
	}
	return 0;
}

/* ---- the end ---- */

struct sums {
	struct counters kernel, traced, slack;
	struct fault_proc procs;
};

void faults_proc_sum(struct fault_proc *to, const struct fault_proc *add)
{
	to->failed += add->failed;
	to->bad += add->bad;
	to->exit_minor += add->exit_minor;
	to->exit_major += add->exit_major;
	to->taken_minor += add->taken_minor;
	to->taken_major += add->taken_major;
}

static int on_proc(const void *key, const void *value, void *arg)
{
	(void)key;
	faults_proc_sum(&((struct sums *)arg)->procs, value);
	return 0;
}

static int on_cell(const struct fault_cell *c, void *arg)
{
	struct sums *s = arg;

	s->traced.minor += c->minor;
	s->traced.major += c->major;
	return 0;
}

static int sums_read(struct faults *f, struct sums *s)
{
	struct collect_map procs = {f->procs_fd, sizeof(uint64_t), sizeof(struct fault_proc)};
	struct processes *all = tracer_processes(f->tracer);
	int err = collect_each_gently(&procs, on_proc, s);

	faults_proc_sum(&s->procs, &f->gone.procs);
	s->kernel = (struct counters){s->procs.exit_minor, s->procs.exit_major};
	s->traced = (struct counters){f->gone.minor, f->gone.major};
	if (!err)
		err = faults_cells_each(f->cells, on_cell, s);
	for (size_t i = 0; i < processes_count(all) && !err; i++) {
		const struct process *p = processes_at(all, i);
		struct counters now;

		if (p->ended)
			continue;
		now = process_read(p->pid);
		s->kernel.minor += now.minor;
		s->kernel.major += now.major;
	}
	for (size_t i = 0; i < f->check->n && !err; i++) {
		const struct base *b = &f->check->v[i];

		s->kernel.minor -= b->before.minor;
		s->kernel.major -= b->before.major;
		if (b->after.minor > b->before.minor)
			s->slack.minor += b->after.minor - b->before.minor;
		if (b->after.major > b->before.major)
			s->slack.major += b->after.major - b->before.major;
	}
	return err;
}

/*
 *	Kernel counters: 6065 minor and 0 major faults; not traced: 6001 minor and 0 major ...
 */
static void message_fill(struct faults *f, const struct sums *s, char *buf, size_t len)
{
	static const char taken[] = "by the kernel for the process (exec, populate, mlock, direct "
				    "I/O)";
	bool both = f->o->major == f->o->minor;
	int n = snprintf(buf, len, "Kernel counters: %lld minor and %lld major faults",
			 (long long)s->kernel.minor, (long long)s->kernel.major);

	if (f->iter) {
		snprintf(buf + n, len - (size_t)n, ", with those taken %s", taken);
		return;
	}
	n += snprintf(buf + n, len - (size_t)n,
		      "; not traced: %lld minor and %lld major, taken %s%s",
		      both || f->o->minor ? (long long)(s->kernel.minor - s->traced.minor) : 0,
		      both || f->o->major ? (long long)(s->kernel.major - s->traced.major) : 0,
		      taken, s->slack.minor + s->slack.major ? " or while we attached" : "");
	if (f->bpf->rodata->fault_cfg.both_ends)
		snprintf(buf + n, len - (size_t)n, "; %llu more failed",
			 (unsigned long long)(s->procs.failed + s->procs.bad));
}

static struct view_field number(const char *key, uint64_t n)
{
	return (struct view_field){.key = key, .kind = VIEW_COUNT, .n = n};
}

/* Signed: more traced than counted would be a mistake of ours, and must show. */
static struct view_field difference(const char *key, uint64_t kernel, uint64_t traced)
{
	return (struct view_field){
		.key = key, .kind = VIEW_REAL, .real = (double)(int64_t)(kernel - traced)};
}

int faults_check_print(struct faults *f)
{
	struct sums s = {0};
	char message[300];
	int err = sums_read(f, &s);
	struct view_field v[] = {
		number("kernel_minor", s.kernel.minor),
		number("kernel_major", s.kernel.major),
		number("traced_minor", s.traced.minor),
		number("traced_major", s.traced.major),
		difference("missing_minor", s.kernel.minor, s.traced.minor),
		difference("missing_major", s.kernel.major, s.traced.major),
		number("taken_minor", s.procs.taken_minor),
		number("taken_major", s.procs.taken_major),
		number("slack", s.slack.minor + s.slack.major),
		number("failed", s.procs.failed),
		number("bad", s.procs.bad),
		{.key = "message", .kind = VIEW_WORD, .word = message, .title = ""},
	};

	if (err)
		return err;
	message_fill(f, &s, message, sizeof(message));
	return view_record(f->view, &(struct view_record){.type = "check",
							  .time_ns = f->now_ns,
							  .tick = f->ticks,
							  .fields = v,
							  .n_fields = ARRAY_SIZE(v)});
}
