/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sym/jit.h"

#include <errno.h>

#include "sym/perfmap.h"

#define RECHECK_NS 100000000

struct process {
	pid_t pid;
	uint64_t checked_ns; /* 0: never */
	struct sym_perfmap_version version;
	struct sym_perfmap *map;
	bool refused;
};

struct sym_jits {
	struct process *v;
	size_t n, cap;
	uint64_t refused;
};

struct sym_jits *sym_jits_new(void)
{
	return calloc(1, sizeof(struct sym_jits));
}

void sym_jits_free(struct sym_jits *j)
{
	size_t i;

	if (!j)
		return;
	for (i = 0; i < j->n; i++)
		sym_perfmap_free(j->v[i].map);
	free(j->v);
	free(j);
}

static struct process *process_of(struct sym_jits *j, pid_t pid)
{
	size_t i;

	for (i = 0; i < j->n; i++) {
		if (j->v[i].pid == pid)
			return &j->v[i];
	}
	if (array_reserve(&j->v, &j->cap, j->n + 1, sizeof(*j->v)))
		return NULL;
	j->v[j->n] = (struct process){.pid = pid};
	return &j->v[j->n++];
}

static void refresh(struct sym_jits *j, struct process *p)
{
	uint64_t now = clock_mono_ns();
	struct sym_perfmap *map;
	int err;

	if (p->checked_ns && now - p->checked_ns < RECHECK_NS)
		return;
	p->checked_ns = now;
	err = sym_perfmap_read(p->pid, &p->version, &map);
	if ((err == -EPERM || err == -EFBIG) && !p->refused) {
		p->refused = true;
		j->refused++;
	}
	if (err)
		return; /* keep what there was: the process may have exited */
	sym_perfmap_free(p->map);
	p->map = map;
}

int sym_jits_find(struct sym_jits *j, pid_t pid, uint64_t address, const char **ret_name,
		  uint64_t *ret_start)
{
	struct process *p = process_of(j, pid);

	if (!p)
		return -ENOENT;
	refresh(j, p);
	return p->map ? sym_perfmap_find(p->map, address, ret_name, ret_start) : -ENOENT;
}

void sym_jits_forget(struct sym_jits *j, pid_t pid)
{
	size_t i;

	for (i = 0; i < j->n; i++) {
		if (j->v[i].pid != pid)
			continue;
		sym_perfmap_free(j->v[i].map);
		j->v[i] = j->v[--j->n];
		return;
	}
}

uint64_t sym_jits_refused(const struct sym_jits *j)
{
	return j->refused;
}
