/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One read by the kernel's two asynchronous interfaces, waited for; no library. */
#ifndef CACHEFILES_ASYNC_H
#define CACHEFILES_ASYNC_H

#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static aio_context_t aio_context;

static ssize_t aio_pread(int fd, void *buf, size_t n, off_t at)
{
	struct iocb cb = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = (uintptr_t)buf,
		.aio_nbytes = n,
		.aio_offset = at,
	};
	struct iocb *list[] = {&cb};
	struct io_event event;

	if (!aio_context && syscall(SYS_io_setup, 8, &aio_context))
		return -1;
	if (syscall(SYS_io_submit, aio_context, 1, list) != 1 ||
	    syscall(SYS_io_getevents, aio_context, 1, 1, &event, NULL) != 1)
		return -1;
	return event.res;
}

static struct {
	int fd;
	uint32_t *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
} ring = {.fd = -1};

static int ring_open(void)
{
	struct io_uring_params p = {0};
	char *sq, *cq;

	ring.fd = (int)syscall(SYS_io_uring_setup, 8, &p);
	if (ring.fd < 0)
		return -1;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED,
		  ring.fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
		  PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
	ring.sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
			 MAP_SHARED, ring.fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || (void *)ring.sqes == MAP_FAILED)
		return -1;
	ring.sq_tail = (uint32_t *)(sq + p.sq_off.tail);
	ring.sq_mask = (uint32_t *)(sq + p.sq_off.ring_mask);
	ring.sq_array = (uint32_t *)(sq + p.sq_off.array);
	ring.cq_head = (uint32_t *)(cq + p.cq_off.head);
	ring.cq_mask = (uint32_t *)(cq + p.cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	return 0;
}

static ssize_t ring_pread(int fd, void *buf, size_t n, off_t at)
{
	uint32_t tail, i, head;
	ssize_t res;

	if (ring.fd < 0 && ring_open())
		return -1;
	tail = *ring.sq_tail;
	i = tail & *ring.sq_mask;
	ring.sqes[i] = (struct io_uring_sqe){
		.opcode = IORING_OP_READ,
		.fd = fd,
		.addr = (uintptr_t)buf,
		.len = (uint32_t)n,
		.off = (uint64_t)at,
	};
	ring.sq_array[i] = i;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -1;
	head = *ring.cq_head;
	res = ring.cqes[head & *ring.cq_mask].res;
	__atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
	return res;
}

#endif
