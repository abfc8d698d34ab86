/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Order. Each CPU has its own ring. Was the fork on CPU 0 read before the mapping that the
 * child made on CPU 1? If rings are simply read one after the other, the fork can be
 * written just after ring 0 was read, and the mapping just before ring 1 is. So a round
 * begins by taking the time and leaves every later record in its ring. What a record
 * depends on was complete before its own time, hence is in the rings when they are read.
 *
 * No wake-up is missed by leaving records: the kernel sets a ring's poll flag after it
 * published a record, and whatever is left was published after the caller's poll took
 * the flag.
 */
#include "trace/procwatch.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/cursor.h"

enum { SAMPLE_ID_BYTES = 16, CPUS_MAX = 8192, RECORD_MAX = 256 + 4096 };

/* A process that starts writes 2 KiB. Few CPUs get large rings, as they are kept busy sooner. */
enum { RING_PAGES_ALL = 1024, RING_PAGES_MIN = 64, RING_PAGES_MAX = 512 };

struct ring {
	int fd;
	struct perf_event_mmap_page *meta;
	size_t mapped; /* bytes, with the first page */
};

struct record {
	uint64_t time_ns;
	size_t offset; /* in bytes[]; also the order within a CPU */
};

struct procwatch {
	struct ring *rings;
	size_t n, cap;
	uint64_t lost, full; /* records; rounds in which a ring was */
	uint8_t *bytes;	     /* of one round */
	size_t n_bytes, cap_bytes;
	struct record *records;
	size_t n_records, cap_records;
};

static int ring_map(struct ring *r, size_t pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = MAP_FAILED;

	/* Without CAP_IPC_LOCK there is a limit on the pages of all rings together. */
	for (size_t n = pages; n && p == MAP_FAILED; n /= 4) {
		r->mapped = (n + 1) * page;
		p = mmap(NULL, r->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
		if (p == MAP_FAILED && errno != EPERM)
			break;
	}
	if (p == MAP_FAILED)
		return -errno;
	r->meta = p;
	return 0;
}

static void ring_deinit(struct ring *r)
{
	if (r->meta)
		munmap(r->meta, r->mapped);
	lib_closep(&r->fd);
}

static int ring_open(struct ring *r, int cpu, size_t pages)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.sample_id_all = 1,
		.mmap = 1,
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.watermark = 1,
		.wakeup_watermark = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};
	int err;

	*r = (struct ring){
		.fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC)};
	if (r->fd < 0)
		return -errno;
	err = ring_map(r, pages);
	if (err)
		ring_deinit(r);
	return err;
}

/* Of each ring: a power of two. */
static size_t ring_pages(long n_cpus)
{
	size_t pages = RING_PAGES_MAX;

	while (pages > RING_PAGES_MIN && pages * (size_t)MAX(n_cpus, 1L) > RING_PAGES_ALL)
		pages /= 2;
	return pages;
}

static void procwatch_freep(struct procwatch **w)
{
	procwatch_free(*w);
}

int procwatch_new(struct procwatch **ret)
{
	_cleanup_(procwatch_freep) struct procwatch *w = calloc(1, sizeof(*w));
	long n_cpus = sysconf(_SC_NPROCESSORS_CONF);
	int err;

	if (!w)
		return -ENOMEM;
	for (int cpu = 0; cpu < MIN(n_cpus, (long)CPUS_MAX); cpu++) {
		err = array_reserve(&w->rings, &w->cap, w->n + 1, sizeof(*w->rings));
		if (!err)
			err = ring_open(&w->rings[w->n], cpu, ring_pages(n_cpus));
		if (err == -ENODEV) /* offline */
			continue;
		if (err)
			return err;
		w->n++;
	}
	if (!w->n)
		return -ENODEV;
	*ret = take_ptr(w);
	return 0;
}

void procwatch_free(struct procwatch *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n; i++)
		ring_deinit(&w->rings[i]);
	free(w->rings);
	free(w->bytes);
	free(w->records);
	free(w);
}

size_t procwatch_n_fds(const struct procwatch *w)
{
	return w->n;
}

int procwatch_fd(const struct procwatch *w, size_t i)
{
	return w->rings[i].fd;
}

uint64_t procwatch_lost(const struct procwatch *w)
{
	return w->lost;
}

uint64_t procwatch_gaps(const struct procwatch *w)
{
	return w->lost + w->full;
}

/* ---- reading the rings ---- */

static void ring_copy(const struct ring *r, uint64_t at, void *to, size_t len)
{
	const uint8_t *data = (const uint8_t *)r->meta + r->meta->data_offset;
	size_t size = r->meta->data_size, start = at % size, first = MIN(len, size - start);

	memcpy(to, data + start, first);
	memcpy((uint8_t *)to + first, data, len - first);
}

/* Copies one record behind the others. Its last 8 bytes are its time (sample_id_all). */
static int record_add(struct procwatch *w, const struct ring *r, uint64_t at, size_t len)
{
	int err = array_reserve(&w->bytes, &w->cap_bytes, w->n_bytes + len, 1);
	struct record *rec;

	if (!err)
		err = array_reserve(&w->records, &w->cap_records, w->n_records + 1,
				    sizeof(*w->records));
	if (err)
		return err;
	ring_copy(r, at, w->bytes + w->n_bytes, len);
	rec = &w->records[w->n_records++];
	rec->offset = w->n_bytes;
	memcpy(&rec->time_ns, w->bytes + w->n_bytes + len - 8, 8);
	w->n_bytes += len;
	return 0;
}

