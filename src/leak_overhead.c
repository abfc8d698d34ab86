/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leak_overhead.c - what tracing costs is measured, said, and held under --max-overhead.
 */
#include <bpf/libbpf.h>
#include <errno.h>

#include "leak.h"
#include "lib/log.h"

/* Objects may have come since: their sites count for the mean cost of a hit. */
static void overhead_now(struct leak *l, struct leak_overhead_at *ret)
{
	struct probe_costs costs;

	probes_costs(l->probes, &costs);
	meter_set_costs(l->meter, &costs);
	meter_read(l->meter, &ret->sum);
	ret->time_ns = clock_mono_ns();
}

static uint64_t interval_now(const struct leak *l)
{
	return sample_interval_of(l->o->sample_bytes, l->throttle.step);
}

/* The meter has a new period: is the bound kept? */
static int on_measured(void *arg)
{
	struct leak *l = arg;
	struct leak_overhead_at now;
	struct throttle_window w;

	overhead_now(l, &now);
	w = (struct throttle_window){
		.ns = now.time_ns - l->judged.time_ns,
		.run_ns = now.sum.run_ns - l->judged.sum.run_ns,
		.trap_ns = now.sum.trap_ns - l->judged.sum.trap_ns,
		.calls = now.sum.calls - l->judged.sum.calls,
		.recorded = now.sum.recorded - l->judged.sum.recorded,
	};
	l->judged = now;
	if (!throttle_take(&l->throttle, &w))
		return 0;
	__atomic_store_n(&l->bpf->bss->sample_step, l->throttle.step, __ATOMIC_RELAXED);
	log_verbose("tracing took %.2f %% of one CPU: now one sample per %llu bytes",
		    l->throttle.ratio * 100, (unsigned long long)interval_now(l));
	return 0;
}

int leak_overhead_start(struct leak *l)
{
	bool bound = l->o->max_overhead > 0;
	struct meter_config c = {
		.obj = l->bpf->obj,
		.stats = bpf_map__fd(l->bpf->maps.stats),
		.programs = {.enter = l->bpf->progs.leak_enter,
			     .leave = l->bpf->progs.leak_return,
			     .ret_site = l->bpf->progs.leak_ret_site,
			     .call = l->bpf->progs.leak_call},
		.period_ns = bound ? METER_FAST_NS : METER_PERIOD_NS,
	};

	l->meter = meter_new(&c);
	if (!l->meter)
		return -ENOMEM;
	l->throttle = (struct throttle){.bound = l->o->max_overhead, .first = l->o->sample_bytes};
	overhead_now(l, &l->judged);
	l->began = l->reported = l->judged;
	if (bound && !l->judged.sum.timed) {
		log_error(
			"--max-overhead needs the kernel's statistics of BPF programs (Linux 5.8, "
			"CAP_SYS_ADMIN)");
		return -EOPNOTSUPP;
	}
	return meter_schedule(l->meter, l->tracer, bound ? on_measured : NULL, l);
}

static struct view_cost cost_between(const struct leak *l, const struct leak_overhead_at *from,
				     const struct leak_overhead_at *to)
{
	return (struct view_cost){
		.duration_ns = to->time_ns - from->time_ns,
		.events = to->sum.calls - from->sum.calls,
		.timed = to->sum.timed,
		.run_ns = to->sum.run_ns - from->sum.run_ns,
		.trap_ns = to->sum.trap_ns - from->sum.trap_ns,
		.sample_bytes = interval_now(l),
		.bound = l->throttle.bound,
		.over = l->throttle.over,
		.floor_over = l->throttle.floor_over,
	};
}

int leak_overhead_report(struct leak *l, uint64_t time_ns)
{
	struct leak_overhead_at now;
	struct view_cost cost;

	if (!l->o->common.verbose && l->throttle.bound <= 0)
		return 0;
	overhead_now(l, &now);
	cost = cost_between(l, &l->reported, &now);
	l->reported = now;
	return view_cost(l->view, time_ns, l->ticks, &cost);
}

void leak_overhead_total(struct leak *l, struct view_cost *ret)
{
	struct leak_overhead_at now;

	overhead_now(l, &now);
	*ret = cost_between(l, &l->began, &now);
}
