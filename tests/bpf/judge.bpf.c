/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Objects whose state is known, for the check of bpf/kmem_judge.bpf.h. */
#include "kmem_judge.bpf.h"
#include "judge_input.h"

struct judge_known known;

static __always_inline __u64 cache_of(__u64 object)
{
	struct slab *slab = (void *)page_of(object);

	return (__u64)BPF_CORE_READ(slab, slab_cache);
}

/* Live: they are the running task's own. */
SEC("raw_tp/test")
int find_live(void *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	known.live[0] = (__u64)t;
	known.live[1] = (__u64)BPF_CORE_READ(t, files);
	known.live[2] = (__u64)BPF_CORE_READ(t, sighand);
	known.live[3] = (__u64)BPF_CORE_READ(t, signal);
	known.live[4] = (__u64)BPF_CORE_READ(t, mm);
	known.page = kmem_judge.some_page;
	known.slab_page = page_of(known.live[0]);
	return 0;
}

static long find_on_cpu(__u32 cpu, __u64 *cache)
{
	__u64 offset = kmem_judge.cpu_offsets[INDEX(cpu, KMEM_CPUS)];
	struct kmem_cache *s = (void *)*cache;
	struct slub_percpu_sheaves *ps;
	struct kmem_cache_cpu *kc;
	struct slab_sheaf *main;

	if (bpf_core_field_exists(s->cpu_slab)) {
		kc = (void *)((__u64)BPF_CORE_READ(s, cpu_slab) + offset);
		known.free = (__u64)BPF_CORE_READ(kc, freelist);
	}
	if (!known.free && bpf_core_field_exists(s->sheaf_capacity) &&
	    BPF_CORE_READ(s, sheaf_capacity)) {
		ps = (void *)((__u64)BPF_CORE_READ(s, cpu_sheaves) + offset);
		main = BPF_CORE_READ(ps, main);
		if (BPF_CORE_READ(main, size))
			known.free = read_u64((__u64)main +
					      bpf_core_field_offset(struct slab_sheaf, objects));
	}
	return known.free != 0;
}

/* The first object that a CPU would hand out of the cache that known.live[known.which] is of. */
SEC("raw_tp/test")
int find_free(void *ctx)
{
	__u64 cache = known.which < JUDGE_LIVE ? cache_of(known.live[INDEX(known.which, 8)]) : 0;

	known.free = 0;
	bpf_loop(kmem_judge.cpus, find_on_cpu, &cache, 0);
	return 0;
}
