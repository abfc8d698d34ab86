/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a large BPF map again and again, as a busy BPF tool does. While a bpf() call is at a
 * map the kernel skips programs of perf events and classic tracepoints on that processor:
 * those of all tasks, where it lets others run meanwhile (from v7.0 on by default).
 */
#include <linux/bpf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "victim.h"

#define ELEMENTS 20000
#define VALUE	 64

static atomic_bool over;

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int map_new(void)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_HASH,
			       .key_size = sizeof(int),
			       .value_size = VALUE,
			       .max_entries = ELEMENTS};
	static char value[VALUE];
	int fd = bpf(BPF_MAP_CREATE, &attr);

	for (int i = 0; i < ELEMENTS && fd >= 0; i++) {
		union bpf_attr put = {
			.map_fd = fd, .key = (unsigned long)&i, .value = (unsigned long)value};

		if (bpf(BPF_MAP_UPDATE_ELEM, &put))
			return -1;
	}
	return fd;
}

static void *reader(void *arg)
{
	char *values = malloc(ELEMENTS * VALUE);
	int *keys = malloc(ELEMENTS * sizeof(*keys));

	while (values && keys && !atomic_load(&over)) {
		unsigned long next = 0;
		union bpf_attr attr = {.batch = {.out_batch = (unsigned long)&next,
						 .keys = (unsigned long)keys,
						 .values = (unsigned long)values,
						 .count = ELEMENTS,
						 .map_fd = *(int *)arg}};

		bpf(BPF_MAP_LOOKUP_BATCH, &attr);
	}
	free(values);
	free(keys);
	return NULL;
}

int main(int argc, char **argv)
{
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY}; /* before v5.11 maps count as locked */
	pthread_t id;
	int fd;

	victim_init(argc, argv);
	setrlimit(RLIMIT_MEMLOCK, &all);
	fd = map_new();
	victim_go();
	if (fd < 0 || pthread_create(&id, NULL, reader, &fd))
		return 1;
	victim_step("running");
	atomic_store(&over, true);
	pthread_join(id, NULL);
	return victim_ready();
}
