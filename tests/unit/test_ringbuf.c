/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The reader of BPF ring buffers, on a file that is laid out as the kernel does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>

#include "trace/ringbuf.h"

#define BYTES 65536UL

/* The kernel's end: its pages, the data twice in a row. */
struct writer {
	int fd;
	size_t page;
	unsigned long *consumer, *producer;
	unsigned char *first, *second;
	unsigned long at;
};

static void *map_at(const struct writer *w, size_t offset, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, (off_t)offset);

	assert_true(p != MAP_FAILED);
	return p;
}

static void writer_init(struct writer *w)
{
	*w = (struct writer){.page = (size_t)sysconf(_SC_PAGESIZE)};
	w->fd = memfd_create("ringbuf", MFD_CLOEXEC);
	assert_true(w->fd >= 0);
	assert_int_equal(ftruncate(w->fd, (off_t)(2 * w->page + 2 * BYTES)), 0);
	w->consumer = map_at(w, 0, w->page);
	w->producer = map_at(w, w->page, w->page);
	w->first = map_at(w, 2 * w->page, BYTES);
	w->second = map_at(w, 2 * w->page + BYTES, BYTES);
}

static void writer_deinit(struct writer *w)
{
	munmap(w->consumer, w->page);
	munmap(w->producer, w->page);
	munmap(w->first, BYTES);
	munmap(w->second, BYTES);
	close(w->fd);
}

/* Both copies of each byte. */
static void poke(struct writer *w, unsigned long at, unsigned char byte)
{
	w->first[at & (BYTES - 1)] = w->second[at & (BYTES - 1)] = byte;
}

static void head(struct writer *w, unsigned long at, uint32_t value)
{
	for (unsigned int i = 0; i < sizeof(value); i++)
		poke(w, at + i, ((const unsigned char *)&value)[i]);
}

/* A record of len bytes, each of them `byte`. */
static void put(struct writer *w, uint32_t len, uint32_t flags, unsigned char byte)
{
	head(w, w->at, len | flags);
	for (uint32_t i = 0; i < len && len <= RINGBUF_RECORD_MAX; i++)
		poke(w, w->at + BPF_RINGBUF_HDR_SZ + i, byte);
	w->at += (BPF_RINGBUF_HDR_SZ + len + 7) & ~7UL;
	*w->producer = w->at;
}

struct seen {
	size_t n, bytes;
	unsigned char byte; /* of the next record */
	int err;
	struct writer *more; /* writes another one while this one is read */
};

static int on_record(void *arg, const void *data, size_t len)
{
	const unsigned char *bytes = data;
	struct seen *s = arg;

	assert_int_equal((uintptr_t)data & 7, 0);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], s->byte);
	s->byte++;
	s->n++;
	s->bytes += len;
	if (s->more)
		put(s->more, 16, 0, s->byte);
	return s->err;
}

static void test_records_in_order(void **state)
{
	struct seen s = {.byte = 1};
	struct ringbuf r = {0};
	struct writer w;

	(void)state;
	writer_init(&w);
	assert_int_equal(ringbuf_open(w.fd, BYTES, &r), 0);
	assert_int_equal(ringbuf_consume(&r, on_record, &s), 0);
	assert_int_equal(s.n, 0);
	put(&w, 24, 0, 1);
	put(&w, 5, 0, 2);
	put(&w, 40, BPF_RINGBUF_DISCARD_BIT, 9);
	put(&w, 0, 0, 3);
	assert_int_equal(ringbuf_consume(&r, on_record, &s), 0);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.bytes, 29);
	assert_int_equal(*w.consumer, w.at);
	ringbuf_close(&r);
	ringbuf_close(&r);
	writer_deinit(&w);
}

/* Records of every length come to lie across the end of the data. */
static void test_records_across_the_end(void **state)
{
	struct seen s = {0};
	struct ringbuf r;
	struct writer w;
	size_t sum = 0;

	(void)state;
	writer_init(&w);
	assert_int_equal(ringbuf_open(w.fd, BYTES, &r), 0);
	for (unsigned int i = 0; i < 600; i++) {
		uint32_t len = i % 2 ? i * 7 % 400 : RINGBUF_RECORD_MAX - i;

		put(&w, len, 0, (unsigned char)i);
		sum += len;
		assert_int_equal(ringbuf_consume(&r, on_record, &s), 0);
	}
	assert_true(w.at > 50 * BYTES);
	assert_int_equal(s.n, 600);
	assert_int_equal(s.bytes, sum);
	ringbuf_close(&r);
	writer_deinit(&w);
}

/* One that is still being written holds up those behind it. */
static void test_incomplete_record(void **state)
{
	struct seen s = {.byte = 1};
	struct ringbuf r;
	struct writer w;

	(void)state;
	writer_init(&w);
	assert_int_equal(ringbuf_open(w.fd, BYTES, &r), 0);
	put(&w, 8, 0, 1);
	put(&w, 8, BPF_RINGBUF_BUSY_BIT, 2);
	put(&w, 8, 0, 3);
	assert_int_equal(ringbuf_consume(&r, on_record, &s), 0);
	assert_int_equal(s.n, 1);
	head(&w, 16, 8);
	assert_int_equal(ringbuf_consume(&r, on_record, &s), 0);
	assert_int_equal(s.n, 3);
	ringbuf_close(&r);
	writer_deinit(&w);
}

/* A writer that is as fast as the reader does not keep it for ever. */
static void test_what_comes_meanwhile_is_left(void **state)
{
	struct seen s = {.byte = 1};
	struct ringbuf r;
	struct writer w;

	(void)state;
	writer_init(&w);
	s.more = &w;
	assert_int_equal(ringbuf_open(w.fd, BYTES, &r), 0);
	put(&w, 16, 0, 1);
	for (size_t n = 1; n <= 5; n++) {
		assert_int_equal(ringbuf_consume(&r, on_record, &s), 0);
		assert_int_equal(s.n, n);
	}
	ringbuf_close(&r);
	writer_deinit(&w);
}

static void test_errors(void **state)
{
	struct seen s = {.byte = 1, .err = -EPROTO};
	struct ringbuf r;
	struct writer w;

	(void)state;
	writer_init(&w);
	assert_int_equal(ringbuf_open(-1, BYTES, &r), -EBADF);
	assert_int_equal(ringbuf_open(w.fd, BYTES, &r), 0);
	put(&w, 8, 0, 1);
	put(&w, 8, 0, 2);
	assert_int_equal(ringbuf_consume(&r, on_record, &s), -EPROTO);
	assert_int_equal(s.n, 1);
	s.err = 0;
	assert_int_equal(ringbuf_consume(&r, on_record, &s), 0);
	assert_int_equal(s.n, 2);
	put(&w, RINGBUF_RECORD_MAX + 8, 0, 3);
	assert_int_equal(ringbuf_consume(&r, on_record, &s), -EMSGSIZE);
	assert_int_equal(s.n, 2);
	ringbuf_close(&r);
	writer_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_in_order),
		cmocka_unit_test(test_records_across_the_end),
		cmocka_unit_test(test_incomplete_record),
		cmocka_unit_test(test_what_comes_meanwhile_is_left),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests_name("ringbuf", tests, NULL, NULL);
}
