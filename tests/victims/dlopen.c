/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that arrives after the tracer: --lib FILE (libleak.so) is loaded after `go` and
 * leaks --blocks N (250), in a thread of its own with --thread 1 (--one-step: and is ready);
 * --second FILE one step later, as many again. --close unloads the first again, with its blocks
 * left. --objects N loads N copies DIR/N.so before the start.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "victim.h"

struct leak {
	void (*top)(long);
	long n;
};

NOINLINE static void call_leak(const struct leak *l)
{
	l->top(l->n);
	NO_TAIL_CALL();
}

static void *in_thread(void *arg)
{
	call_leak(arg);
	return NULL;
}

static void leak(const struct leak *l)
{
	pthread_t thread;

	if (!victim_option("thread", 0)) {
		call_leak(l);
		return;
	}
	if (pthread_create(&thread, NULL, in_thread, (void *)l))
		abort();
	pthread_join(thread, NULL);
}

static void *load(const char *file, struct leak *l)
{
	void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	l->top = lib ? (void (*)(long))dlsym(lib, "libleak_top") : NULL;
	if (!l->top)
		abort();
	return lib;
}

static void load_objects(long n)
{
	for (long i = 0; i < n; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%ld.so", victim_text("dir"), i);
		if (!dlopen(path, RTLD_NOW | RTLD_LOCAL))
			abort();
	}
}

int main(int argc, char **argv)
{
	long loads = 1;
	struct leak l;
	void *lib;

	victim_init(argc, argv);
	load_objects(victim_option("objects", 0));
	victim_go();
	l.n = victim_option("blocks", 250);
	lib = load(victim_text("lib"), &l);
	leak(&l);
	if (!victim_text("one-step"))
		victim_step("loaded");
	if (victim_text("close"))
		dlclose(lib);
	if (victim_text("second")) {
		load(victim_text("second"), &l);
		leak(&l);
		loads++;
	}
	victim_note("loads", loads);
	victim_site(&(struct victim_truth){.name = "lib",
					   .chain = "libleak_leaf libleak_mid libleak_top "
						    "call_leak",
					   .bytes = loads * l.n * 52,
					   .count = loads * l.n});
	return victim_ready();
}
