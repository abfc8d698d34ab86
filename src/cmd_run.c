/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd_run.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "lib/log.h"
#include "trace/features.h"
#include "trace/unwind_objects.h"

bool cmd_wants_machine(const struct common_opts *c)
{
	return !c->pids.n && !c->cgroup && !c->program;
}

/* Namespaces are files; the inode of the initial pid namespace is fixed (PROC_PID_INIT_INO). */
static bool own_pidns(struct stat *ret)
{
	return !stat("/proc/self/ns/pid", ret) && ret->st_ino != 0xEFFFFFFCU;
}

bool cmd_in_pid_namespace(void)
{
	struct stat st;

	return own_pidns(&st);
}

struct tracer_config cmd_tracer_config(const struct common_opts *c)
{
	return (struct tracer_config){
		.pids = c->pids.v,
		.n_pids = c->pids.n,
		.follow = c->follow,
		.all = c->all,
		.cgroup = c->cgroup,
		.program = c->program,
		.memlock = c->memlock,
		.interval_ns = c->interval_ns,
		.count = c->count,
		.duration_ns = c->duration_ns,
	};
}

void cmd_configure(const struct common_opts *c, bool every, struct cfg *ret)
{
	struct stat st;

	ret->scope = c->cgroup ? SCOPE_CGROUP : every ? SCOPE_ALL : SCOPE_PIDS;
	ret->self_tgid = (uint32_t)getpid();
	ret->follow = c->follow;
	ret->hold = feature_has(FEATURE_EVENTS_SKIPPED) && feature_has(FEATURE_PREEMPT_OFF);
	if (!own_pidns(&st))
		return;
	ret->pidns_dev = st.st_dev;
	ret->pidns_ino = st.st_ino;
}

void cmd_configure_unwind(const struct common_opts *c, struct unwind_cfg *ret)
{
	static const uint32_t modes[] = {
		[UNWIND_OPT_AUTO] = UNWIND_DWARF,
		[UNWIND_OPT_DWARF] = UNWIND_DWARF,
		[UNWIND_OPT_FP] = UNWIND_FP,
		[UNWIND_OPT_NONE] = UNWIND_NONE,
	};

	unwind_configure(ret);
	ret->mode = modes[c->unwind];
	ret->max_frames = (uint32_t)c->max_frames;
}

int cmd_enable_stats(const struct common_opts *c)
{
	int fd;

	if (!c->verbose)
		return -1;
	if (feature_has(FEATURE_EVENTS_SKIPPED)) {
		log_verbose("the time of programs is not measured: events would be skipped for it");
		return -1;
	}
	fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	return fd < 0 ? -1 : fd;
}

void cmd_say_stopped(const struct common_opts *c, const struct tracer *t, int err)
{
	if (c->program && !tracer_program_began(t))
		log_error("cannot run '%s': %s", c->program[0], errno_name(err));
	else
		log_error("cannot go on: %s", errno_name(err));
}

int cmd_scan(const struct common_opts *c, struct tracer *t)
{
	int err = tracer_scan(t);

	if (err)
		cmd_say_stopped(c, t, err);
	return err;
}

/* ---- the first and the last record ---- */

static struct view_target *list_targets(struct processes *all)
{
	size_t n = processes_count(all);
	struct view_target *v = calloc(n + 1, sizeof(*v));

	for (size_t i = 0; v && i < n; i++) {
		struct process *p = processes_at(all, i);

		v[i] = (struct view_target){p->pid, p->comm, p->exe};
	}
	return v;
}

int cmd_print_start(struct view *v, struct tracer *t, const struct view_start *s)
{
	_cleanup_free_ struct view_target *targets = NULL;
	struct view_start start = *s;
	struct utsname u;

	start.time_ns = clock_real_ns();
	start.version = MEMTALLY_VERSION;
	start.kernel = uname(&u) ? "" : u.release;
	if (t && !s->targets) {
		targets = list_targets(tracer_processes(t));
		if (!targets)
			return -ENOMEM;
		start.targets = targets;
		start.n_targets = processes_count(tracer_processes(t));
	}
	return view_start(v, &start);
}

int cmd_print_end(struct view *v, struct tracer *t, uint64_t ticks, const struct view_cost *cost)
{
	struct view_end end = {.time_ns = clock_real_ns(), .ticks = ticks, .cost = *cost};
	unsigned long long repaired = tracer_repaired(t);

	if (repaired)
		log_verbose("%llu process events were lost; what the targets map was read again",
			    repaired);
	end.has_program = tracer_finish_program(t, &end.wait_status);
	return view_end(v, &end);
}

/* ---- losses ---- */

void losses_deinit(struct losses *l)
{
	free(l->v);
	*l = (struct losses){0};
}

void losses_add(struct losses *l, struct loss loss)
{
	if (!l->err)
		l->err = array_reserve(&l->v, &l->cap, l->n + 1, sizeof(*l->v));
	if (!l->err)
		l->v[l->n++] = loss;
}

void losses_add_stats(struct losses *l, const struct stat_loss *rows, size_t n_rows,
		      const uint64_t *stats)
{
	for (size_t i = 0; i < n_rows; i++) {
		struct loss loss = rows[i].loss;

		loss.count = stats[rows[i].stat];
		losses_add(l, loss);
	}
}

void losses_add_tracer(struct losses *l, struct tracer *t)
{
	struct unwinder_stats s;

	unwinder_stats(tracer_unwinder(t), &s);
	losses_add(l, (struct loss){"mappings_lost", tracer_lost(t),
				    "process events lost: names or stacks may miss mappings",
				    "give memtally more CPU"});
	losses_add(l, (struct loss){
			      "unwind_tables_full", s.objects_full + s.mappings_full + s.rules_full,
			      "objects or mappings without room in the unwind tables",
			      "restrict the targets; frames there fall back to frame pointers"});
}

bool losses_any(const struct losses *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].count)
			return true;
	return false;
}
