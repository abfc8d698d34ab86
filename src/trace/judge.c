/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/judge.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define BASE_ALIGN	(1ULL << 30) /* both bases are PUD-aligned, with KASLR too */
#define MATCHES_ENOUGH	3	     /* of kmem_confirm's five objects */
#define MOST_CANDIDATES (1u << 17)

int judge_run(int prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return bpf_prog_test_run_opts(prog, &opts);
}

static uint32_t matches_at(struct kmem_judge *j, int confirm, uint64_t vmemmap,
			   uint64_t page_offset)
{
	j->vmemmap = vmemmap;
	j->page_offset = page_offset;
	return judge_run(confirm) ? 0 : j->matches;
}

/*
 * The page and the object that we know lie less than all memory (and its holes) above their
 * bases: a few candidates each.
 */
static bool find_bases(struct kmem_judge *j, int confirm)
{
	uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * j->page_bytes;
	uint64_t n_offsets = ram / BASE_ALIGN * 2 + 16, n_maps;
	uint64_t map = j->some_page & ~(BASE_ALIGN - 1);
	uint64_t offset = j->some_object & ~(BASE_ALIGN - 1);

	n_maps = n_offsets * (BASE_ALIGN / j->page_bytes) * j->page_struct_bytes / BASE_ALIGN + 1;
	for (uint64_t m = 0; m < n_maps; m++)
		for (uint64_t o = 0; o < n_offsets && m * n_offsets + o < MOST_CANDIDATES; o++)
			if (matches_at(j, confirm, map - m * BASE_ALIGN, offset - o * BASE_ALIGN) >=
			    MATCHES_ENOUGH)
				return true;
	j->vmemmap = j->page_offset = 0;
	return false;
}

static uint32_t count_nodes(void)
{
	char path[64];
	uint32_t n = 0;

	do
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u", n);
	while (!access(path, F_OK) && ++n < 16);
	return n ? n : 1;
}

bool judge_prepare(struct kmem_judge *j, int locate, int confirm)
{
	int cpus = libbpf_num_possible_cpus();

	j->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	j->cpus = cpus > 0 ? (uint32_t)cpus : 0;
	j->nodes = count_nodes();
	return j->cpus && j->cpus <= KMEM_CPUS && !judge_run(locate) && find_bases(j, confirm);
}
