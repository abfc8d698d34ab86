/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "eu_stack.h"

void eu_stack_need(void)
{
	if (!access("/usr/bin/eu-stack", X_OK))
		return;
	print_message("skipped: no eu-stack\n");
	skip();
}

/*
 * "TID 12:\n#0  0x00007f... name\n..."; where a stack can't be followed to its end, then
 * "eu-stack: dwfl_thread_getframes tid 12 at ...: reason\n", in order, as error() flushes stdout.
 */
size_t eu_stack(pid_t pid, struct eu_thread *ret, size_t max)
{
	char command[64], line[1024];
	struct eu_thread *t = NULL;
	size_t n = 0;
	FILE *f;

	snprintf(command, sizeof(command), "eu-stack -n %d -p %d 2>&1", EU_STACK_FRAMES, pid);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		const char *hex = strstr(line, "0x");

		if (!strncmp(line, "TID ", 4)) {
			t = n < max ? &ret[n++] : NULL;
			if (t)
				*t = (struct eu_thread){.tid = (pid_t)strtol(line + 4, NULL, 10)};
		} else if (t && strstr(line, "dwfl_thread_getframes tid")) {
			t->cut = true;
		} else if (t && line[0] == '#' && hex && t->n < EU_STACK_FRAMES) {
			t->pcs[t->n++] = strtoull(hex, NULL, 16);
		}
	}
	pclose(f);
	return n;
}

const struct eu_thread *eu_stack_find(const struct eu_thread *threads, size_t n, pid_t tid)
{
	for (size_t i = 0; i < n; i++)
		if (threads[i].tid == tid)
			return &threads[i];
	return NULL;
}

bool is_stopped(pid_t pid, pid_t tid)
{
	_cleanup_free_ char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	return !read_file(path, &text, NULL) && strrchr(text, ')') && strrchr(text, ')')[2] == 'T';
}

void print_pcs(const char *who, const uint64_t *pcs, size_t n)
{
	printf("  %s:", who);
	for (size_t i = 0; i < n; i++)
		printf(" %lx", pcs[i]);
	printf("\n");
}
