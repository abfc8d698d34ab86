/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * demo_leak - the program of `make demo`: a small server that answers 150 requests in
 * about three seconds and then stops. Three of its functions keep what nobody frees:
 *
 *	session_open()   a session per client; those of clients that hang up are forgotten
 *	path_remember()  strdup() of each path, into a list that is only ever added to
 *	history_append() a log that grows by realloc(): one block, and it never shrinks
 *
 * page_render() allocates as much as all of them, but page_send() frees it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REQUESTS      150
#define PAUSE_NS      20000000L
#define SESSION_BYTES 2048
#define PAGE_BYTES    16384
#define ENTRY_BYTES   64

/* Calls stay calls, so that every function is in the stacks. */
#define CALLED __attribute__((noinline, noclone))

struct path {
	char *name;
	struct path *next;
};

/* Reachable, and still a leak: nothing ever takes an element out. */
static struct path paths[REQUESTS];
static struct path *path_list;
static char *history;
static size_t history_bytes;

struct tally {
	size_t sessions, path_bytes;
};

static void *must(void *p)
{
	if (!p) {
		perror("demo_leak");
		exit(1);
	}
	return p;
}

static CALLED void *session_open(unsigned int client)
{
	char *session = must(malloc(SESSION_BYTES));

	memset(session, (int)client, SESSION_BYTES);
	return session;
}

static CALLED void session_close(void *session)
{
	free(session);
}

static CALLED void path_remember(struct path *p, const char *name)
{
	p->name = must(strdup(name));
	p->next = path_list;
	path_list = p;
}

static CALLED void history_append(unsigned int client)
{
	history = must(realloc(history, history_bytes + ENTRY_BYTES));
	memset(history + history_bytes, (int)client, ENTRY_BYTES);
	history_bytes += ENTRY_BYTES;
}

static CALLED char *page_render(const char *name)
{
	char *page = must(malloc(PAGE_BYTES));

	snprintf(page, PAGE_BYTES, "<h1>%s</h1>", name);
	return page;
}

static CALLED void page_send(char *page)
{
	free(page);
}

static CALLED void request_handle(unsigned int client, struct tally *tally)
{
	void *session = session_open(client);
	char name[64];

	snprintf(name, sizeof(name), "/articles/2024/how-to-find-a-leak/page-%03u", client);
	path_remember(&paths[client], name);
	tally->path_bytes += strlen(name) + 1;
	history_append(client);
	page_send(page_render(name));
	/* Every third client hangs up, and this return path forgot about the session. */
	if (client % 3 == 0) {
		tally->sessions++;
		return;
	}
	session_close(session);
}

int main(void)
{
	struct timespec pause = {.tv_nsec = PAUSE_NS};
	struct tally tally = {0};

	for (unsigned int client = 0; client < REQUESTS; client++) {
		request_handle(client, &tally);
		nanosleep(&pause, NULL);
	}
	fprintf(stderr,
		"demo_leak: kept %zu bytes in %zu sessions, %zu in %u paths, %zu of history\n",
		tally.sessions * SESSION_BYTES, tally.sessions, tally.path_bytes, REQUESTS,
		history_bytes);
	return 0;
}
