/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of cgroups by id: asked for at every report, remembered for when they are gone. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cmd_cache.h"
#include "lib/cgroup.h"

struct cgroup_name {
	uint64_t id;
	char *path;
};

struct cache_cgroups {
	struct cgroup_name *v;
	size_t n, cap;
};

struct cache_cgroups *cache_cgroups_new(void)
{
	return calloc(1, sizeof(struct cache_cgroups));
}

void cache_cgroups_free(struct cache_cgroups *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n; i++)
		free(g->v[i].path);
	free(g->v);
	free(g);
}

static struct cgroup_name *find(struct cache_cgroups *g, uint64_t id)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i].id == id)
			return &g->v[i];
	return NULL;
}

/* Takes over path. */
static int remember(struct cache_cgroups *g, uint64_t id, char *path)
{
	int err = array_reserve(&g->v, &g->cap, g->n + 1, sizeof(g->v[0]));

	if (err)
		free(path);
	else
		g->v[g->n++] = (struct cgroup_name){id, path};
	return err;
}

int cache_cgroups_find(struct cache_cgroups *g, uint64_t id, struct cache_cgroup *ret)
{
	struct cgroup_name *known = find(g, id);
	char *path = NULL;
	int err = cgroup_path(id, &path);

	if (err == -ENOMEM)
		return err;
	if (path && known) {
		free(known->path);
		known->path = path;
	} else if (path && remember(g, id, path)) {
		return -ENOMEM;
	}
	known = find(g, id);
	*ret = (struct cache_cgroup){known ? known->path : NULL, err == -ENOENT};
	return 0;
}
