/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that arrives after the tracer: --lib FILE (libleak.so) is loaded after `go` and
 * leaks 250 blocks (--one-step: and is ready); --second FILE one step later, another 250. --close
 * unloads the first again, with its blocks left. --objects N loads N copies DIR/N.so before the
 * start.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "victim.h"

NOINLINE static void call_leak(void (*top)(long), long n)
{
	top(n);
	NO_TAIL_CALL();
}

static void *load(const char *file, void (**ret_top)(long))
{
	void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	*ret_top = lib ? (void (*)(long))dlsym(lib, "libleak_top") : NULL;
	if (!*ret_top)
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
	void (*top)(long);
	void *lib;

	victim_init(argc, argv);
	load_objects(victim_option("objects", 0));
	victim_go();
	lib = load(victim_text("lib"), &top);
	call_leak(top, 250);
	if (!victim_text("one-step"))
		victim_step("loaded");
	if (victim_text("close"))
		dlclose(lib);
	if (victim_text("second")) {
		load(victim_text("second"), &top);
		call_leak(top, 250);
		loads++;
	}
	victim_note("loads", loads);
	victim_site(&(struct victim_truth){.name = "lib",
					   .chain = "libleak_leaf libleak_mid libleak_top "
						    "call_leak main",
					   .bytes = loads * 250 * 52,
					   .count = loads * 250});
	return victim_ready();
}
