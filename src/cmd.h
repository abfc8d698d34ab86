/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd.h - a command is a row of data and one function. Adding one: a cmd_NAME.c that
 * defines its row, one line here, one line in main.c.
 */
#ifndef MEMTALLY_CMD_H
#define MEMTALLY_CMD_H

#include "lib/opts_common.h"

enum exit_status {
	STATUS_FINE = 0,
	STATUS_FAILURE = 1,
	STATUS_USAGE = 2,
	STATUS_INCOMPLETE = 3, /* something was lost; the losses were printed */
};

enum {
	CMD_NEEDS_ROOT = 1, /* root, or the capabilities that main.c names when they miss */
	CMD_COMMON = 2,	    /* its config begins with struct common_opts */
};

struct command {
	const char *name;
	unsigned int flags; /* CMD_* */
	const struct opts_spec *opts;
	/* cfg: filled as `opts` says. Has told the user about failures; returns enum exit_status.
	 */
	int (*run)(const void *cfg);
};

extern const struct command cmd_leak, cmd_kmem, cmd_faults, cmd_features;
extern const struct command cmd_cachestat, cmd_cachetop, cmd_resident;

#endif
