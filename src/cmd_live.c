/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd_live.h"

#include <errno.h>

#include "lib/log.h"

bool cmd_live_wanted(const struct common_opts *c)
{
	return !c->json && !c->folded && !c->program && live_possible();
}

int cmd_live_new(const struct common_opts *c, const char *command, const char *sort,
		 struct live **ret)
{
	return live_new(
		&(struct live_config){
			.command = command,
			.interval_ns = c->interval_ns ? c->interval_ns : 1000000000ULL,
			.sort = sort,
		},
		ret);
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

	if (err == -ENOTTY) {
		log_warn("no live table: this kind of terminal is not known");
		return 0;
	}
	return err ? err : tracer_add_fd(run->tracer, live_fd(run->live), on_input, run);
}
