/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of all processes from the kernel's iterators (bpf/resident.bpf.c). What they do not
 * say (dirty pages, the map) is asked through /proc/PID for the files that are printed.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd_resident.h"
#include "lib/caps.h"
#include "resident.skel.h"
#include "resident_abi.h"
#include "trace/features.h"

#define BUFFER (64u << 10) /* several of the longest records */

struct stream {
	struct resident_files *all;
	size_t n;
	_Alignas(8) char buf[BUFFER];
};

static int take_record(struct resident_files *all, const struct resident_record *r,
		       const char *path)
{
	struct resident_file f = {
		.dev = makedev(r->dev >> 20, r->dev & 0xfffff),
		.ino = r->ino,
		.size = r->size,
		.pages = (r->size + all->page_size - 1) / all->page_size,
		.n = {.method = RESIDENT_ITERATOR, .cached = r->pages},
		.holder = {(pid_t)r->pid, r->fd, r->start, r->end, r->own_ino},
	};
	char name[64];

	/* The overlay's own inode: the pages are the real file's. */
	if (!f.n.cached && (resident_complete(&f, all->map) || !f.n.cached))
		return 0;
	snprintf(name, sizeof(name), "[%u:%u]:%" PRIu64, r->dev >> 20, r->dev & 0xfffff,
		 (uint64_t)r->ino);
	return resident_add(all, &f, *path ? path : name);
}

/* The whole records at the beginning of the buffer; the rest moves there. */
static int take_records(struct stream *s)
{
	struct resident_record r;
	size_t at = 0;
	int err = 0;

	while (!err && s->n - at >= sizeof(r)) {
		memcpy(&r, s->buf + at, sizeof(r));
		if (r.len > RESIDENT_PATH || sizeof(r) + r.len > s->n - at)
			break;
		err = take_record(s->all, &r, r.len ? s->buf + at + sizeof(r) : "");
		at += sizeof(r) + r.len;
	}
	memmove(s->buf, s->buf + at, s->n - at);
	s->n -= at;
	return err;
}

/* -EAGAIN: the kernel went over many elements that wrote nothing, and wants to be asked on. */
static int read_all(struct resident_files *all, int fd)
{
	_cleanup_free_ struct stream *s = calloc(1, sizeof(*s));
	ssize_t n;
	int err = 0;

	if (!s)
		return -ENOMEM;
	s->all = all;
	do {
		n = read(fd, s->buf + s->n, sizeof(s->buf) - s->n);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		s->n += n > 0 ? (size_t)n : 0;
		err = take_records(s);
	} while (n && !err);
	return err ? err : s->n ? -EIO : 0;
}

static int run_iterator(struct resident_files *all, struct bpf_program *prog)
{
	struct bpf_link *link = bpf_program__attach_iter(prog, NULL);
	_cleanup_close_ int fd = -1;
	int err;

	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	err = fd < 0 ? -errno : read_all(all, fd);
	bpf_link__destroy(link);
	return err;
}

static int no_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

bool resident_iter_usable(void)
{
	char missing[128];
	uint64_t set;

	return !caps_effective(&set) && !caps_missing(set, missing, sizeof(missing)) &&
	       feature_has(FEATURE_TASK_ITER);
}

int resident_iter(struct resident_files *all)
{
	/* A kernel that refuses is an answer: there is another way. */
	libbpf_print_fn_t print = libbpf_set_print(no_print);
	struct resident_bpf *bpf = resident_bpf__open_and_load();
	int err = bpf ? 0 : -errno;

	if (!err)
		err = run_iterator(all, bpf->progs.resident_open);
	if (!err)
		err = run_iterator(all, bpf->progs.resident_mapped);
	resident_bpf__destroy(bpf);
	libbpf_set_print(print);
	return err;
}

int resident_complete(struct resident_file *f, bool map)
{
	const struct resident_holder *h = &f->holder;
	_cleanup_close_ int fd = -1;
	struct resident_file now = {0};
	char at[96];
	struct stat st;
	int err;

	if (f->n.method != RESIDENT_ITERATOR)
		return 0;
	if (h->end)
		snprintf(at, sizeof(at), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, h->pid,
			 h->start, h->end);
	else
		snprintf(at, sizeof(at), "/proc/%d/fd/%u", h->pid, h->fd);
	fd = open(at, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	/* The number may be another file's by now, or another process's. */
	if (st.st_ino != h->ino || (uint64_t)st.st_size != f->size)
		return -ESTALE;
	err = resident_stat(fd, &now, map);
	if (err)
		return err;
	f->n = now.n;
	memcpy(f->map, now.map, sizeof(f->map));
	return 0;
}
