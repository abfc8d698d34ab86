/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/opts_value.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

int opts_fail(int err, char **ret_msg, const char *fmt, ...)
{
	va_list ap;
	char *msg;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&msg, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	*ret_msg = msg;
	return err;
}

static int number_set(const struct opt *o, uint64_t v, void *field)
{
	if (v < o->min || (o->max && v > o->max))
		return -ERANGE;
	*(uint64_t *)field = v;
	return 0;
}

static int percent_set(const char *text, void *field)
{
	uint64_t billionths;
	int err = parse_seconds(text, &billionths); /* the same grammar: digits and a fraction */

	if (err)
		return err;
	if (billionths > 100 * NS_PER_S)
		return -ERANGE;
	*(double *)field = (double)billionths / (100.0 * (double)NS_PER_S);
	return 0;
}

static int pids_add(const char *text, struct opt_pids *pids)
{
	_cleanup_free_ int *more = NULL;
	size_t n;
	int *grown, err;

	err = parse_pids(text, &more, &n);
	if (err)
		return err;
	grown = reallocarray(pids->v, pids->n + n, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memcpy(grown + pids->n, more, n * sizeof(*grown));
	pids->v = grown;
	pids->n += n;
	return 0;
}

static int string_set(const char *text, char **field)
{
	char *copy;

	if (!*text)
		return -EINVAL;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int list_add(const char *text, struct opt_list *list)
{
	char **grown = reallocarray(list->v, list->n + 1, sizeof(*grown));
	int err;

	if (!grown)
		return -ENOMEM;
	list->v = grown;
	grown[list->n] = NULL;
	err = string_set(text, &grown[list->n]);
	if (!err)
		list->n++;
	return err;
}

static int enum_set(const struct opt *o, const char *text, int *field)
{
	for (int i = 0; o->names[i]; i++)
		if (strcmp(o->names[i], text) == 0) {
			*field = i;
			return 0;
		}
	return -EINVAL;
}

/* text: NULL for flags and counters only. -EINVAL, -ERANGE, -ENOMEM. */
static int value_set(const struct opt *o, const char *text, void *field)
{
	uint64_t v = 0;
	int err;

	switch (o->type) {
	case OPT_FLAG:
		*(bool *)field = true;
		return 0;
	case OPT_COUNTER:
		++*(unsigned int *)field;
		return 0;
	case OPT_U64:
		err = parse_u64(text, 0, UINT64_MAX, &v);
		return err ? err : number_set(o, v, field);
	case OPT_SIZE:
		err = parse_size(text, &v);
		return err ? err : number_set(o, v, field);
	case OPT_SECONDS:
		err = parse_seconds(text, &v);
		return err ? err : number_set(o, v, field);
	case OPT_MS:
		err = parse_u64(text, 0, UINT64_MAX / NS_PER_MS, &v);
		return err ? err : number_set(o, v * NS_PER_MS, field);
	case OPT_PERCENT:
		return percent_set(text, field);
	case OPT_PIDS:
		return pids_add(text, field);
	case OPT_STRING:
		return string_set(text, field);
	case OPT_LIST:
		return list_add(text, field);
	case OPT_ENUM:
		return enum_set(o, text, field);
	}
	return -EINVAL;
}

static const char *type_noun(enum opt_type type)
{
	static const char *const nouns[] = {
		[OPT_U64] = "a number",
		[OPT_SIZE] = "a size",
		[OPT_SECONDS] = "a time in seconds",
		[OPT_MS] = "a time in whole milliseconds",
		[OPT_PERCENT] = "a percentage",
		[OPT_PIDS] = "a list of process ids",
	};

	return (size_t)type < ARRAY_SIZE(nouns) && nouns[type] ? nouns[type] : "a value";
}

/* A limit in the unit the user types. */
static double limit_shown(const struct opt *o, uint64_t v)
{
	if (o->type == OPT_SECONDS)
		return (double)v / (double)NS_PER_S;
	return o->type == OPT_MS ? (double)(v / NS_PER_MS) : (double)v;
}

/* What value_set() said, as a line. who: "--min-size" or "INTERVAL". */
static int enum_explain(const struct opt *o, const char *who, const char *text, char **ret_msg)
{
	_cleanup_free_ char *words = NULL;
	size_t len;
	FILE *f = open_memstream(&words, &len);

	if (!f)
		return -ENOMEM;
	for (size_t i = 0; o->names[i]; i++)
		fprintf(f, "%s%s", i ? ", " : "", o->names[i]);
	if (fclose(f))
		return -ENOMEM;
	return opts_fail(-EINVAL, ret_msg, "%s: '%s' is not one of %s", who, text, words);
}

static int value_explain(const struct opt *o, const char *who, const char *text, char **ret_msg)
{
	return opts_fail(-EINVAL, ret_msg, "%s: '%s' is not %s", who, text, type_noun(o->type));
}

static int range_explain(const struct opt *o, const char *who, const char *text, char **ret_msg)
{
	if (o->type == OPT_PERCENT)
		return opts_fail(-EINVAL, ret_msg, "%s: '%s' is out of range (0 to 100)", who,
				 text);
	if (o->max)
		return opts_fail(-EINVAL, ret_msg, "%s: '%s' is out of range (%.15g to %.15g)", who,
				 text, limit_shown(o, o->min), limit_shown(o, o->max));
	if (o->min)
		return opts_fail(-EINVAL, ret_msg, "%s: '%s' is out of range (at least %.15g)", who,
				 text, limit_shown(o, o->min));
	return opts_fail(-EINVAL, ret_msg, "%s: '%s' is too large", who, text);
}

int opt_value_take(const struct opt *o, const char *text, void *field, char **ret_msg)
{
	bool operand = o->name[0] >= 'A' && o->name[0] <= 'Z';
	char who[64];
	int err = value_set(o, text, field);

	snprintf(who, sizeof(who), "%s%s", operand ? "" : "--", o->name);
	if (err == -EINVAL && !*text)
		return opts_fail(err, ret_msg, "%s: the value is empty", who);
	if (err == -ERANGE && o->type != OPT_PIDS)
		return range_explain(o, who, text, ret_msg);
	if (err == -EINVAL || err == -ERANGE)
		return o->type == OPT_ENUM ? enum_explain(o, who, text, ret_msg)
					   : value_explain(o, who, text, ret_msg);
	return err;
}

void opt_value_free(const struct opt *o, void *field)
{
	struct opt_list *list = field;

	if (o->type == OPT_PIDS)
		free(((struct opt_pids *)field)->v);
	if (o->type == OPT_STRING)
		free(*(char **)field);
	if (o->type != OPT_LIST)
		return;
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
}
