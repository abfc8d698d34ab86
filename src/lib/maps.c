/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/maps.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

struct line {
	const char *pos, *end;
	bool bad;
};

static uint64_t line_number(struct line *l, unsigned int base)
{
	const char *start = l->pos;
	uint64_t v = 0;

	for (; l->pos < l->end && isxdigit((unsigned char)*l->pos); l->pos++) {
		unsigned int c = (unsigned char)*l->pos;
		unsigned int digit =
			isdigit(c) ? c - '0' : (unsigned int)tolower((int)c) - 'a' + 10;

		if (digit >= base || __builtin_mul_overflow(v, base, &v) ||
		    __builtin_add_overflow(v, digit, &v))
			l->bad = true;
	}
	if (l->pos == start)
		l->bad = true;
	return v;
}

static void line_expect(struct line *l, char c)
{
	if (l->pos < l->end && *l->pos == c)
		l->pos++;
	else
		l->bad = true;
}

static bool line_flag(struct line *l, char yes, char no)
{
	char c = l->pos < l->end ? *l->pos++ : '\0';

	if (c != yes && c != no)
		l->bad = true;
	return c == yes;
}

static uint32_t line_u32(struct line *l, unsigned int base)
{
	uint64_t v = line_number(l, base);

	if (v > UINT32_MAX)
		l->bad = true;
	return (uint32_t)v;
}

/*
 * The rest of the line. The kernel escapes nothing but the newline (as \012, see
 * show_map_vma() -> seq_path()), so nothing else may be undone: a backslash in a file
 * name stands for itself.
 */
static char *line_path(struct line *l, bool *ret_deleted)
{
	static const char deleted[] = " (deleted)";
	size_t len, tail = sizeof(deleted) - 1;
	char *path, *to;

	while (l->pos < l->end && *l->pos == ' ')
		l->pos++;
	len = (size_t)(l->end - l->pos);
	*ret_deleted = len > tail && *l->pos == '/' && !memcmp(l->end - tail, deleted, tail);
	if (*ret_deleted)
		len -= tail;
	to = path = malloc(len + 1);
	if (!path)
		return NULL;
	for (const char *p = l->pos, *end = p + len; p < end; to++) {
		if (end - p >= 4 && !memcmp(p, "\\012", 4)) {
			*to = '\n';
			p += 4;
		} else {
			*to = *p++;
		}
	}
	*to = '\0';
	return path;
}

static int line_parse(struct line *l, struct mapping *ret)
{
	struct mapping m = {};

	m.start = line_number(l, 16);
	line_expect(l, '-');
	m.end = line_number(l, 16);
	line_expect(l, ' ');
	m.prot |= line_flag(l, 'r', '-') ? MAP_READ : 0;
	m.prot |= line_flag(l, 'w', '-') ? MAP_WRITE : 0;
	m.prot |= line_flag(l, 'x', '-') ? MAP_EXEC : 0;
	m.prot |= line_flag(l, 's', 'p') ? MAP_SHARED_VM : 0;
	line_expect(l, ' ');
	m.offset = line_number(l, 16);
	line_expect(l, ' ');
	m.dev_major = line_u32(l, 16);
	line_expect(l, ':');
	m.dev_minor = line_u32(l, 16);
	line_expect(l, ' ');
	m.inode = line_number(l, 10);
	if (l->pos < l->end && *l->pos != ' ')
		l->bad = true;
	if (l->bad || m.start >= m.end || memchr(l->pos, '\0', (size_t)(l->end - l->pos)))
		return -EBADMSG;
	m.path = line_path(l, &m.deleted);
	if (!m.path)
		return -ENOMEM;
	*ret = m;
	return 0;
}

