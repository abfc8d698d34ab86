/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/throttle.h"

#include <math.h>

#include "sample.h"

#define MARGIN	    0.9 /* of the bound: what is measured may be a tenth too little */
#define AIM	    0.8 /* of the bound: what a raise goes for */
#define LEAST	    0.1 /* of the bound, for our programs, where the probes use it up */
#define RAISE_MOST  4	/* steps at once: the next window knows better */
#define LOWER_UNDER 0.6 /* of the bound, reckoned for twice the samples */
#define LOWER_AFTER 20	/* windows */
#define FLOOR_CALLS 256 /* per recorded one: the programs' time is theirs, not the samples' */

static uint32_t step_max(const struct throttle *t)
{
	uint32_t step = t->step;

	while (step + 1 < SAMPLE_STEPS && sample_interval_of(t->first, step + 1) <= SAMPLE_LARGEST)
		step++;
	return step;
}

/* Is there something left to save? */
static bool can_raise(const struct throttle *t, const struct throttle_window *w)
{
	return step_max(t) > t->step && w->recorded > w->calls / FLOOR_CALLS;
}

static void raise(struct throttle *t, const struct throttle_window *w)
{
	double allowed = t->bound * (double)w->ns;
	double left = MAX(AIM * allowed - w->trap_ns, LEAST * allowed);
	double steps = ceil(log2(MAX(w->run_ns / left, 1.01)));

	t->step = MIN(t->step + (uint32_t)MIN(steps, (double)RAISE_MOST), step_max(t));
	t->raised++;
	t->calm = 0;
}

bool throttle_take(struct throttle *t, const struct throttle_window *w)
{
	double cost = w->run_ns + w->trap_ns;
	double allowed = t->bound * (double)w->ns;

	if (!w->ns)
		return false;
	t->ratio = cost / (double)w->ns;
	t->over = cost > allowed;
	t->floor_over = t->over && !can_raise(t, w);
	if (cost > MARGIN * allowed && can_raise(t, w)) {
		raise(t, w);
		return true;
	}
	t->calm = cost + w->run_ns < LOWER_UNDER * allowed ? t->calm + 1 : 0;
	if (!t->step || t->calm < LOWER_AFTER)
		return false;
	t->step--;
	t->calm = 0;
	return true;
}
