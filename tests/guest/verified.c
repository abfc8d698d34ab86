/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verified.c - what the verifier had to look at. A library to preload into memtally: asks
 * the kernel for statistics with each program that is loaded and appends a line to the file
 * that VERIFIED names:
 *
 *	cache_map_pages 5821
 *
 * (name cut to 15 characters, instructions processed). The log is asked for, not
 * bpf_prog_info.verified_insns, which is of v5.16 (aba64c7da983).
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STATS 4 /* BPF_LOG_STATS of linux/bpf_verifier.h (v5.2) */

typedef long (*syscall_fn)(long, ...);

/* What is loaded to learn what the kernel has carries no name, or libbpf's. */
static void note(const union bpf_attr *attr, const char *log)
{
	const char *said = strstr(log, "processed "), *file = getenv("VERIFIED");
	char line[64];
	int fd, n;

	if (!said || !file || !attr->prog_name[0] || !strncmp(attr->prog_name, "libbpf_", 7))
		return;
	n = snprintf(line, sizeof(line), "%.15s %lu\n", attr->prog_name,
		     strtoul(said + strlen("processed "), NULL, 10));
	fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		perror("verified");
	if (fd >= 0)
		close(fd);
}

/* A program that is refused goes the usual way, so that the caller gets its own log. */
static long load(syscall_fn next, const union bpf_attr *attr, long size)
{
	static __thread char log[1 << 16];
	union bpf_attr ours = {0};
	long fd;

	memcpy(&ours, attr, (size_t)size < sizeof(ours) ? (size_t)size : sizeof(ours));
	log[0] = 0;
	ours.log_level = STATS;
	ours.log_buf = (uintptr_t)log;
	ours.log_size = sizeof(log);
	fd = next(SYS_bpf, BPF_PROG_LOAD, &ours, size);
	if (fd >= 0)
		note(attr, log);
	return fd;
}

/* As many arguments as a system call can have: those not passed are not looked at. */
long syscall(long number, ...)
{
	syscall_fn next = (syscall_fn)dlsym(RTLD_NEXT, "syscall");
	long a[6], fd;
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_bpf && a[0] == BPF_PROG_LOAD) {
		const union bpf_attr *attr = (const void *)a[1];

		fd = attr->log_level ? -1 : load(next, attr, a[2]);
		if (fd >= 0)
			return fd;
	}
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
