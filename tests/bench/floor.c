/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * floor.c - what probing alone costs: programs that do nothing, where and how memtally
 * attaches its own.
 *
 *	floor [-e] [-k DEPTH] PID
 *	    -e        at the functions' first instructions, as every other tracer does
 *	    -k DEPTH  the return programs call bpf_get_stackid() with DEPTH frames at most
 *
 * Prints "ready PROBES", waits for the end of its stdin, then prints one line per program
 * that ran: "KIND RUNS NS" (only with -k, which turns the kernel's statistics on).
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/lib.h"
#include "lib/maps.h"
#include "lib/object.h"
#include "trace/allocators.h"
#include "trace/calibrate.h"
#include "trace/plan.h"
#include "trace/uprobe.h"

enum program { ENTER, RETURN, RET_SITE, PROGRAMS };

struct floor {
	pid_t pid;
	bool at_entry;
	int stack_depth;
	int stacks_fd, stats_fd;
	int prog_fds[PROGRAMS];
	size_t n_probes;
	struct objects *objects;
	struct allocators *allocators;
	uint64_t emulated;
};

/* ---- programs ---- */

static int load_empty(void)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return uprobe_prog_load(insns, ARRAY_SIZE(insns), UPROBE_ENTRY);
}

/* return bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK | BPF_F_REUSE_STACKID) */
static int load_stackid(int stacks_fd)
{
	struct bpf_insn insns[] = {
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = BPF_REG_2,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = stacks_fd},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K,
		 .dst_reg = BPF_REG_3,
		 .imm = BPF_F_USER_STACK | BPF_F_REUSE_STACKID},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_stackid},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return uprobe_prog_load(insns, ARRAY_SIZE(insns), UPROBE_ENTRY);
}

static int load_programs(struct floor *f)
{
	if (f->stack_depth) {
		f->stacks_fd = bpf_map_create(BPF_MAP_TYPE_STACK_TRACE, "floor_stacks", 4,
					      (uint32_t)f->stack_depth * 8, 1024, NULL);
		f->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
		if (f->stacks_fd < 0 || f->stats_fd < 0)
			return -errno;
	}
	for (int i = 0; i < PROGRAMS; i++) {
		f->prog_fds[i] =
			f->stack_depth && i == RETURN ? load_stackid(f->stacks_fd) : load_empty();
		if (f->prog_fds[i] < 0)
			return f->prog_fds[i];
	}
	return 0;
}

/* ---- attaching ---- */

static int attach_list(struct floor *f, const struct object *o, const struct plan_list *l,
		       enum program which)
{
	char path[64];
	int fd;

	if (!l->n)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
	fd = uprobe_multi_attach(
		f->prog_fds[which],
		&(struct uprobe_multi){.path = path,
				       .offsets = l->offsets,
				       .cookies = l->cookies,
				       .n = l->n,
				       .kind = which == RETURN ? UPROBE_RETURN : UPROBE_ENTRY,
				       .pid = f->pid});
	f->n_probes += l->n;
	return fd < 0 ? fd : 0;
}

static int attach_object(struct floor *f, const struct object *o)
{
	struct strlist skipped = {0}, slow = {0};
	struct plan_notes notes = {&skipped, &slow};
	struct alloc_found found = {0};
	struct plan plan = {0};
	int err = allocators_find(f->allocators, o, &found);

	if (!err && found.n)
		err = plan_make(o, &found, f->at_entry ? 0 : f->emulated, &notes, &plan);
	if (!err)
		err = attach_list(f, o, &plan.list[PLAN_RET_SITE], RET_SITE);
	if (!err)
		err = attach_list(f, o, &plan.list[PLAN_CALL], RETURN);
	if (!err)
		err = attach_list(f, o, &plan.list[PLAN_CALL], ENTER);
	if (!err)
		err = attach_list(f, o, &plan.list[PLAN_ENTER], ENTER);
	plan_deinit(&plan);
	alloc_found_deinit(&found);
	strlist_deinit(&skipped);
	strlist_deinit(&slow);
	return err;
}

static int attach(struct floor *f)
{
	struct maps maps = {0};
	int err = maps_read(f->pid, &maps);

	for (size_t i = 0; i < maps.n && !err; i++) {
		struct object *o;

		if ((maps.v[i].prot & MAP_EXEC) && !objects_get(f->objects, f->pid, &maps.v[i], &o))
			err = attach_object(f, o);
	}
	maps_deinit(&maps);
	return err;
}

/* ---- the run ---- */

static void print_runs(const struct floor *f)
{
	static const char *const names[] = {"enter", "return", "ret_site"};

	for (int i = 0; i < PROGRAMS; i++) {
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		if (!bpf_obj_get_info_by_fd(f->prog_fds[i], &info, &len) && info.run_cnt)
			printf("%s %llu %llu\n", names[i], (unsigned long long)info.run_cnt,
			       (unsigned long long)info.run_time_ns);
	}
}

static int run(struct floor *f)
{
	struct calibration cal;
	char c;
	int err = calibrate_load(NULL, &cal);

	if (err)
		return err;
	f->emulated = cal.emulated;
	f->objects = objects_new();
	f->allocators = allocators_new(NULL, 0);
	if (!f->objects || !f->allocators)
		return -ENOMEM;
	err = load_programs(f);
	if (!err)
		err = attach(f);
	if (err)
		return err;
	printf("ready %zu\n", f->n_probes);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	print_runs(f);
	return 0;
}

int main(int argc, char **argv)
{
	struct floor f = {0};
	int c, err;

	while ((c = getopt(argc, argv, "ek:")) != -1) {
		f.at_entry |= c == 'e';
		if (c == 'k')
			f.stack_depth = atoi(optarg);
	}
	f.pid = optind < argc ? atoi(argv[optind]) : 0;
	if (f.pid <= 0)
		return 2;
	err = run(&f);
	if (err)
		fprintf(stderr, "floor: %s\n", errno_name(err));
	allocators_free(f.allocators);
	objects_free(f.objects);
	return err != 0;
}
