/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/uprobe.h"

#include <errno.h>
#include <link.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <bpf/bpf.h>

#include "lib/lib.h"

/* enum bpf_attach_type of kernels newer than the headers of the build machine. */
#define TRACE_UPROBE_MULTI   48
#define TRACE_UPROBE_SESSION 57
#define UPROBE_MULTI_RETURN  1u

#define UPROBE_PMU "/sys/bus/event_source/devices/uprobe/"

/* union bpf_attr, BPF_LINK_CREATE for these attach types; 64 bytes, as the kernel has it. */
struct link_create_attr {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t cnt;
	uint32_t multi_flags;
	uint32_t pid;
	uint32_t zero;
};

_Static_assert(sizeof(struct link_create_attr) == 64, "layout of union bpf_attr");

int uprobe_attach_type(enum uprobe_kind kind)
{
	return kind == UPROBE_SESSION ? TRACE_UPROBE_SESSION : TRACE_UPROBE_MULTI;
}

int uprobe_multi_attach(int prog_fd, const struct uprobe_multi *m)
{
	struct link_create_attr attr = {
		.prog_fd = (uint32_t)prog_fd,
		.attach_type = (uint32_t)uprobe_attach_type(m->kind),
		.path = (uintptr_t)m->path,
		.offsets = (uintptr_t)m->offsets,
		.cookies = (uintptr_t)m->cookies,
		.cnt = (uint32_t)m->n,
		.multi_flags = m->kind == UPROBE_RETURN ? UPROBE_MULTI_RETURN : 0,
		.pid = (uint32_t)m->pid,
	};
	long fd;

	if (m->n > UINT32_MAX)
		return -E2BIG;
	fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : (int)fd; /* the kernel sets O_CLOEXEC */
}

/* The one number in a short sysfs file, behind the given text. */
static int read_pmu_number(const char *file, const char *prefix, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len, skip = strlen(prefix);
	int err = read_file(file, &text, &len);

	if (err)
		return err;
	if (strncmp(text, prefix, skip))
		return -EBADMSG;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text + skip, 0, UINT32_MAX, ret);
}

static int perf_open(const struct uprobe_perf *p)
{
	struct perf_event_attr attr = {.size = sizeof(attr), .disabled = 1};
	uint64_t type, bit = 0;
	int err = read_pmu_number(UPROBE_PMU "type", "", &type);
	long fd;

	if (!err && p->is_return)
		err = read_pmu_number(UPROBE_PMU "format/retprobe", "config:", &bit);
	if (err || bit > 63)
		return err ? err : -EBADMSG;
	attr.type = (uint32_t)type;
	attr.config = p->is_return ? 1ULL << bit : 0;
	attr.uprobe_path = (uintptr_t)p->path;
	attr.probe_offset = p->offset;
	attr.enable_on_exec = p->on_exec;
	/* A system-wide uprobe event is opened on one CPU and hits on all. */
	fd = syscall(SYS_perf_event_open, &attr, p->pid, p->pid == -1 ? 0 : -1, -1,
		     PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

int uprobe_perf_attach(int prog_fd, const struct uprobe_perf *p, struct uprobe_perf_link *ret)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event.bpf_cookie = p->cookie);
	_cleanup_close_ int perf_fd = perf_open(p);
	_cleanup_close_ int link_fd = -1;

	if (perf_fd < 0)
		return perf_fd;
	if (p->cookie)
		link_fd = bpf_link_create(prog_fd, perf_fd, BPF_PERF_EVENT, &opts);
	if (p->cookie ? link_fd < 0 : ioctl(perf_fd, PERF_EVENT_IOC_SET_BPF, prog_fd))
		return -errno;
	if (!p->on_exec && ioctl(perf_fd, PERF_EVENT_IOC_ENABLE, 0))
		return -errno;
	ret->perf_fd = take_fd(&perf_fd);
	ret->link_fd = take_fd(&link_fd);
	return 0;
}

void uprobe_perf_detach(struct uprobe_perf_link *link)
{
	if (link->link_fd >= 0)
		close(link->link_fd);
	if (link->perf_fd >= 0)
		close(link->perf_fd);
	link->link_fd = link->perf_fd = -1;
}

struct closing {
	size_t n;
	int fds[];
};

static void *close_all(void *arg)
{
	_cleanup_free_ struct closing *c = arg;
	size_t i;

	for (i = 0; i < c->n; i++)
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	return NULL;
}

void uprobe_close_later(const int *fds, size_t n)
{
	struct closing *c = malloc(sizeof(*c) + n * sizeof(*fds));
	sigset_t all, before;
	pthread_t thread;
	size_t i;

	if (!c) {
		for (i = 0; i < n; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		return;
	}
	c->n = n;
	memcpy(c->fds, fds, n * sizeof(*fds));
	/* An interrupt must find the main thread, which may have its own way to take it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, close_all, c))
		close_all(c);
	else
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int uprobe_prog_load(const struct bpf_insn *insns, size_t n, int kind)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	int fd;

	if (kind >= 0)
		opts.expected_attach_type =
			(enum bpf_attach_type)uprobe_attach_type((enum uprobe_kind)kind);
	fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "mt_uprobe", "GPL", insns, n, &opts);
	return fd < 0 ? -errno : fd;
}

struct self_search {
	uint64_t addr;
	uint64_t offset;
};

/* The program itself comes first; nothing else is /proc/self/exe. */
static int search_program(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct self_search *s = arg;
	int i;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_LOAD && s->addr - start < ph->p_filesz) {
			s->offset = s->addr - start + ph->p_offset;
			return 1;
		}
	}
	return -1;
}

int uprobe_self_offset(const void *function, uint64_t *ret)
{
	struct self_search s = {.addr = (uintptr_t)function};

	if (dl_iterate_phdr(search_program, &s) != 1)
		return -ENOENT;
	*ret = s.offset;
	return 0;
}
