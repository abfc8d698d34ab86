/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/process.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define TASK_COMM_LEN 16 /* of the kernel, NUL included */

#define KEY_DELAY_NS 10000000000ULL /* between two records of the kernel about one exec */

struct processes {
	struct process **v; /* pointers: entries are handed out */
	size_t n, cap;
	uint64_t reads; /* of the event ring, to its end */
};

struct processes *processes_new(void)
{
	return calloc(1, sizeof(struct processes));
}

static void process_free(struct process *p)
{
	maps_deinit(&p->maps);
	ranges_free(p->ranges);
	free(p->exe);
	free(p);
}

void processes_free(struct processes *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		process_free(p->v[i]);
	free(p->v);
	free(p);
}

size_t processes_count(const struct processes *p)
{
	return p->n;
}

struct process *processes_at(const struct processes *p, size_t i)
{
	return p->v[i];
}

struct process *processes_find_pid(const struct processes *p, pid_t pid)
{
	for (size_t i = p->n; i-- > 0;)
		if (p->v[i]->pid == pid && !p->v[i]->ended)
			return p->v[i];
	return NULL;
}

struct process *processes_find_key(const struct processes *p, uint64_t key)
{
	for (size_t i = p->n; i-- > 0;)
		if (p->v[i]->key == key)
			return p->v[i];
	return NULL;
}

struct process *processes_find_unnamed(const struct processes *p, pid_t pid, uint64_t time_ns)
{
	for (size_t i = p->n; i-- > 0;) {
		struct process *image = p->v[i];

		if (image->pid == pid && image->born_ns && image->born_ns <= time_ns)
			return image->key ? NULL : image;
	}
	return NULL;
}

static struct process *append(struct processes *p, pid_t pid)
{
	struct process *new;

	if (array_reserve(&p->v, &p->cap, p->n + 1, sizeof(struct process *)))
		return NULL;
	new = calloc(1, sizeof(*new));
	if (!new)
		return NULL;
	new->pid = pid;
	new->known_ns = clock_mono_ns();
	new->known_reads = p->reads;
	p->v[p->n++] = new;
	return new;
}

static void read_comm(struct process *p)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/comm", p->pid);
	if (read_file(path, &text, &len))
		return;
	if (len && text[len - 1] == '\n')
		text[len - 1] = '\0';
	snprintf(p->comm, sizeof(p->comm), "%s", text);
}

static void read_exe(struct process *p)
{
	char path[64], target[4096];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/exe", p->pid);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return;
	target[len] = '\0';
	free(p->exe);
	p->exe = strdup(target);
}

int process_read_again(struct process *p)
{
	struct maps now = {0};
	int err = maps_read(p->pid, &now);

	if (!err && !now.n)
		err = -ESRCH; /* on its way out */
	for (size_t i = 0; i < now.n && !err; i++)
		err = maps_insert(&p->maps, &now.v[i]);
	p->maps_changed = true;
	maps_deinit(&now);
	return err;
}

int processes_add(struct processes *p, pid_t pid, struct process **ret)
{
	struct process *old = processes_find_pid(p, pid), *new;
	struct maps maps = {0};
	int err = maps_read(pid, &maps);

	if (err)
		return err;
	new = append(p, pid);
	if (!new) {
		maps_deinit(&maps);
		return -ENOMEM;
	}
	if (old)
		old->ended = true;
	new->maps = maps;
	new->maps_changed = true;
	read_comm(new);
	read_exe(new);
	*ret = new;
	return 0;
}

int processes_fork(struct processes *p, const struct process *parent, pid_t pid,
		   struct process **ret)
{
	struct process *old = processes_find_pid(p, pid);
	struct process *new = append(p, pid);
	int err;

	if (!new)
		return -ENOMEM;
	err = maps_copy(&parent->maps, &new->maps);
	if (err) {
		process_free(p->v[--p->n]);
		return err;
	}
	if (old)
		old->ended = true;
	memcpy(new->comm, parent->comm, sizeof(new->comm));
	new->exe = parent->exe ? strdup(parent->exe) : NULL;
	new->maps_changed = true;
	*ret = new;
	return 0;
}

