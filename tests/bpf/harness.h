/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * harness.h - starts a program with the walk attached to it, as the commands will do,
 * and gives every record to a callback. Shared by the walk's tests.
 */
#ifndef MEMTALLY_TESTS_HARNESS_H
#define MEMTALLY_TESTS_HARNESS_H

#include <sched.h>

#include "lib/lib.h"
#include "trace/unwind_objects.h"
#include "trace/unwinder.h"
#include "walk_record.h"

struct harness {
	/* Set before harness_start(). */
	char **argv;
	const char *preload; /* LD_PRELOAD, or NULL */
	const char *object;  /* file with the probed function */
	const char *function;
	const char *program; /* BPF program to attach */
	enum unwind_mode mode;
	uint32_t max_frames; /* 0: UNWIND_MAX_FRAMES */
	bool follow_maps;
	bool no_slice;	     /* mappings stay unknown: the walk must ask the kernel */
	bool read_vma;	     /* ... by reading its tree, not by bpf_find_vma() */
	bool no_tables;	     /* nor are the files compiled */
	bool one_cpu;	     /* the drain preempts the program: tables always come in time */
	uint32_t stop_every; /* every_enter: SIGSTOP after so many hits; 0: never */
	const char *hide;    /* function of `object` that gets a uretprobe, or NULL */
	int (*on_record)(void *arg, const struct walk_record *rec);
	void *arg;

	/* State and results. */
	char dir[64];
	cpu_set_t cpus;
	pid_t pid;
	int exit_status;
	bool ended;
	struct unwind_test_bpf *skel;
	struct bpf_link *links[4];
	struct objects *objects;
	struct unwinder *unwinder;
	struct unwind_slice slice;
	bool rescan;
	uint64_t updates, latency_ns, latency_max_ns, mapped_ns;
	uint64_t prepare_ns, load_ns;
};

/* Spawns, loads, attaches; the program waits until harness_run(). 0 or -errno. */
int harness_start(struct harness *h);
/* Lets the program go and reads records until it has ended. 0 or -errno. */
int harness_run(struct harness *h);
void harness_stop(struct harness *h);

/* Distinct stacks that count_enter met. */
uint64_t harness_stacks(const struct harness *h);
/* Mean run time of the attached program and its runs; needs BPF_STATS_RUN_TIME. */
uint64_t harness_run_ns(const struct harness *h, uint64_t *ret_runs);
const struct walk_totals *harness_totals(const struct harness *h);

#endif
