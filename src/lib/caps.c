/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF	    39
#endif

int caps_effective(uint64_t *ret_set)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data))
		return -errno;
	*ret_set = (uint64_t)data[1].effective << 32 | data[0].effective;
	return 0;
}

size_t caps_missing(uint64_t set, char *buf, size_t size)
{
	static const struct {
		const char *name;
		uint64_t any_of;
	} needs[] = {
		{"CAP_BPF", 1ULL << CAP_BPF | 1ULL << CAP_SYS_ADMIN},
		{"CAP_PERFMON", 1ULL << CAP_PERFMON | 1ULL << CAP_SYS_ADMIN},
		/* /proc/PID/root and /proc/PID/maps of other users' processes */
		{"CAP_SYS_PTRACE", 1ULL << CAP_SYS_PTRACE},
	};
	size_t n = 0, len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if (set & needs[i].any_of)
			continue;
		n++;
		if (len < size)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? ", " : "",
						needs[i].name);
	}
	return n;
}
