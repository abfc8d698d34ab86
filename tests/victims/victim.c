/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "victim.h"

/* The counting preload library (oracle.c), when it is there. */
void oracle_start(void) __attribute__((weak));
void oracle_stop(void) __attribute__((weak));

static int victim_argc;
static char **victim_argv;
static int truth_fd = STDOUT_FILENO;
static char sites[65536], notes[4096];
static size_t sites_len, notes_len;

static void append(char *buf, size_t cap, size_t *len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	*len += vsnprintf(buf + *len, cap - *len, fmt, ap);
	va_end(ap);
	if (*len >= cap)
		abort();
}

static void write_all(const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(truth_fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(99);
		buf += n;
		len -= n;
	}
}

const char *victim_text(const char *name)
{
	for (int i = 1; i < victim_argc; i++) {
		if (strncmp(victim_argv[i], "--", 2) || strcmp(victim_argv[i] + 2, name))
			continue;
		return i + 1 < victim_argc ? victim_argv[i + 1] : "";
	}
	return NULL;
}

long victim_option(const char *name, long fallback)
{
	const char *text = victim_text(name);

	return text ? strtol(text, NULL, 0) : fallback;
}

long victim_load(const char *name, long fallback)
{
	const char *part = getenv("E2E_PART");

	return victim_option(name, part ? fallback / strtol(part, NULL, 10) : fallback);
}

void victim_init(int argc, char **argv)
{
	const char *file;

	victim_argc = argc;
	victim_argv = argv;
	file = victim_text("truth");
	if (file)
		truth_fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (truth_fd < 0)
		_exit(98);
	if (victim_text("comm"))
		prctl(PR_SET_NAME, victim_text("comm"));
}

/* Byte by byte: what comes after the line belongs to the next step. */
static void wait_line(void)
{
	char c = 0;

	if (victim_text("no-wait"))
		return;
	while (c != '\n') {
		ssize_t n = read(STDIN_FILENO, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
	}
}

void victim_step(const char *name)
{
	char line[256];
	int len = snprintf(line, sizeof(line), "{\"state\": \"%s\", \"pid\": %d}\n", name,
			   (int)getpid());

	write_all(line, len);
	wait_line();
}

void victim_count(void)
{
	if (oracle_start)
		oracle_start();
}

void victim_go(void)
{
	victim_step("start");
	victim_count();
}

static void append_chain(const char *chain)
{
	append(sites, sizeof(sites), &sites_len, "\"function\": \"%.*s\", \"chain\": [",
	       (int)strcspn(chain, " "), chain);
	while (*chain) {
		int len = strcspn(chain, " ");

		append(sites, sizeof(sites), &sites_len, "\"%.*s\"%s", len, chain,
		       chain[len] ? ", " : "");
		chain += len + (chain[len] == ' ');
	}
}

void victim_site(const struct victim_truth *t)
{
	append(sites, sizeof(sites), &sites_len, "%s\"%s\": {", sites_len ? ", " : "", t->name);
	append_chain(t->chain);
	append(sites, sizeof(sites), &sites_len, "], \"kind\": \"%s\", \"via\": \"%s\", ",
	       t->kind ? t->kind : "malloc", t->via ? t->via : "");
	append(sites, sizeof(sites), &sites_len, "\"bytes\": %ld, \"count\": ", t->bytes);
	if (t->count < 0)
		append(sites, sizeof(sites), &sites_len, "null}");
	else
		append(sites, sizeof(sites), &sites_len, "%ld}", t->count);
}

void victim_chain(const char *name, const char *kind, long bytes, long count)
{
	char chain[256];

	snprintf(chain, sizeof(chain), "%s_leaf %s_mid %s_top", name, name, name);
	victim_site(&(struct victim_truth){
		.name = name, .chain = chain, .kind = kind, .bytes = bytes, .count = count});
}

void victim_note(const char *key, long value)
{
	append(notes, sizeof(notes), &notes_len, "\"%s\": %ld, ", key, value);
}

int victim_ready(void)
{
	char head[128];
	int len;

	if (oracle_stop)
		oracle_stop();
	len = snprintf(head, sizeof(head), "{\"state\": \"ready\", \"pid\": %d, ", (int)getpid());
	write_all(head, len);
	write_all(notes, notes_len);
	write_all("\"sites\": {", 10);
	write_all(sites, sites_len);
	write_all("}}\n", 3);
	wait_line();
	if (victim_option("kill", 0)) {
		signal(victim_option("kill", 0), SIG_DFL);
		raise(victim_option("kill", 0));
	}
	return victim_option("status", 0);
}
