/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bookkeeping of bpf/outstanding.bpf.h, one operation per BPF_PROG_TEST_RUN. */
#define OUTSTANDING_SLOTS /* used if cfg says so */
#include "outstanding.bpf.h"
#include "outstanding_input.h"

/* Input of the next run; output in `result`. */
struct test_input input;

long result;

static __always_inline struct block_key input_key(void)
{
	return (struct block_key){.address = input.address, .proc_key = input.proc_key};
}

SEC("raw_tp/test")
int run_add(void *ctx)
{
	struct thread *t = thread_get();
	struct block_key key = input_key();

	if (!t)
		return 0;
	t->stack.site = input.site;
	t->stack.n = 2;
	t->stack.pcs[0] = 0x1111;
	t->stack.pcs[1] = 0x2222;
	t->stack.kind = 0;
	t->stack.status = WALK_COMPLETE;
	outstanding_add(&key, (struct block_value){.size = input.size, .step = input.step},
			&t->stack);
	result = t->stack.site;
	return 0;
}

SEC("raw_tp/test")
int run_del(void *ctx)
{
	struct block_key key = input_key();
	struct block_value b = {};

	result = outstanding_del(&key, &b) ? b.size : -1;
	return 0;
}

/* Thread state keeps what is written, whichever map holds it. */
SEC("raw_tp/test")
int run_thread(void *ctx)
{
	struct thread *t = thread_get();

	result = t ? (long)t->call.size++ : -1;
	return 0;
}

SEC("raw_tp/test")
int run_sample(void *ctx)
{
	struct thread *t = thread_get();

	result = t ? sample_take(t, input.size, input.step) : -1;
	return 0;
}
