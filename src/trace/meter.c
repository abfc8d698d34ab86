/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/meter.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "trace/collect.h"

struct counts {
	uint64_t calls, run_ns;
};

struct meter {
	const struct bpf_object *obj;
	int stats, on_fd; /* on_fd: holds the statistics on; -1 */
	bool works;
	struct counts began, measured;
};

static struct counts counts_now(const struct meter *m)
{
	uint64_t stats[STAT_COUNT] = {0};
	struct counts c = {0};
	struct bpf_program *p;

	if (!collect_stats(m->stats, stats, STAT_COUNT))
		c.calls = stats[STAT_CALLS];
	bpf_object__for_each_program(p, m->obj)
	{
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		if (bpf_program__fd(p) >= 0 &&
		    !bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len))
			c.run_ns += info.run_time_ns;
	}
	return c;
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

static void settle(struct meter *m)
{
	struct counts now = counts_now(m);

	m->measured.calls += now.calls - m->began.calls;
	m->measured.run_ns += now.run_ns - m->began.run_ns;
	m->began = now;
}

static int switch_off(void *arg, int fd)
{
	struct meter *m = arg;

	(void)fd;
	if (m->on_fd < 0 || counts_now(m).calls - m->began.calls < METER_MIN_CALLS)
		return 0;
	settle(m);
	close(m->on_fd);
	m->on_fd = -1;
	return 0;
}

struct meter *meter_new(const struct bpf_object *obj, int stats)
{
	struct meter *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->obj = obj;
	m->stats = stats;
	m->on_fd = -1;
	switch_on(m, -1);
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

int meter_schedule(struct meter *m, struct tracer *t)
{
	int err;

	if (!m->works)
		return 0;
	err = tracer_add_timer(t, &(struct loop_timer){METER_ON_NS, METER_PERIOD_NS}, switch_off,
			       m);
	if (!err)
		err = tracer_add_timer(t, &(struct loop_timer){METER_PERIOD_NS, METER_PERIOD_NS},
				       switch_on, m);
	return err;
}

void meter_read(struct meter *m, uint64_t *ret_calls, double *ret_run_ns)
{
	*ret_calls = counts_now(m).calls;
	if (m->on_fd >= 0)
		settle(m);
	if (!m->works || (*ret_calls && !m->measured.calls))
		*ret_run_ns = -1;
	else if (!*ret_calls)
		*ret_run_ns = (double)m->measured.run_ns;
	else
		*ret_run_ns =
			(double)m->measured.run_ns * (double)*ret_calls / (double)m->measured.calls;
}
