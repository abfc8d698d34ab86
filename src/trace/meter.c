/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/meter.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "trace/collect.h"

/* The kernel's and our counters at one moment, or what they grew by. */
struct counts {
	uint64_t calls, slow, recorded;
	uint64_t run_ns;
	uint64_t enter, leave, ret_site, call; /* runs */
	uint64_t skipped;		       /* of call: entries whose return did not follow */
	uint64_t time_ns;
};

struct meter {
	struct meter_config c;
	struct probe_costs costs;
	int on_fd; /* holds the statistics on; -1 */
	bool works;
	struct counts settled, began; /* the end of the last measurement; begin of this one */
	double ns_per_call, trap_per_call;
	struct meter_sum sum; /* up to settled */
	int (*fn)(void *arg);
	void *arg;
};

static struct counts counts_now(const struct meter *m)
{
	uint64_t stats[STAT_COUNT] = {0};
	struct counts c = {.time_ns = clock_mono_ns()};
	struct bpf_program *p;

	collect_stats(m->c.stats, stats, STAT_COUNT); /* on failure all is 0 */
	c.calls = stats[STAT_CALLS];
	c.slow = stats[STAT_CALLS_SLOW];
	c.recorded = stats[STAT_ALLOCS];
	c.skipped = stats[STAT_CALLS_UNSEEN];
	bpf_object__for_each_program(p, m->c.obj)
	{
		struct program_counts n = collect_program(p);

		c.run_ns += n.run_ns;
		c.enter += p == m->c.programs.enter ? n.runs : 0;
		c.leave += p == m->c.programs.leave ? n.runs : 0;
		c.ret_site += p == m->c.programs.ret_site ? n.runs : 0;
		c.call += p == m->c.programs.call ? n.runs : 0;
	}
	return c;
}

/* What the probes took around the runs of a measured time. */
static double trap_ns(const struct meter *m, const struct counts *now)
{
	const struct probe_costs *c = &m->costs;
	double calls = (double)(now->calls - m->began.calls);
	double slow = calls > 0 ? (double)(now->slow - m->began.slow) / calls : 0;
	double enter_ns = c->enter_ns * (1 - slow) + c->slow_ns * slow;
	double both = (double)(now->call - m->began.call);
	double skipped = MIN((double)(now->skipped - m->began.skipped), both);
	double returns = (both - skipped) / 2; /* each with its entry */

	return ((double)(now->enter - m->began.enter) + both - returns) * enter_ns +
	       ((double)(now->leave - m->began.leave) + returns) * c->return_ns +
	       (double)(now->ret_site - m->began.ret_site) * c->ret_site_ns;
}

/* The statistics were on since m->began: takes them for all since m->settled. */
static void settle(struct meter *m)
{
	struct counts now = counts_now(m);
	uint64_t measured = now.calls - m->began.calls;
	uint64_t all = now.calls - m->settled.calls;
	double run = (double)(now.run_ns - m->began.run_ns), trap = trap_ns(m, &now);
	uint64_t on_ns = now.time_ns - m->began.time_ns;
	double scale = 1; /* of what was measured to all */

	if (measured)
		scale = (double)all / (double)measured;
	else if (on_ns) /* only hits of others */
		scale = (double)(now.time_ns - m->settled.time_ns) / (double)on_ns;
	if (measured) {
		m->ns_per_call = run / (double)measured;
		m->trap_per_call = trap / (double)measured;
	}
	m->sum.run_ns += run * scale;
	m->sum.trap_ns += trap * scale;
	m->began = m->settled = now;
}

static int switch_on(void *arg, int fd)
{
	struct meter *m = arg;

	(void)fd;
	if (m->on_fd < 0) {
		m->on_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
		m->began = counts_now(m);
	}
	return 0;
}

static int switch_off(void *arg, int fd)
{
	struct meter *m = arg;
	struct counts now;
	bool enough;

	(void)fd;
	if (m->on_fd < 0)
		return 0;
	now = counts_now(m);
	enough = now.calls - m->began.calls >= METER_MIN_CALLS;
	if (!enough && now.time_ns - m->began.time_ns < m->c.period_ns)
		return 0;
	settle(m);
	if (enough) {
		close(m->on_fd);
		m->on_fd = -1;
	}
	return m->fn ? m->fn(m->arg) : 0;
}

struct meter *meter_new(const struct meter_config *c)
{
	struct meter *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->c = *c;
	m->on_fd = -1;
	switch_on(m, -1);
	m->settled = m->began;
	m->works = m->on_fd >= 0;
	return m;
}

void meter_free(struct meter *m)
{
	if (!m)
		return;
	if (m->on_fd >= 0)
		close(m->on_fd);
	free(m);
}

void meter_set_costs(struct meter *m, const struct probe_costs *costs)
{
	m->costs = *costs;
}

int meter_schedule(struct meter *m, struct tracer *t, int (*fn)(void *arg), void *arg)
{
	uint64_t period = m->c.period_ns;
	int err;

	m->fn = fn;
	m->arg = arg;
	if (!m->works)
		return 0;
	err = tracer_add_timer(t, &(struct loop_timer){METER_ON_NS, period}, switch_off, m);
	if (!err)
		err = tracer_add_timer(t, &(struct loop_timer){period, period}, switch_on, m);
	return err;
}

void meter_read(struct meter *m, struct meter_sum *ret)
{
	struct counts now;
	double later; /* calls since the last measurement */

	if (m->on_fd >= 0)
		settle(m);
	now = counts_now(m);
	later = (double)(now.calls - m->settled.calls);
	*ret = m->sum;
	ret->calls = now.calls;
	ret->recorded = now.recorded;
	ret->timed = m->works;
	ret->run_ns += later * m->ns_per_call;
	ret->trap_ns += later * m->trap_per_call;
}
