/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/log.h"

#include <stdarg.h>

/* The one exception to "no global state": where messages go is a property of the process. */
static struct {
	const char *prefix;
	enum log_level level;
} log_state = {.prefix = "memtally", .level = LOG_INFO};

void log_init(const char *prefix, enum log_level level)
{
	log_state.prefix = prefix;
	log_state.level = level;
}

enum log_level log_level(void)
{
	return log_state.level;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	if (level > log_state.level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s: %s\n", log_state.prefix, text);
}
