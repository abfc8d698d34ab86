// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kvictim.ko - a kernel module with a known answer, for kmem: it leaks, or does what only
 * looks like a leak, as told:
 *
 *     echo leak_kmalloc 100 >/sys/module/kvictim/parameters/run
 *
 * calls kv_leak_kmalloc() 100 times, which holds one block more each time; give_back frees
 * what is held, without a name in anyone's stack. What is called noleak_ has nothing left
 * when its last grace period is over, which settle waits for.
 *
 * Each function does something with what it got: a last call would become a jump, and the
 * allocation would be its caller's.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#define BATCH	  16
#define SPLIT_ORD 2

/* How a block is given back. */
enum way { BY_KFREE, BY_CACHE, BY_PAGES, BY_VFREE, BY_PERCPU };

/* At the start of each block that is held; of a per-CPU one: of the first CPU's part. */
struct held {
	struct held *next;
	void *block;
	enum way way;
};

struct by_rcu {
	struct rcu_head rcu;
	char rest[184];
};

static struct held *all_held;
static struct kmem_cache *kv_cache;

static int hold(void *block, void *memory, enum way way)
{
	struct held *h = memory;

	if (!block)
		return -ENOMEM;
	*h = (struct held){all_held, block, way};
	all_held = h;
	return 0;
}

/* ---- leaks ---- */

static noinline int kv_leak_kmalloc(void)
{
	void *p = kmalloc(200, GFP_KERNEL);

	return hold(p, p, BY_KFREE);
}

static noinline int kv_leak_large(void)
{
	void *p = kmalloc(32768, GFP_KERNEL);

	return hold(p, p, BY_KFREE);
}

static noinline int kv_leak_cache(void)
{
	void *p = kmem_cache_alloc(kv_cache, GFP_KERNEL);

	return hold(p, p, BY_CACHE);
}

static noinline int kv_leak_pages(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 1);

	return hold(page, page ? page_address(page) : NULL, BY_PAGES);
}

static noinline int kv_leak_vmalloc(void)
{
	void *p = vmalloc(12288);

	return hold(p, p, BY_VFREE);
}

static noinline int kv_leak_percpu(void)
{
	struct held __percpu *p = alloc_percpu(struct held);

	return hold((void __force *)p, p ? per_cpu_ptr(p, cpumask_first(cpu_possible_mask)) : NULL,
		    BY_PERCPU);
}

static void give_one_back(struct held *h)
{
	switch (h->way) {
	case BY_KFREE:
		kfree(h->block);
		break;
	case BY_CACHE:
		kmem_cache_free(kv_cache, h->block);
		break;
	case BY_PAGES:
		__free_pages(h->block, 1);
		break;
	case BY_VFREE:
		vfree(h->block);
		break;
	case BY_PERCPU:
		free_percpu((void __percpu __force *)h->block);
		break;
	}
}

static int give_back(void)
{
	struct held *h;

	while ((h = all_held)) {
		all_held = h->next;
		give_one_back(h);
	}
	return 0;
}

/* ---- no leaks ---- */

static noinline int kv_noleak_kfree(void)
{
	void *p = kmalloc(200, GFP_KERNEL);

	kfree(p);
	return p ? 0 : -ENOMEM;
}

static noinline int kv_noleak_kfree_rcu(void)
{
	struct by_rcu *p = kmalloc(sizeof(*p), GFP_KERNEL);

	if (!p)
		return -ENOMEM;
	kfree_rcu(p, rcu);
	return 0;
}

static void on_grace_period(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct by_rcu, rcu));
}

static noinline int kv_noleak_call_rcu(void)
{
	struct by_rcu *p = kmalloc(sizeof(*p), GFP_KERNEL);

	if (!p)
		return -ENOMEM;
	call_rcu(&p->rcu, on_grace_period);
	return 0;
}

static noinline int kv_noleak_kfree_bulk(void)
{
	void *v[BATCH];
	int n = 0;

	while (n < BATCH && (v[n] = kmalloc(200, GFP_KERNEL)))
		n++;
	kfree_bulk(n, v);
	return n == BATCH ? 0 : -ENOMEM;
}

static noinline int kv_noleak_cache_bulk(void)
{
	void *v[BATCH];
	int n = 0;

	while (n < BATCH && (v[n] = kmem_cache_alloc(kv_cache, GFP_KERNEL)))
		n++;
	kmem_cache_free_bulk(kv_cache, n, v);
	return n == BATCH ? 0 : -ENOMEM;
}

/* Taken at once, without an event, and freed one by one, with one each. */
static noinline int kv_noleak_alloc_bulk(void)
{
	void *v[BATCH];
	int i;

	if (!kmem_cache_alloc_bulk(kv_cache, GFP_KERNEL, BATCH, v))
		return -ENOMEM;
	for (i = 0; i < BATCH; i++)
		kmem_cache_free(kv_cache, v[i]);
	return 0;
}

static noinline int kv_noleak_split(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, SPLIT_ORD);
	int i;

	if (!page)
		return -ENOMEM;
	split_page(page, SPLIT_ORD);
	for (i = 0; i < 1 << SPLIT_ORD; i++)
		__free_page(page + i);
	return 0;
}

static int settle(void)
{
	rcu_barrier();
	return 0;
}

/* ---- being told ---- */

static const struct {
	const char *name;
	int (*call)(void);
} orders[] = {
	{"leak_kmalloc", kv_leak_kmalloc},
	{"leak_large", kv_leak_large},
	{"leak_cache", kv_leak_cache},
	{"leak_pages", kv_leak_pages},
	{"leak_vmalloc", kv_leak_vmalloc},
	{"leak_percpu", kv_leak_percpu},
	{"give_back", give_back},
	{"noleak_kfree", kv_noleak_kfree},
	{"noleak_kfree_rcu", kv_noleak_kfree_rcu},
	{"noleak_call_rcu", kv_noleak_call_rcu},
	{"noleak_kfree_bulk", kv_noleak_kfree_bulk},
	{"noleak_cache_bulk", kv_noleak_cache_bulk},
	{"noleak_alloc_bulk", kv_noleak_alloc_bulk},
	{"noleak_split", kv_noleak_split},
	{"settle", settle},
};

static int call_times(int (*call)(void), unsigned int times)
{
	int err = 0;

	while (times-- && !err)
		err = call();
	return err;
}

/* "NAME TIMES"; parameters are written one at a time. */
static int run_set(const char *text, const struct kernel_param *param)
{
	unsigned int times;
	char name[32];
	size_t i;

	if (sscanf(text, "%31s %u", name, &times) != 2)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(orders); i++)
		if (!strcmp(orders[i].name, name))
			return call_times(orders[i].call, times);
	return -ENOENT;
}

static const struct kernel_param_ops run_ops = {.set = run_set};

module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "NAME TIMES: what to do, and how often");

/* What user space may copy from is never merged with another cache. */
static int __init kvictim_init(void)
{
	kv_cache = kmem_cache_create_usercopy("kvictim", 320, 0, 0, 0, 320, NULL);
	return kv_cache ? 0 : -ENOMEM;
}

static void __exit kvictim_exit(void)
{
	rcu_barrier();
	give_back();
	kmem_cache_destroy(kv_cache);
}

module_init(kvictim_init);
module_exit(kvictim_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Leaks with a known answer, for the tests of memtally");
