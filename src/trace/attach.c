/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/attach.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>

#include "trace/features.h"

/* What the names of an event's programs end with, the first to the last. */
static const char *const turns[] = {"", "_second", "_third", "_fourth", "_fifth", "_sixth"};

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

int links_keep(struct links *l, struct bpf_link *link)
{
	int err = libbpf_get_error(link);

	if (err)
		return err;
	err = array_reserve(&l->v, &l->cap, l->n + 1, sizeof(link));
	if (err)
		bpf_link__destroy(link);
	else
		l->v[l->n++] = link;
	return err;
}

void links_drop(struct links *l)
{
	while (l->n)
		bpf_link__destroy(l->v[--l->n]);
	free(l->v);
	*l = (struct links){0};
}

static int attach_event(struct links *l, struct bpf_program *prog, struct perf_event_attr *attr,
			int cpu)
{
	int fd = (int)syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	struct bpf_link *link;
	int err;

	if (fd < 0)
		return -errno;
	link = bpf_program__attach_perf_event(prog, fd);
	err = libbpf_get_error(link);
	if (err)
		close(fd);
	else
		err = links_keep(l, link);
	return err;
}

int attach_raw(struct links *l, struct bpf_program *prog, const char *name)
{
	return links_keep(l, bpf_program__attach_raw_tracepoint(prog, name));
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

static struct bpf_program *wanted_turn(const struct bpf_object *obj,
				       const struct bpf_program *first, unsigned int usual,
				       unsigned int turn)
{
	bool wanted = turn < usual || feature_has(FEATURE_EVENTS_SKIPPED);

	return wanted ? program_turn(obj, first, turn) : NULL;
}

void turns_load(const struct bpf_object *obj, struct bpf_program *first, unsigned int usual,
		bool load)
{
	struct bpf_program *p = first;

	for (unsigned int turn = 1; p; p = wanted_turn(obj, first, usual, turn++))
		bpf_program__set_autoload(p, load);
}

int turns_attach(struct links *l, const struct bpf_object *obj, struct bpf_program *first,
		 unsigned int usual, const char *name)
{
	struct bpf_program *p = first;
	int err = 0;

	for (unsigned int turn = 1; p && !err; p = wanted_turn(obj, first, usual, turn++))
		err = attach_raw(l, p, name);
	return err;
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

int attach_software_event(struct links *l, struct bpf_program *prog, uint64_t config)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = config,
		.sample_period = 1,
		.disabled = 1,
	};
	int cpus = libbpf_num_possible_cpus(), err = MIN(cpus, 0);

	for (int cpu = 0; cpu < cpus && !err; cpu++) {
		err = attach_event(l, prog, &attr, cpu);
		if (err == -ENODEV)
			err = 0; /* a CPU that is off */
	}
	return err;
}
