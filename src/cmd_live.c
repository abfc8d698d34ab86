/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd_live.h"

bool cmd_live_wanted(const struct common_opts *c)
{
	return !c->json && !c->folded && !c->program && live_possible();
}

static int on_input(void *arg, int fd)
{
	struct cmd_live *run = arg;

	(void)fd;
	switch (live_input(run->live)) {
	case LIVE_QUIT:
		return tracer_stop(run->tracer);
	case LIVE_INTERVAL:
		return tracer_set_interval(run->tracer, live_interval_ns(run->live));
	case LIVE_NOTHING:
		break;
	}
	return 0;
}

int cmd_live_open(struct cmd_live *run)
{
	int err = live_open(run->live);

	return err ? err : tracer_add_fd(run->tracer, live_fd(run->live), on_input, run);
}