/* Takes over m->path, also on failure. */
static int maps_append(struct maps *maps, struct mapping *m)
{
	int err;

	/*
	 * A text read in several pieces from a running process may show a mapping twice
	 * that was merged in between: the later sight is the newer one.
	 */
	if (maps->n && m->start < maps->v[maps->n - 1].end) {
		err = maps_insert(maps, m);
		free(m->path);
		return err;
	}
	err = array_reserve(&maps->v, &maps->cap, maps->n + 1, sizeof(*maps->v));
	if (err) {
		free(m->path);
		return err;
	}
	maps->v[maps->n++] = *m;
	return 0;
}

int maps_parse(const char *text, size_t len, struct maps *ret)
{
	_cleanup_(maps_deinit) struct maps maps = {};
	const char *end = text + len;
	struct mapping m;
	int err;

	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		struct line l = {.pos = text, .end = nl ? nl : end};

		err = line_parse(&l, &m);
		if (!err)
			err = maps_append(&maps, &m);
		if (err)
			return err;
		text = nl ? nl + 1 : end;
	}
	*ret = maps;
	maps = (struct maps){};
	return 0;
}

int maps_read(pid_t pid, struct maps *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	size_t len;
	int err;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	err = read_file(path, &text, &len);
	if (err)
		return err == -ENOENT ? -ESRCH : err;
	return maps_parse(text, len, ret);
}

/* Index of the first mapping that ends above addr; m->n if none. */
static size_t maps_lower(const struct maps *m, uint64_t addr)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->v[mid].end > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

const struct mapping *maps_find(const struct maps *m, uint64_t addr)
{
	size_t i = maps_lower(m, addr);

	return i < m->n && m->v[i].start <= addr ? &m->v[i] : NULL;
}

static void mapping_set_start(struct mapping *m, uint64_t start)
{
	if (m->inode)
		m->offset += start - m->start;
	m->start = start;
}

int maps_insert(struct maps *m, const struct mapping *add)
{
	_cleanup_free_ char *path = strdup(add->path ? add->path : "");
	_cleanup_free_ char *tail_path = NULL;
	struct mapping item = *add, tail = {};
	size_t lo, hi, first, last;
	int err;

	if (item.start >= item.end)
		return -EINVAL;
	err = array_reserve(&m->v, &m->cap, m->n + 2, sizeof(*m->v));
	if (err || !path)
		return -ENOMEM;
	lo = maps_lower(m, item.start);
	for (hi = lo; hi < m->n && m->v[hi].start < item.end; hi++)
		;
	/* [first, last): what goes away whole; a piece may stay on either side. */
	first = lo;
	last = hi;
	if (lo < hi && m->v[hi - 1].end > item.end) {
		tail = m->v[hi - 1];
		tail_path = strdup(tail.path);
		if (!tail_path)
			return -ENOMEM;
		tail.path = tail_path;
		mapping_set_start(&tail, item.end);
	}
	if (lo < hi && m->v[lo].start < item.start) {
		m->v[lo].end = item.start;
		first++;
	}
	for (size_t i = first; i < last; i++)
		free(m->v[i].path);
	memmove(m->v + first + 1 + !!tail_path, m->v + last, (m->n - last) * sizeof(*m->v));
	m->n = m->n - (last - first) + 1 + !!tail_path;
	item.path = take_ptr(path);
	m->v[first] = item;
	if (tail_path) {
		m->v[first + 1] = tail;
		tail_path = NULL; /* now in the table */
	}
	return 0;
}

int maps_copy(const struct maps *m, struct maps *ret)
{
	_cleanup_(maps_deinit) struct maps copy = {};
	int err = array_reserve(&copy.v, &copy.cap, m->n, sizeof(*copy.v));

	if (err)
		return err;
	for (size_t i = 0; i < m->n; i++) {
		copy.v[i] = m->v[i];
		copy.v[i].path = strdup(m->v[i].path);
		if (!copy.v[i].path)
			return -ENOMEM;
		copy.n++;
	}
	*ret = copy;
	copy = (struct maps){};
	return 0;
}

void maps_deinit(struct maps *m)
{
	for (size_t i = 0; m && i < m->n; i++)
		free(m->v[i].path);
	if (m) {
		free(m->v);
		*m = (struct maps){};
	}
}
