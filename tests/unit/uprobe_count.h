/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uprobe_count.h - test helper: a BPF program that counts its runs. */
#ifndef UPROBE_COUNT_H
#define UPROBE_COUNT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "lib/lib.h"
#include "trace/uprobe.h"

struct counter {
	uint64_t hits, cookies; /* cookies: the sum of all hits' */
};

static inline int counter_map(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mt_test", 4, sizeof(struct counter), 1, NULL);

	assert_true(fd >= 0);
	return fd;
}

/* hits += 1; cookies += bpf_get_attach_cookie(ctx) */
static inline int counter_prog(int map_fd, int kind)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_attach_cookie},
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_VALUE,
		 .imm = map_fd},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 1},
		{.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 1, .src_reg = 2, .imm = BPF_ADD},
		{.code = BPF_STX | BPF_ATOMIC | BPF_DW,
		 .dst_reg = 1,
		 .src_reg = 0,
		 .off = 8,
		 .imm = BPF_ADD},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = uprobe_prog_load(insns, ARRAY_SIZE(insns), kind);

	assert_true(fd >= 0);
	return fd;
}

static inline struct counter counted(int map_fd)
{
	struct counter c;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(map_fd, &zero, &c), 0);
	return c;
}

#define SKIP_UNLESS(what, why)                            \
	do {                                              \
		if (!(what)) {                            \
			print_message("skip: %s\n", why); \
			skip();                           \
		}                                         \
	} while (0)

/* 0, or 1 with the reason printed: nothing can be attached here. */
static inline int uprobe_test_setup(struct uprobe_features *ret)
{
	int err = geteuid() ? -EPERM : uprobe_features_probe(ret);

	if (err)
		print_message("skip: attaching uprobes needs root and a kernel that has them: %s\n",
			      errno_name(err));
	return err != 0;
}

#endif
