/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/ringbuf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/mman.h>

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int ringbuf_open(int fd, size_t bytes, struct ringbuf *ret)
{
	size_t page = page_bytes(), second = MIN(MAX(RINGBUF_RECORD_MAX, page), bytes);
	struct ringbuf r = {.bytes = bytes, .mapped = page + bytes + second, .fd = fd};
	void *consumer, *producer;

	consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (consumer == MAP_FAILED)
		return -errno;
	producer = mmap(NULL, r.mapped, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (producer == MAP_FAILED) {
		int err = -errno;

		munmap(consumer, page);
		return err;
	}
	r.consumer = consumer;
	r.producer = producer;
	*ret = r;
	return 0;
}

void ringbuf_close(struct ringbuf *r)
{
	if (!r->consumer)
		return;
	munmap(r->consumer, page_bytes());
	munmap(r->producer, r->mapped);
	r->consumer = NULL;
}

int ringbuf_consume(struct ringbuf *r, int (*fn)(void *arg, const void *data, size_t len),
		    void *arg)
{
	const unsigned char *data = r->producer + page_bytes(), *record;
	unsigned long end, at = *r->consumer;
	uint32_t head, len;
	int err = 0;

	end = __atomic_load_n((const unsigned long *)(const void *)r->producer, __ATOMIC_ACQUIRE);
	while (at != end && !err) {
		record = data + (at & (r->bytes - 1));
		head = __atomic_load_n((const uint32_t *)(const void *)record, __ATOMIC_ACQUIRE);
		len = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		if (head & BPF_RINGBUF_BUSY_BIT)
			break;
		if (len > RINGBUF_RECORD_MAX)
			return -EMSGSIZE;
		if (!(head & BPF_RINGBUF_DISCARD_BIT))
			err = fn(arg, record + BPF_RINGBUF_HDR_SZ, len);
		at += (BPF_RINGBUF_HDR_SZ + len + 7) & ~7UL;
		__atomic_store_n(r->consumer, at, __ATOMIC_RELEASE);
	}
	return err;
}
