/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which ways of attaching this kernel has: each is tried on a function of this program
 * with a program that counts its runs and keeps the last cookie.
 */
#include "trace/uprobe.h"

#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>

#include <bpf/bpf.h>

#include "lib/lib.h"

#define COOKIE 0x6d656d74616c6c79ULL

#define SELF_EXE "/proc/self/exe"

struct counter {
	uint64_t hits, cookie;
};

static void release_link(const int *fd)
{
	uprobe_close_later(fd, 1);
}

static int counter_map(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mt_features", sizeof(uint32_t),
				sizeof(struct counter), 1, NULL);

	return fd < 0 ? -errno : fd;
}

/* The probed function. */
__attribute__((noinline)) static void probed(void)
{
	__asm__ volatile("nop" ::: "memory");
}

static void *call_probed(void *arg)
{
	probed();
	return arg;
}

/*
 * counter.hits++, counter.cookie = bpf_get_attach_cookie(ctx); without the helper, 0.
 * Returns 1 at the third hit and the fourth: a session link then skips the return.
 */
static int load_counter(int map_fd, int kind, bool with_cookie)
{
	struct bpf_insn insns[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_attach_cookie},
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = BPF_REG_1,
		 .src_reg = BPF_PSEUDO_MAP_VALUE,
		 .imm = map_fd},
		{0},
		{.code = BPF_STX | BPF_MEM | BPF_DW,
		 .dst_reg = BPF_REG_1,
		 .src_reg = BPF_REG_0,
		 .off = offsetof(struct counter, cookie)},
		{.code = BPF_LDX | BPF_MEM | BPF_DW,
		 .dst_reg = BPF_REG_3,
		 .src_reg = BPF_REG_1,
		 .off = offsetof(struct counter, hits)},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 1},
		{.code = BPF_STX | BPF_ATOMIC | BPF_DW,
		 .dst_reg = BPF_REG_1,
		 .src_reg = BPF_REG_2,
		 .off = offsetof(struct counter, hits),
		 .imm = BPF_ADD},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_3},
		{.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};

	if (!with_cookie)
		insns[0] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K};
	return uprobe_prog_load(insns, ARRAY_SIZE(insns), kind);
}

static struct counter read_counter(int map_fd)
{
	struct counter c = {0};
	uint32_t zero = 0;

	bpf_map_lookup_elem(map_fd, &zero, &c);
	return c;
}

/* Hits by a second thread while a link is up that names this process. */
static uint64_t hits_of_thread(int map_fd)
{
	uint64_t before = read_counter(map_fd).hits;
	pthread_t thread;

	if (pthread_create(&thread, NULL, call_probed, NULL))
		return 0;
	pthread_join(thread, NULL);
	return read_counter(map_fd).hits - before;
}

static void try_multi(uint64_t offset, enum uprobe_kind kind, struct uprobe_features *ret)
{
	const uint64_t cookie = COOKIE;
	const struct uprobe_multi m = {.path = SELF_EXE,
				       .offsets = &offset,
				       .cookies = &cookie,
				       .n = 1,
				       .kind = kind,
				       .pid = getpid()};
	/* Each try has its own map: the link of the one before may still hit. */
	_cleanup_close_ int map_fd = counter_map();
	_cleanup_close_ int prog_fd = load_counter(map_fd, (int)kind, true);
	_cleanup_(release_link) int link_fd =
		prog_fd < 0 ? prog_fd : uprobe_multi_attach(prog_fd, &m);
	struct counter c;

	if (link_fd < 0)
		return;
	probed();
	c = read_counter(map_fd);
	if (kind == UPROBE_SESSION) {
		probed();
		ret->session = c.hits == 2 && c.cookie == COOKIE && read_counter(map_fd).hits == 3;
		return;
	}
	ret->multi = c.hits == 1 && c.cookie == COOKIE;
	ret->multi_process = ret->multi && hits_of_thread(map_fd) == 1;
}

static int try_perf(uint64_t offset, uint64_t cookie)
{
	const struct uprobe_perf p = {
		.path = SELF_EXE, .offset = offset, .cookie = cookie, .pid = getpid()};
	struct uprobe_perf_link link = {-1, -1};
	_cleanup_close_ int map_fd = counter_map();
	_cleanup_close_ int prog_fd = load_counter(map_fd, -1, cookie != 0);
	struct counter c;
	int err;

	if (prog_fd < 0)
		return prog_fd;
	err = uprobe_perf_attach(prog_fd, &p, &link);
	if (err)
		return err;
	probed();
	c = read_counter(map_fd);
	uprobe_close_later((const int[]){link.link_fd, link.perf_fd}, 2);
	return c.hits == 1 && c.cookie == cookie ? 0 : -ENOTSUP;
}

int uprobe_features_probe(struct uprobe_features *ret)
{
	struct uprobe_features f = {0};
	_cleanup_close_ int map_fd = counter_map(); /* may we at all? */
	uint64_t offset;
	int err;

	if (map_fd < 0)
		return map_fd;
	err = uprobe_self_offset((const void *)(uintptr_t)probed, &offset);
	if (err)
		return err;
	try_multi(offset, UPROBE_ENTRY, &f);
	try_multi(offset, UPROBE_SESSION, &f);
	err = try_perf(offset, COOKIE);
	f.perf_cookie = !err;
	if (err)
		err = try_perf(offset, 0);
	f.perf = !err;
	if (err == -EPERM && !f.multi)
		return -EPERM;
	*ret = f;
	return 0;
}
