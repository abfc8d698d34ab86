/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cgroup.h - names of cgroups (version 2). */
#ifndef MEMTALLY_CGROUP_H
#define MEMTALLY_CGROUP_H

#include "lib/lib.h"

/*
 * Path of the cgroup with this id (bpf_get_current_cgroup_id()), below the root of where
 * cgroup2 is mounted, as in /proc/PID/cgroup: "/system.slice/x.service". 0 and *ret is the
 * caller's; -ENOENT: removed, or not below any mount; -EOPNOTSUPP: no cgroup2 is mounted;
 * -ENOMEM.
 */
int cgroup_path(uint64_t id, char **ret);

#endif