int processes_exec(struct processes *p, pid_t pid, const char *comm, struct process **ret)
{
	struct process *old = processes_find_pid(p, pid);
	struct process *new = append(p, pid);

	if (!new)
		return -ENOMEM;
	if (old)
		old->ended = old->replaced = true;
	snprintf(new->comm, sizeof(new->comm), "%s", comm);
	read_exe(new);
	*ret = new;
	return 0;
}

/* The ELF class of a running program; 0 if it has none (kernel thread) or can't be read. */
static int exe_class(pid_t pid, int *ret_err)
{
	_cleanup_close_ int fd = -1;
	unsigned char ident[EI_NIDENT];
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		*ret_err = -errno;
		return 0;
	}
	if (read(fd, ident, sizeof(ident)) != sizeof(ident) || memcmp(ident, ELFMAG, SELFMAG))
		return 0;
	return ident[EI_CLASS];
}

static bool is_thread_id(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *line;
	int tgid;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (read_file(path, &text, NULL))
		return false;
	line = strstr(text, "\nTgid:");
	return line && sscanf(line, "\nTgid: %d", &tgid) == 1 && tgid != pid;
}

static bool is_zombie(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file(path, &text, NULL))
		return false;
	end = strrchr(text, ')'); /* comm may hold anything */
	return end && (end[1] == ' ') && (end[2] == 'Z' || end[2] == 'X');
}

/*
 * Ended before the BPF side's word of it, with its key, was read: that will come, however old
 * it is: we may have stood still. (Blocks of a key that nobody knows look outstanding.) The read
 * that is under way may have begun before the word was written; the next one has it, unless
 * the thread was delayed between the kernel's two records.
 */
static bool awaits_key(const struct processes *p, const struct process *image, uint64_t now_ns)
{
	return !image->key &&
	       (image->known_reads + 2 > p->reads || image->known_ns + KEY_DELAY_NS > now_ns);
}

void processes_ring_read(struct processes *p)
{
	p->reads++;
}

void processes_drop_ended(struct processes *p)
{
	uint64_t now = clock_mono_ns();
	size_t kept = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i]->ended && !p->v[i]->in_report && !awaits_key(p, p->v[i], now))
			process_free(p->v[i]);
		else
			p->v[kept++] = p->v[i];
	}
	p->n = kept;
}

void process_will_run(struct process *p, const char *path)
{
	const char *slash = strrchr(path, '/');

	free(p->exe);
	p->exe = strdup(path);
	snprintf(p->comm, TASK_COMM_LEN, "%s", slash ? slash + 1 : path);
}

int process_check_target(pid_t pid, const char **ret_why)
{
	int err = 0, class;

	if (pid == getpid()) {
		*ret_why = "that is memtally itself";
		return -EINVAL;
	}
	if (kill(pid, 0) && errno == ESRCH) {
		*ret_why = "no such process";
		return -ESRCH;
	}
	if (is_thread_id(pid)) {
		*ret_why = "that is a thread, not a process";
		return -EINVAL;
	}
	if (is_zombie(pid)) {
		*ret_why = "the process has exited (zombie)";
		return -ESRCH;
	}
	class = exe_class(pid, &err);
	if (class == ELFCLASS64)
		return 0;
	if (class == ELFCLASS32)
		*ret_why = "32-bit programs are not supported";
	else if (err == -ENOENT)
		*ret_why = "that is a kernel thread: it has no user memory (see memtally kmem)";
	else
		*ret_why = "its program cannot be read";
	return class == ELFCLASS32 ? -ENOTSUP : err ? err : -ENOEXEC;
}

int process_seed_ranges(struct process *p)
{
	int err = 0;

	if (p->ranges)
		return 0;
	p->ranges = ranges_new();
	if (!p->ranges)
		return -ENOMEM;
	for (size_t i = 0; i < p->maps.n && !err; i++)
		err = ranges_map(p->ranges, p->maps.v[i].start,
				 p->maps.v[i].end - p->maps.v[i].start, RANGE_UNCOUNTED, 0);
	return err;
}
