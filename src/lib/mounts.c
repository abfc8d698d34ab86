/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/mounts.h"

#include <errno.h>
#include <string.h>

/* Octal escapes of mountinfo (space, tab, newline, backslash) in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* ID PARENT MAJOR:MINOR ROOT AT OPTIONS [TAG...] - TYPE SOURCE OPTIONS */
static bool parse(char *line, struct mount *ret)
{
	char *word[5], *rest = line, *type;

	for (size_t i = 0; i < ARRAY_SIZE(word); i++) {
		word[i] = strsep(&rest, " ");
		if (!rest)
			return false;
	}
	type = strstr(rest, " - ");
	if (!type || sscanf(word[2], "%u:%u", &ret->major, &ret->minor) != 2)
		return false;
	type += strlen(" - ");
	type[strcspn(type, " \n")] = '\0';
	unescape(word[3]);
	unescape(word[4]);
	ret->root = word[3];
	ret->at = word[4];
	ret->type = type;
	return true;
}

int mounts_each(bool (*fn)(const struct mount *m, void *arg), void *arg)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	struct mount m;
	size_t cap = 0;

	if (!f)
		return -errno;
	while (getline(&line, &cap, f) > 0)
		if (parse(line, &m) && fn(&m, arg))
			return 1;
	return 0;
}