static int ring_read(struct procwatch *w, struct ring *r, uint64_t until_ns)
{
	uint64_t head = __atomic_load_n(&r->meta->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = r->meta->data_tail, time;
	struct perf_event_header h;
	int err = 0;

	w->full += head - tail + MIN(RECORD_MAX, r->meta->data_size / 2) > r->meta->data_size;
	while (head - tail >= sizeof(h)) {
		ring_copy(r, tail, &h, sizeof(h));
		if (h.size < sizeof(h) || h.size > head - tail) {
			tail = head; /* no record can be; the kernel never did this */
			w->lost++;
			break;
		}
		if (h.size >= sizeof(h) + SAMPLE_ID_BYTES) {
			ring_copy(r, tail + h.size - 8, &time, 8);
			if (time > until_ns)
				break;
			err = record_add(w, r, tail, h.size);
			if (err)
				break;
		}
		tail += h.size;
	}
	__atomic_store_n(&r->meta->data_tail, tail, __ATOMIC_RELEASE);
	return err;
}

/* ---- records to events ---- */

static void decode_path(struct cursor *c, struct mapping *m)
{
	static const char deleted[] = " (deleted)";
	/* The bytes are our own copy, hence may be cut. */
	char *path = (char *)(uintptr_t)cursor_str(c);
	size_t len, tail = sizeof(deleted) - 1;

	if (!path)
		return;
	len = strlen(path);
	if (path[0] == '/' && len > tail && !strcmp(path + len - tail, deleted)) {
		path[len - tail] = '\0';
		m->deleted = true;
	}
	m->path = strcmp(path, "//anon") ? path : path + strlen(path);
}

static void decode_mmap(struct cursor *c, struct proc_event *e)
{
	struct mapping *m = &e->mapping;
	uint32_t prot, flags;

	e->type = PROC_EVENT_MMAP;
	e->pid = (pid_t)cursor_uint(c, 4);
	e->tid = (pid_t)cursor_uint(c, 4);
	m->start = cursor_uint(c, 8);
	m->end = m->start + cursor_uint(c, 8);
	m->offset = cursor_uint(c, 8);
	m->dev_major = (uint32_t)cursor_uint(c, 4);
	m->dev_minor = (uint32_t)cursor_uint(c, 4);
	m->inode = cursor_uint(c, 8);
	cursor_uint(c, 8); /* generation of the inode */
	prot = (uint32_t)cursor_uint(c, 4);
	flags = (uint32_t)cursor_uint(c, 4);
	m->prot = (prot & PROT_READ ? MAP_READ : 0) | (prot & PROT_WRITE ? MAP_WRITE : 0) |
		  (prot & PROT_EXEC ? MAP_EXEC : 0) | (flags & MAP_SHARED ? MAP_SHARED_VM : 0);
	decode_path(c, m);
	/* As in maps: anonymous memory has no place in a file. */
	if (!m->inode)
		m->offset = 0;
	if (m->start >= m->end)
		cursor_fail(c, -EBADMSG);
}

/* { u32 pid, ppid, tid, ptid; u64 time } of both forks and exits. */
static void decode_task(struct cursor *c, struct proc_event *e, enum proc_event_type type)
{
	e->type = type;
	e->pid = (pid_t)cursor_uint(c, 4);
	e->ppid = (pid_t)cursor_uint(c, 4);
	e->tid = (pid_t)cursor_uint(c, 4);
}

static void decode_comm(struct cursor *c, struct proc_event *e, bool exec)
{
	const char *comm;

	e->type = exec ? PROC_EVENT_EXEC : PROC_EVENT_COMM;
	e->pid = (pid_t)cursor_uint(c, 4);
	e->tid = (pid_t)cursor_uint(c, 4);
	comm = cursor_str(c);
	if (comm)
		snprintf(e->comm, sizeof(e->comm), "%s", comm);
}

static bool decode(struct procwatch *w, const struct record *rec, struct proc_event *e)
{
	struct perf_event_header h;
	struct cursor c;

	*e = (struct proc_event){.time_ns = rec->time_ns};
	memcpy(&h, w->bytes + rec->offset, sizeof(h));
	c = cursor_at(w->bytes + rec->offset + sizeof(h), h.size - sizeof(h) - SAMPLE_ID_BYTES);
	switch (h.type) {
	case PERF_RECORD_MMAP2:
		decode_mmap(&c, e);
		break;
	case PERF_RECORD_FORK:
		decode_task(&c, e, PROC_EVENT_FORK);
		break;
	case PERF_RECORD_EXIT:
		decode_task(&c, e, PROC_EVENT_EXIT);
		break;
	case PERF_RECORD_COMM:
		decode_comm(&c, e, h.misc & PERF_RECORD_MISC_COMM_EXEC);
		break;
	case PERF_RECORD_LOST:
		e->type = PROC_EVENT_LOST;
		cursor_uint(&c, 8); /* id of the event */
		e->lost = cursor_uint(&c, 8);
		w->lost += e->lost;
		break;
	default:
		return false;
	}
	w->lost += c.err != 0;
	return !c.err;
}

static int record_compare(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

int procwatch_drain(struct procwatch *w, int (*fn)(const struct proc_event *e, void *arg),
		    void *arg)
{
	uint64_t now = clock_mono_ns();
	struct proc_event e;
	int err = 0;

	w->n_bytes = w->n_records = 0;
	for (size_t i = 0; i < w->n && !err; i++)
		err = ring_read(w, &w->rings[i], now);
	if (w->n_records)
		qsort(w->records, w->n_records, sizeof(*w->records), record_compare);
	for (size_t i = 0; i < w->n_records && !err; i++)
		if (decode(w, &w->records[i], &e))
			err = fn(&e, arg);
	return err;
}
