/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * site.h - where in a function a uprobe goes.
 *
 * The kernel replaces the probed instruction by a trap. Some instructions it then
 * emulates inside that trap (about 0.5 us); all others it runs single-stepped out of
 * line, which raises a second exception (about 20 us in a virtual machine). So the probe
 * goes to the first emulated instruction behind the entry, as long as "the function was
 * just called with these arguments" is as true there as at the entry itself:
 *
 *   1. it is reached in a straight line, no branch, call or return before it;
 *   2. what the program reads from argument registers is still in one of them, in the
 *      same one unless the caller can follow it; and the stack pointer did not move
 *      (so a return probe may sit there too: the kernel takes the return address from
 *      where rsp points at the probed instruction);
 *   3. nothing before it writes memory or enters the kernel: the work of the function
 *      has not begun;
 *   4. nothing jumps in between: no branch of the function, or of code it jumps out
 *      to, ends in (entry, site], and no other symbol starts there.
 *
 * Rule 4 scans the function from its entry to its end in a straight line. Indirect
 * jumps: through a GOT or other slot at a fixed place, or through a register that was
 * loaded from plain memory in the same straight line, they are tail calls; all others
 * may be jump tables, whose targets are unknown, and forbid any site but the entry. So
 * do bytes that are no instruction.
 *
 * Not seen: code elsewhere in the file that jumps into the middle of the function without
 * being reached from it. Compilers emit that for no function with a symbol of its own.
 */
#ifndef MEMTALLY_TRACE_SITE_H
#define MEMTALLY_TRACE_SITE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "trace/insn.h"

#define SITE_MAX_DELTA 64     /* bytes behind the entry */
#define SITE_MAX_SCAN  262144 /* a longer function keeps its entry */
#define SITE_MAX_INSNS 4096   /* walked by site_returns() */
#define SITE_MAX_RETS  64

/* Code of one object file, by virtual address (the ELF's, not the process's). */
struct site_code {
	/* Up to len bytes at vaddr: how many were read (> 0), or a negative errno. */
	ssize_t (*read)(void *arg, uint64_t vaddr, void *buf, size_t len);
	/* May be NULL: end of the symbol around vaddr, 0 where there is none. */
	uint64_t (*symbol_end)(void *arg, uint64_t vaddr);
	/*
	 * May be NULL: the function in this same file that the GOT slot leads to, for jumps
	 * through PLT stubs. 0, or a negative errno when it lies elsewhere.
	 */
	int (*resolve)(void *arg, uint64_t slot, uint64_t *ret_vaddr);
	/*
	 * May be NULL: whether a call of this address never returns (abort, __cxa_throw,
	 * _Unwind_Resume, ... or their PLT stubs). Not needed to find every `ret`, but without it
	 * the walk runs on into whatever lies behind such a call.
	 */
	bool (*noreturn)(void *arg, uint64_t vaddr);
	void *arg;
};

struct site_func {
	uint64_t vaddr;	      /* entry */
	uint64_t size;	      /* symbol size, bytes; 0 where unknown: the entry is used */
	uint64_t next_symbol; /* lowest other symbol above vaddr; UINT64_MAX: none */
};

struct site_want {
	uint64_t emulated; /* 1 << enum insn_class; see calibrate.h */
	uint16_t keep;	   /* enum insn_reg the program reads, such as INSN_RDI | INSN_RSI */
	uint16_t may_hold; /* registers an argument may have moved to; 0: its own only */
	bool sp_may_move;  /* entry probe whose program adds sp_change back; no return probe */
};

struct site {
	uint32_t delta;	   /* bytes behind the entry */
	bool fast;	   /* the kernel emulates the instruction there */
	bool reentered;	   /* the function jumps back to its entry: it counts once per round */
	int32_t sp_change; /* of rsp between entry and site; 0 unless sp_may_move */
	/*
	 * Where the kept arguments are at the site, both counted from 1 as the ABI passes them
	 * (arg_at[1] == 2: what came in rdi is in rsi now), and 7 for rax. The identity unless
	 * may_hold allows more.
	 */
	uint8_t arg_at[7];
	uint8_t class;	    /* enum insn_class of the instruction at the site */
	const char *reason; /* static text: why not fast; NULL when fast */
};

/*
 * Chooses the probe site of a function. Always gives a usable answer; delta 0 and
 * fast = false with a reason where there is no better one. 0, or a negative errno:
 * -EOPNOTSUPP on other machines than x86-64, -ENOMEM, or what read returned for the
 * function's own bytes; then *ret is untouched and the caller uses the entry.
 */
int site_choose(const struct site_code *code, const struct site_func *func,
		const struct site_want *want, struct site *ret);

struct site_ret {
	uint64_t vaddr;
	bool shared; /* lies outside the function's symbol: other functions return there too */
};

struct site_rets {
	struct site_ret at[SITE_MAX_RETS];
	size_t n;
	size_t insns;	       /* walked */
	const char *reason;    /* on failure only: static text */
	uint64_t reason_vaddr; /* on failure only */
};

/*
 * All `ret` instructions that end a call of the function: probes for functions which
 * must not get a uretprobe (what may throw: an unwinder in the target dies on the
 * trampoline). At such a `ret` rsp is what it was at the entry, and rax the result.
 *
 * Follows control flow from the entry, also through direct jumps to other code (cold
 * parts and tail calls alike: both return with the entry's rsp). Calls are stepped over;
 * behind a call that never returns, the walk stops at int3, ud2, hlt and at the end of
 * the symbol, otherwise it may list a `ret` that is never reached from here. So a probe
 * program must match rsp with the entry's before it believes a `ret`.
 *
 * 0; -ENOTSUP where the set cannot be known (indirect jump, call into the function's
 * own middle), -EBADMSG for bytes that are no instruction, -E2BIG over SITE_MAX_INSNS
 * or SITE_MAX_RETS, -ENOENT without any `ret`, -ENOMEM, or what read returned.
 * On failure ret->n is 0 and reason says why.
 */
int site_returns(const struct site_code *code, const struct site_func *func, struct site_rets *ret);

#endif
