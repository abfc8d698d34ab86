/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows become a libpopt table at run time; popt splits argv into options and operands,
 * and every value goes through opt_value_take(), the defaults too: what --help calls
 * the default is the text that was parsed.
 *
 * popt sees argv only up to the first "--": the program behind it keeps its arguments
 * untouched, and options may stand on either side of INTERVAL.
 */
#include "lib/opts.h"
#include "lib/opts_value.h"

#include <errno.h>
#include <popt.h>
#include <string.h>

#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

static void popt_freep(poptContext *c)
{
	if (*c)
		poptFreeContext(*c);
}

static size_t rows_count(const struct opts_spec *s)
{
	size_t n = 0;

	for (const struct opt_group *const *g = s->groups; *g; g++)
		n += (*g)->n;
	return n;
}

/* Row number i over all groups, with the group it is in. */
static const struct opt *row_at(const struct opts_spec *s, size_t i,
				const struct opt_group **ret_group)
{
	const struct opt_group *const *g = s->groups;

	while (i >= (*g)->n)
		i -= (*g++)->n;
	*ret_group = *g;
	return &(*g)->opts[i];
}

static const char help_value = 'h';

/* popt's `val` is the row number + 1; --help is the row behind the last. */
static struct poptOption *popt_table(const struct opts_spec *s, size_t n)
{
	struct poptOption *t = calloc(n + 2, sizeof(*t));
	const struct opt_group *g;

	for (size_t i = 0; t && i < n; i++) {
		const struct opt *o = row_at(s, i, &g);
		bool flag = o->type == OPT_FLAG || o->type == OPT_COUNTER;

		t[i] = (struct poptOption){.longName = o->name,
					   .shortName = o->short_name,
					   .argInfo = flag ? POPT_ARG_NONE : POPT_ARG_STRING,
					   .val = (int)i + 1};
	}
	if (t)
		t[n] = (struct poptOption){"help",     help_value, POPT_ARG_NONE, NULL,
					   (int)n + 1, "",	   NULL};
	return t;
}

static int defaults_set(const struct opts_spec *s, void *cfg, char **ret_msg)
{
	const struct opt_group *g;
	size_t n = rows_count(s);
	int err = 0;

	memset(cfg, 0, s->config_size);
	if (s->word && s->word->fallback)
		err = opt_value_take(s->word, s->word->fallback, (char *)cfg + s->word->offset,
				     ret_msg);
	for (size_t i = 0; i < n && !err; i++) {
		const struct opt *o = row_at(s, i, &g);

		if (o->fallback)
			err = opt_value_take(o, o->fallback, opt_field(g, o, cfg), ret_msg);
	}
	return err;
}

static int options_take(const struct opts_spec *s, poptContext popt, void *cfg, char **ret_msg)
{
	const struct opt_group *g;
	size_t n = rows_count(s);
	int val, err = 0;

	while (!err && (val = poptGetNextOpt(popt)) > 0) {
		_cleanup_free_ char *text = poptGetOptArg(popt);
		const struct opt *o;

		if ((size_t)val > n)
			return OPTS_HELP;
		o = row_at(s, (size_t)val - 1, &g);
		err = opt_value_take(o, text, opt_field(g, o, cfg), ret_msg);
	}
	if (err || val == -1)
		return err;
	return opts_fail(-EINVAL, ret_msg, "%s: %s; see 'memtally %s --help'",
			 poptBadOption(popt, 0), poptStrerror(val), s->command);
}

/* The word that may come first, if it is one; *text goes on to the next operand. */
static void word_take(const struct opts_spec *s, poptContext popt, void *cfg, const char **text)
{
	for (int i = 0; s->word && *text && s->word->names[i]; i++) {
		if (strcmp(s->word->names[i], *text) != 0)
			continue;
		*(int *)((char *)cfg + s->word->offset) = i;
		*text = poptGetArg(popt);
		return;
	}
}

/* [INTERVAL [COUNT]]; the least interval is what a timer tick of ours can keep up with. */
static int operands_take(const struct opts_spec *s, poptContext popt, void *cfg, char **ret_msg)
{
	const struct opt rows[] = {
		{.name = "INTERVAL",
		 .type = OPT_SECONDS,
		 .offset = s->interval_offset,
		 .min = 10 * NS_PER_MS,
		 .max = 366 * 86400 * NS_PER_S},
		{.name = "COUNT", .type = OPT_U64, .offset = s->count_offset, .min = 1},
	};
	size_t n = s->takes_interval ? ARRAY_SIZE(rows) : 0;
	const struct opt list = {.name = s->operands, .type = OPT_LIST};
	const char *text = poptGetArg(popt);
	int err = 0;

	word_take(s, popt, cfg, &text);
	for (size_t i = 0; !err && text; i++, text = poptGetArg(popt)) {
		if (s->operands) {
			err = opt_value_take(&list, text, (char *)cfg + s->operands_offset,
					     ret_msg);
			continue;
		}
		if (i >= n)
			return opts_fail(-EINVAL, ret_msg, "unexpected argument '%s'%s", text,
					 s->takes_program ? "; a program goes behind '--'" : "");
		err = opt_value_take(&rows[i], text, (char *)cfg + rows[i].offset, ret_msg);
	}
	return err;
}

static int program_take(const struct opts_spec *s, char **argv, void *cfg, char **ret_msg)
{
	if (!s->takes_program)
		return opts_fail(-EINVAL, ret_msg, "runs no program: nothing goes behind '--'");
	if (!argv[0])
		return opts_fail(-EINVAL, ret_msg, "no program behind '--'");
	*(char ***)((char *)cfg + s->program_offset) = argv;
	return 0;
}

static int argv_take(const struct opts_spec *s, int argc, char **argv, void *cfg, char **ret_msg)
{
	_cleanup_free_ struct poptOption *table = popt_table(s, rows_count(s));
	_cleanup_(popt_freep) poptContext popt = NULL;
	int own = 1, err;

	while (own < argc && strcmp(argv[own], "--") != 0)
		own++;
	if (table)
		popt = poptGetContext(NULL, own, (const char **)argv, table, 0);
	if (!popt)
		return -ENOMEM;
	err = options_take(s, popt, cfg, ret_msg);
	if (!err)
		err = operands_take(s, popt, cfg, ret_msg);
	if (!err && own < argc)
		err = program_take(s, argv + own + 1, cfg, ret_msg);
	return err;
}

int opts_parse(const struct opts_spec *s, int argc, char **argv, void *cfg, char **ret_msg)
{
	int err = defaults_set(s, cfg, ret_msg);

	if (!err)
		err = argv_take(s, argc, argv, cfg, ret_msg);
	if (!err && s->check)
		err = s->check(cfg, ret_msg);
	if (err)
		opts_deinit(s, cfg);
	return err;
}

void opts_deinit(const struct opts_spec *s, void *cfg)
{
	const struct opt_group *g;
	size_t n = rows_count(s);

	for (size_t i = 0; i < n; i++) {
		const struct opt *o = row_at(s, i, &g);

		opt_value_free(o, opt_field(g, o, cfg));
	}
	if (s->operands)
		opt_value_free(&(struct opt){.type = OPT_LIST}, (char *)cfg + s->operands_offset);
	memset(cfg, 0, s->config_size);
}

int opts_each(const struct opts_spec *s, const void *cfg,
	      int (*fn)(const struct opt *o, const void *field, void *arg), void *arg)
{
	const struct opt_group *g;
	size_t n = rows_count(s);
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		const struct opt *o = row_at(s, i, &g);

		err = fn(o, (const char *)cfg + g->offset + o->offset, arg);
	}
	return err;
}
