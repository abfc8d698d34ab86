/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of a command against its manual, both ways: every option with its default
 * and its words is in the manual, and the manual has no other ones. Included by the tests
 * of the tables; they run in the top directory.
 */
#ifndef MEMTALLY_TESTS_OPTS_MANUAL_H
#define MEMTALLY_TESTS_OPTS_MANUAL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/opts.h"

#define SHARED_MANUAL "docs/memtally.1"

struct manual {
	const char *path;
	char *text;
	char *shared; /* of what all commands have; NULL: the manual must have it all */
};

/* The .It line of an option up to the next item; NULL: not there. To be freed. */
static char *manual_item(const char *text, const struct opt *o)
{
	const char *end_of_head = o->metavar ? " Ns = Ns Ar " : "\n";
	char head[128];
	const char *at, *end;

	if (o->short_name)
		snprintf(head, sizeof(head), ".It Fl %c , Fl -%s%s", o->short_name, o->name,
			 end_of_head);
	else
		snprintf(head, sizeof(head), ".It Fl -%s%s", o->name, end_of_head);
	at = strstr(text, head);
	if (!at)
		return NULL;
	end = strstr(at + 1, "\n.It ");
	return end ? strndup(at, (size_t)(end - at)) : strdup(at);
}

static int row_in_manual(const struct opt *o, const void *field, void *arg)
{
	const struct manual *m = arg;
	_cleanup_free_ char *own = manual_item(m->text, o);
	_cleanup_free_ char *item = own || !m->shared ? NULL : manual_item(m->shared, o);
	const char *found = own ? own : item;
	char text[64];

	(void)field;
	if (!found)
		fail_msg("--%s: not in %s", o->name, m->path);
	snprintf(text, sizeof(text), "\nDefault: %s", o->fallback ? o->fallback : "");
	if (o->fallback && !strstr(found, text))
		fail_msg("--%s: %s does not say its default %s", o->name, m->path, o->fallback);
	for (size_t i = 0; o->names && o->names[i]; i++) {
		snprintf(text, sizeof(text), "Cm %s", o->names[i]);
		if (!strstr(found, text))
			fail_msg("--%s: %s does not name %s", o->name, m->path, o->names[i]);
	}
	return 0;
}

static int row_is_named(const struct opt *o, const void *field, void *arg)
{
	const char *name = arg;
	size_t len = strlen(o->name);

	(void)field;
	return strncmp(name, o->name, len) == 0 && strchr(" \n", name[len]);
}

/* other: a command in the same manual, with the same configuration; or NULL. */
static void manual_names_no_more(const struct manual *m, const struct opts_spec *spec,
				 const struct opts_spec *other, const void *cfg)
{
	for (char *at = m->text; (at = strstr(at, "\n.It Fl ")); at++) {
		char *name = strstr(at, "Fl -") + strlen("Fl -");

		if (strncmp(name, "help\n", 5) != 0 && !opts_each(spec, cfg, row_is_named, name) &&
		    !(other && opts_each(other, cfg, row_is_named, name)))
			fail_msg("%s: no such option: %.20s", m->path, name);
	}
}

/* cfg: room for the command's configuration. The words of enums count too. */
static void assert_manual_of_two(const struct opts_spec *spec, const struct opts_spec *other,
				 const void *cfg, const char *path, bool refers)
{
	struct manual m = {.path = path};

	assert_int_equal(read_file(path, &m.text, NULL), 0);
	if (refers)
		assert_int_equal(read_file(SHARED_MANUAL, &m.shared, NULL), 0);
	opts_each(spec, cfg, row_in_manual, &m);
	manual_names_no_more(&m, spec, other, cfg);
	free(m.text);
	free(m.shared);
}

static inline void assert_manual_is_true(const struct opts_spec *spec, const void *cfg,
					 const char *path, bool refers)
{
	assert_manual_of_two(spec, NULL, cfg, path, refers);
}

#endif
