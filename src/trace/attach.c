/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/attach.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>

/* What the names of an event's programs end with, the first to the last. */
static const char *const turns[] = {"", "_second", "_third", "_fourth"};

/* A directory fd of tracefs, mounted or not; -errno. */
static int tracefs_open(void)
{
	static const char *const places[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	_cleanup_close_ int fs = -1;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		fd = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && !faccessat(fd, "events", F_OK, 0))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	fs = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int tracepoint_id(const char *category, const char *name)
{
	_cleanup_close_ int dir = tracefs_open();
	_cleanup_close_ int fd = -1;
	char path[256], text[16] = "";
	uint64_t id;
	ssize_t n;

	if (dir < 0)
		return dir;
	snprintf(path, sizeof(path), "events/%s/%s/id", category, name);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -EIO;
	if (text[n - 1] == '\n')
		text[n - 1] = '\0';
	return parse_u64(text, 1, INT32_MAX, &id) ? -EBADMSG : (int)id;
}

static int attach_event(struct bpf_program *prog, struct perf_event_attr *attr, int cpu,
			struct bpf_link **ret)
{
	int fd = (int)syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	struct bpf_link *link;
	int err;

	if (fd < 0)
		return -errno;
	link = bpf_program__attach_perf_event(prog, fd);
	err = libbpf_get_error(link);
	if (err) {
		close(fd);
		return err;
	}
	*ret = link;
	return 0;
}

int attach_raw(struct bpf_program *prog, const char *name, struct bpf_link **ret)
{
	struct bpf_link *link = bpf_program__attach_raw_tracepoint(prog, name);
	int err = libbpf_get_error(link);

	if (!err)
		*ret = link;
	return err;
}

struct bpf_program *program_turn(const struct bpf_object *obj, const struct bpf_program *first,
				 unsigned int turn)
{
	char name[64];

	if (turn >= ARRAY_SIZE(turns))
		return NULL;
	snprintf(name, sizeof(name), "%s%s", bpf_program__name(first), turns[turn]);
	return bpf_object__find_program_by_name(obj, name);
}

bool program_is_first(const struct bpf_program *prog)
{
	for (size_t i = 1; i < ARRAY_SIZE(turns); i++) {
		const char *end = strstr(bpf_program__name(prog), turns[i]);

		if (end && strcmp(end, turns[i]) == 0)
			return false;
	}
	return true;
}

int attach_software_event(struct bpf_program *prog, uint64_t config, int cpu, struct bpf_link **ret)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = config,
		.sample_period = 1,
		.disabled = 1,
	};

	return attach_event(prog, &attr, cpu, ret);
}
