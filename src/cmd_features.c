/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_features.c - `memtally features`: what the running kernel offers, found by trying.
 *
 *	btf              yes  kernel types for CO-RE; needed by everything
 *	uprobe-session   no   entry and return in one program (v6.13, d920179b3d48)
 *
 * and what each command makes of it:
 *
 *	leak       probes       one perf event each (no uprobe-multi)
 *	kmem       vmalloc      not here: no vmalloc-events
 */
#include <errno.h>
#include <jansson.h>

#include "cmd.h"
#include "lib/log.h"
#include "methods.h"
#include "trace/features.h"

struct features_opts {
	bool json;
};

static const struct opt features_rows[] = {
	OPT_ROW("json", 0, OPT_FLAG, offsetof(struct features_opts, json), NULL,
		"One JSON object instead of text"),
};

static const struct opt_group features_group = {
	.title = "Output",
	.opts = features_rows,
	.n = ARRAY_SIZE(features_rows),
};

static const struct opt_group *const features_groups[] = {&features_group, NULL};

static const struct opts_spec features_spec = {
	.command = "features",
	.summary = "What the running kernel offers",
	.groups = features_groups,
	.examples = "memtally features\n",
	.config_size = sizeof(struct features_opts),
};

/* {"leak": {"probes": "one perf event each"}, ..}; a part that has no way here is null. */
static json_t *methods_json(void)
{
	json_t *all = json_object(), *command;
	struct method_choice c;

	for (size_t i = 0; all && method_choice(i, &c); i++) {
		command = json_object_get(all, c.command);
		if (!command) {
			command = json_object();
			json_object_set_new(all, c.command, command);
		}
		json_object_set_new(command, c.part, c.text ? json_string(c.text) : json_null());
	}
	return all;
}

static int print_json(void)
{
	json_t *all = json_object();
	int err = all ? 0 : -ENOMEM;

	for (int i = 0; i < FEATURE_COUNT && !err; i++)
		err = json_object_set_new(all, feature_name((enum feature)i),
					  json_boolean(feature_has((enum feature)i)));
	if (!err)
		err = json_object_set_new(all, "methods", methods_json());
	if (!err && json_dumpf(all, stdout, JSON_PRESERVE_ORDER))
		err = -EIO;
	json_decref(all);
	if (!err)
		putchar('\n');
	return err;
}

static void print_methods(void)
{
	struct method_choice c;

	for (size_t i = 0; method_choice(i, &c); i++) {
		printf("%-10s %-12s %s", c.command, c.part, c.text ? c.text : "not here");
		if (c.lacked)
			printf(c.text ? " (no %s)" : ": no %s", c.lacked);
		putchar('\n');
	}
}

/* The exit status; says why it is not written. */
static int written(int err)
{
	if (!err && fflush(stdout))
		err = -errno;
	if (err)
		log_error("cannot write: %s", errno_name(err));
	return err ? STATUS_FAILURE : STATUS_FINE;
}

static int run(const void *cfg)
{
	const struct features_opts *o = cfg;

	if (o->json)
		return written(print_json());
	for (int i = 0; i < FEATURE_COUNT; i++)
		printf("%-18s %-4s %s\n", feature_name((enum feature)i),
		       feature_has((enum feature)i) ? "yes" : "no", feature_about((enum feature)i));
	putchar('\n');
	print_methods();
	return written(0);
}

const struct command cmd_features = {
	.name = "features",
	.flags = CMD_NEEDS_ROOT,
	.opts = &features_spec,
	.run = run,
};
