/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "unwind.skel.h"

static int touch(const struct harness *h, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static void wait_ms(void)
{
	const struct timespec ms = {.tv_nsec = 1000000};

	nanosleep(&ms, NULL);
}

static bool has_ended(struct harness *h)
{
	if (!h->ended)
		h->ended = waitpid(h->pid, &h->exit_status, WNOHANG) == h->pid;
	return h->ended;
}

/* To the processor we are on, children too. */
static void pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int spawn(struct harness *h)
{
	sched_getaffinity(0, sizeof(h->cpus), &h->cpus);
	char path[128];

	if (h->one_cpu)
		pin();
	strcpy(h->dir, "/tmp/memtally-gt-XXXXXX");
	if (!mkdtemp(h->dir))
		return -errno;
	h->pid = fork();
	if (h->pid < 0)
		return -errno;
	if (!h->pid) {
		setenv("GT_DIR", h->dir, 1);
		if (h->preload)
			setenv("LD_PRELOAD", h->preload, 1);
		execvp(h->argv[0], h->argv);
		_exit(127);
	}
	/* Tables must follow mappings soon on a busy machine too, as in the real drain. */
	setpriority(PRIO_PROCESS, 0, -20);
	snprintf(path, sizeof(path), "%s/ready", h->dir);
	while (access(path, F_OK)) {
		if (has_ended(h))
			return -ECHILD;
		wait_ms();
	}
	return 0;
}

static int update(struct harness *h)
{
	bool first = !h->updates++;
	struct maps maps;
	const struct unwind_slice none = {0};
	uint32_t key = (uint32_t)h->pid;
	int err = maps_read(h->pid, &maps);

	if (err)
		return err;
	if (h->no_tables)
		maps_deinit(&maps);
	err = unwinder_update(h->unwinder, h->pid, &maps, first ? NULL : &h->slice, &h->slice);
	maps_deinit(&maps);
	if (!err && bpf_map__update_elem(h->skel->maps.slices, &key, sizeof(key),
					 h->no_slice ? &none : &h->slice, sizeof(none), BPF_ANY))
		err = -errno;
	return err;
}

static int load(struct harness *h)
{
	uint64_t start = clock_mono_ns();
	struct maps maps;
	int err = maps_read(h->pid, &maps);

	if (err)
		return err;
	h->skel = unwind_test_bpf__open();
	h->objects = objects_new();
	h->unwinder = unwinder_new(h->objects);
	if (!h->skel || !h->objects || !h->unwinder)
		return -ENOMEM;
	h->skel->rodata->unwind_cfg.mode = h->mode;
	unwind_configure(&h->skel->rodata->unwind_cfg);
	h->skel->rodata->unwind_cfg.find_vma &= !h->read_vma;
	h->skel->rodata->stop_every = h->stop_every;
	if (h->max_frames)
		h->skel->rodata->unwind_cfg.max_frames = h->max_frames;
	err = h->no_tables ? 0 : unwinder_prepare(h->unwinder, h->pid, &maps);
	maps_deinit(&maps);
	h->prepare_ns = clock_mono_ns() - start;
	if (!err)
		err = unwinder_size_maps(h->unwinder, h->skel->obj, 0);
	start = clock_mono_ns();
	if (!err)
		err = unwind_test_bpf__load(h->skel);
	if (!err)
		err = unwinder_publish(h->unwinder, h->skel->obj);
	h->load_ns = clock_mono_ns() - start;
	return err ? err : update(h);
}

static struct bpf_link *attach_uprobe(struct harness *h, struct bpf_program *prog,
				      const char *function, bool at_return)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .func_name = function, .retprobe = at_return);

	return bpf_program__attach_uprobe_opts(prog, h->pid, h->object, 0, &opts);
}

static int attach(struct harness *h)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(h->skel->obj, h->program);

	if (!strcmp(h->program, "fault_enter"))
		h->links[0] = bpf_program__attach(prog);
	else
		h->links[0] = attach_uprobe(h, prog, h->function, false);
	if (!h->links[0])
		return -errno;
	if (h->follow_maps) {
		h->links[1] = bpf_program__attach(h->skel->progs.mmap_exit);
		if (!h->links[1])
			return -errno;
	}
	if (h->hide) {
		h->links[2] = attach_uprobe(h, h->skel->progs.nothing_exit, h->hide, true);
		if (!h->links[2])
			return -errno;
	}
	return 0;
}

int harness_start(struct harness *h)
{
	int err = spawn(h);

	if (!err)
		err = load(h);
	if (!err)
		err = attach(h);
	return err;
}

static int on_record(void *arg, void *data, size_t len)
{
	const struct walk_record *rec = data;
	struct harness *h = arg;

	if (len < sizeof(rec->head))
		return -EBADMSG;
	if (rec->head.n)
		return h->on_record ? h->on_record(h->arg, rec) : 0;
	if (!h->rescan)
		h->mapped_ns = rec->head.seq;
	h->rescan = true;
	return -EAGAIN; /* leave the reader at once: walks are waiting for the tables */
}

static int rescan(struct harness *h)
{
	uint64_t ns;
	int err = update(h);

	h->rescan = false;
	ns = clock_mono_ns() - h->mapped_ns;
	h->latency_ns += ns;
	h->latency_max_ns = MAX(h->latency_max_ns, ns);
	return err == -ESRCH ? 0 : err;
}

int harness_run(struct harness *h)
{
	struct ring_buffer *rb;
	bool ended = false;
	int err;

	rb = ring_buffer__new(bpf_map__fd(h->skel->maps.records), on_record, h, NULL);
	if (!rb)
		return -errno;
	err = touch(h, "go");
	while (!err) {
		bool last = ended;
		int n = ring_buffer__poll(rb, 10);

		if (h->rescan)
			err = rescan(h);
		else if (n < 0 && n != -EINTR)
			err = n;
		else if (last && !n)
			break;
		ended = ended || has_ended(h);
	}
	ring_buffer__free(rb);
	return err;
}

static void remove_dir(const char *dir)
{
	struct dirent *e;
	char path[512];
	DIR *d = opendir(dir);

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

void harness_stop(struct harness *h)
{
	setpriority(PRIO_PROCESS, 0, 0);
	sched_setaffinity(0, sizeof(h->cpus), &h->cpus);
	for (size_t i = 0; i < ARRAY_SIZE(h->links); i++)
		bpf_link__destroy(h->links[i]);
	unwinder_free(h->unwinder);
	objects_free(h->objects);
	unwind_test_bpf__destroy(h->skel);
	if (h->pid > 0 && !h->ended) {
		kill(h->pid, SIGKILL);
		waitpid(h->pid, NULL, 0);
	}
	if (h->dir[0])
		remove_dir(h->dir);
}

uint64_t harness_stacks(const struct harness *h)
{
	uint64_t key, n = 0, *last = NULL;

	while (!bpf_map_get_next_key(bpf_map__fd(h->skel->maps.stacks), last, &key)) {
		last = &key;
		n++;
	}
	return n;
}

uint64_t harness_run_ns(const struct harness *h, uint64_t *ret_runs)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(h->skel->obj, h->program);
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	*ret_runs = 0;
	if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len) || !info.run_cnt)
		return 0;
	*ret_runs = info.run_cnt;
	return info.run_time_ns / info.run_cnt;
}

const struct walk_totals *harness_totals(const struct harness *h)
{
	return (const struct walk_totals *)&h->skel->bss->totals;
}
