/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parser of --alloc and --free; the grammar stands in allocators.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "trace/allocators.h"

struct parser {
	const char *text, *pos;
	bool is_free;
	struct alloc_custom out;
	bool has_size, has_ptr, has_ok; /* keys seen */
	char *msg;
};

static _printf_(2, 3) int fail(struct parser *p, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&what, fmt, ap);
	va_end(ap);
	if (n < 0) {
		what = NULL;
		return -ENOMEM;
	}
	if (asprintf(&p->msg, "bad --%s '%s': %s at character %zu", p->is_free ? "free" : "alloc",
		     p->text, what, (size_t)(p->pos - p->text) + 1) < 0) {
		p->msg = NULL;
		return -ENOMEM;
	}
	return -EINVAL;
}

static bool take(struct parser *p, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(p->pos, word, len))
		return false;
	p->pos += len;
	return true;
}

/* What stands before the next separator, for messages. */
static int next_len(const struct parser *p)
{
	return (int)strcspn(p->pos, ":=,*");
}

static int parse_arg(struct parser *p, uint8_t *ret)
{
	const char *digit = p->pos + 3;

	if (strncmp(p->pos, "arg", 3) || *digit < '1' || *digit > '6' || !strchr(":=,*", digit[1]))
		return fail(p, "expected arg1 to arg6 instead of '%.*s'", next_len(p), p->pos);
	*ret = (uint8_t)(*digit - '0');
	p->pos += 4;
	return 0;
}

static int parse_size_arg(struct parser *p)
{
	struct alloc_spec *s = &p->out.spec;
	int err;

	p->has_size = true;
	err = parse_arg(p, &s->size_arg);
	if (err || !take(p, "*"))
		return err;
	return parse_arg(p, &s->count_arg);
}

static int parse_ptr(struct parser *p)
{
	struct alloc_spec *s = &p->out.spec;

	p->has_ptr = true;
	if (p->is_free)
		return parse_arg(p, &s->ptr_arg);
	if (take(p, "ret"))
		return 0;
	if (!take(p, "*"))
		return fail(p, "expected ret or *arg1 to *arg6 instead of '%.*s'", next_len(p),
			    p->pos);
	return parse_arg(p, &s->out_arg);
}

static int parse_old(struct parser *p)
{
	p->out.spec.op = ALLOC_OP_REALLOC;
	return parse_arg(p, &p->out.spec.ptr_arg);
}

static int parse_ok(struct parser *p)
{
	static const char *const names[] = {[ALLOC_OK_NONNULL] = "nonnull",
					    [ALLOC_OK_ZERO] = "zero",
					    [ALLOC_OK_NOT_MINUS1] = "notminus1"};

	p->has_ok = true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (take(p, names[i])) {
			p->out.spec.ok = (uint8_t)i;
			return 0;
		}
	}
	return fail(p, "expected nonnull, zero or notminus1 instead of '%.*s'", next_len(p),
		    p->pos);
}

static int parse_throws(struct parser *p)
{
	if (take(p, "yes"))
		p->out.spec.flags |= ALLOC_FLAG_THROWS;
	else if (!take(p, "no"))
		return fail(p, "expected yes or no instead of '%.*s'", next_len(p), p->pos);
	return 0;
}

static const struct key {
	const char *name;
	bool for_free;
	int (*parse)(struct parser *p);
} keys[] = {
	{"size=", false, parse_size_arg}, {"ptr=", true, parse_ptr},
	{"old=", false, parse_old},	  {"ok=", false, parse_ok},
	{"throws=", false, parse_throws},
};

static int parse_key(struct parser *p, unsigned int *seen)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (p->is_free && !keys[i].for_free)
			continue;
		if (*seen & 1U << i && !strncmp(p->pos, keys[i].name, strlen(keys[i].name)))
			return fail(p, "%.*s stands twice", next_len(p), p->pos);
		if (take(p, keys[i].name)) {
			*seen |= 1U << i;
			return keys[i].parse(p);
		}
	}
	return fail(p,
		    p->is_free ? "expected ptr= instead of '%.*s'"
			       : "expected size=, ptr=, old=, ok= or throws= instead of '%.*s'",
		    next_len(p), p->pos);
}

