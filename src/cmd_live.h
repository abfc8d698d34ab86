/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_live.h - a live table in the event loop of a tracer, for any command. */
#ifndef MEMTALLY_CMD_LIVE_H
#define MEMTALLY_CMD_LIVE_H

#include "lib/opts_common.h"
#include "trace/tracer.h"
#include "view/live.h"

/*
 * Whether the report goes to a live table: there is a terminal, and no program of ours that
 * would write to it.
 */
bool cmd_live_wanted(const struct common_opts *c);
/* sort: title of a column, or NULL; strings must live as long. 0 or -ENOMEM. */
int cmd_live_new(const struct common_opts *c, const char *command, const char *sort,
		 struct live **ret);

struct cmd_live {
	struct tracer *tracer;
	struct live *live;
};
/*
 * Opens the table; *run must live as long as the loop. 0, also on a terminal of an unknown
 * kind (said, and the table is not open); -errno.
 */
int cmd_live_open(struct cmd_live *run);

#endif
