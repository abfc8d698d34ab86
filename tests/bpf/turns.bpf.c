/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One event, all of its programs in one BPF_PROG_TEST_RUN; result: those that work, by bit. */
#include "cache_turns.bpf.h"
#include "turns_input.h"

struct turns_input input;
long result;

#define TURN(turn, taken)                                    \
	do {                                                 \
		if (input.programs & 1 << (turn) && (taken)) \
			result |= 1 << (turn);               \
	} while (0)

SEC("raw_tp/test")
int run_cache(void *ctx)
{
	result = 0;
	TURN(FIRST, cache_turn(CACHE_ADD, input.what, FIRST));
	TURN(SECOND, cache_turn(CACHE_ADD, input.what, SECOND));
	TURN(THIRD, cache_turn(CACHE_ADD, input.what, THIRD));
	TURN(FOURTH, cache_turn(CACHE_ADD, input.what, FOURTH));
	return 0;
}

SEC("raw_tp/test")
int run_other(void *ctx)
{
	result = 0;
	TURN(FIRST, turn_taken(input.what, input.event, FIRST));
	TURN(SECOND, turn_taken(input.what, input.event, SECOND));
	return 0;
}

SEC("?raw_tp/test")
int run_held(void *ctx)
{
	hold();
	result = bpf_get_smp_processor_id() + 1;
	hold_end();
	return 0;
}