static int parse_keys(struct parser *p)
{
	unsigned int seen = 0;
	int err;

	do {
		err = parse_key(p, &seen);
		if (err)
			return err;
	} while (take(p, ","));
	return *p->pos ? fail(p, "expected a comma instead of '%s'", p->pos) : 0;
}

/* Copies up to the next colon or the end. */
static int parse_word(struct parser *p, char **ret)
{
	size_t len = strcspn(p->pos, ":");

	*ret = strndup(p->pos, len);
	p->pos += len;
	return *ret ? 0 : -ENOMEM;
}

static int parse_object(struct parser *p)
{
	char *object;
	int err;

	if (!strchr(p->pos, ':'))
		return fail(p, "expected OBJECT:FUNCTION%s", p->is_free ? "" : ":size=ARG");
	err = parse_word(p, &object);
	if (err)
		return err;
	p->out.object = object;
	if (!strcmp(object, "exe"))
		*object = '\0';
	if (*object != '/' && strchr(object, '/')) {
		p->pos = p->text;
		return fail(p, "OBJECT must be an absolute path or a name without '/'");
	}
	p->pos++;
	return 0;
}

static int parse_function(struct parser *p)
{
	const char *start = p->pos;
	int err = parse_word(p, &p->out.function);

	if (err)
		return err;
	if (p->pos == start)
		return fail(p, "expected a function");
	p->out.by_vaddr = !strncmp(p->out.function, "0x", 2);
	if (!p->out.by_vaddr || !parse_u64(p->out.function, 1, UINT64_MAX, &p->out.vaddr))
		return 0;
	p->pos = start;
	return fail(p, "'%s' is no address", p->out.function);
}

static int parse_spec(struct parser *p)
{
	struct alloc_spec *s = &p->out.spec;
	int err = parse_object(p) ?: parse_function(p);

	if (err)
		return err;
	s->op = p->is_free ? ALLOC_OP_FREE : ALLOC_OP_ALLOC;
	s->kind = ALLOC_KIND_CUSTOM;
	if (take(p, ":"))
		err = parse_keys(p);
	if (err)
		return err;
	if (p->is_free && !p->has_ptr)
		s->ptr_arg = 1;
	if (!p->is_free && !p->has_size)
		return fail(p, "size=ARG is missing");
	if (s->out_arg && !p->has_ok)
		s->ok = ALLOC_OK_ZERO;
	return 0;
}

static void custom_deinit(struct alloc_custom *c)
{
	free(c->object);
	free(c->function);
}

void alloc_custom_free(struct alloc_custom *custom, size_t n)
{
	for (size_t i = 0; i < n; i++)
		custom_deinit(&custom[i]);
	free(custom);
}

static int parse_list(const struct opt_list *list, bool is_free, struct alloc_custom *v, size_t *n,
		      char **ret_msg)
{
	for (size_t i = 0; i < list->n; i++) {
		struct parser p = {.text = list->v[i], .pos = list->v[i], .is_free = is_free};
		int err = parse_spec(&p);

		if (err) {
			custom_deinit(&p.out);
			if (p.msg)
				*ret_msg = p.msg;
			return err;
		}
		v[(*n)++] = p.out;
	}
	return 0;
}

int alloc_custom_parse(const struct opt_list *alloc, const struct opt_list *free_,
		       struct alloc_custom **ret, size_t *ret_n, char **ret_msg)
{
	struct alloc_custom *v;
	size_t n = 0;
	int err;

	if (alloc->n > ALLOC_CUSTOM_MAX || free_->n > ALLOC_CUSTOM_MAX - alloc->n) {
		if (asprintf(ret_msg, "more than %d --alloc and --free", ALLOC_CUSTOM_MAX) < 0)
			return -ENOMEM;
		return -E2BIG;
	}
	v = calloc(alloc->n + free_->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	err = parse_list(alloc, false, v, &n, ret_msg);
	if (!err)
		err = parse_list(free_, true, v, &n, ret_msg);
	if (err) {
		alloc_custom_free(v, n);
		return err;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}
