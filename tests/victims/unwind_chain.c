/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind_chain.c - mallocs below every construct that makes a stack hard to walk: deep
 * recursion, alloca, frames of 100 KB, realigned stacks, callbacks from libc, signal
 * handlers (also on their own stack), threads, coroutines, code reached by the PLT.
 * Compiled with -O2 -fomit-frame-pointer. Argument: rounds (default 20).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <alloca.h>
#include <ftw.h>
#include <pthread.h>
#include <regex.h>
#include <search.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define noinline __attribute__((noinline, noclone))

static volatile uintptr_t sink;

noinline static void allocate(size_t n)
{
	void *p = malloc(n);

	sink += (uintptr_t)p;
	free(p);
}

noinline static int recurse(int depth, int a, int b)
{
	int r;

	if (!depth) {
		allocate(16);
		return a + b;
	}
	r = recurse(depth - 1, a * 3 + b, b ^ depth);
	sink += (uintptr_t)r;
	return r + a;
}

noinline static int with_alloca(size_t n)
{
	char *p = alloca(n);

	memset(p, (int)n, n);
	allocate(32);
	return p[n / 2];
}

noinline static int with_big_frame(int depth)
{
	volatile char big[100000];
	int r = 0;

	big[0] = (char)depth;
	big[sizeof(big) - 1] = 1;
	if (depth)
		r = with_big_frame(depth - 1);
	else
		allocate(48);
	return r + big[0] + big[sizeof(big) - 1];
}

typedef double wide __attribute__((vector_size(64)));

noinline static int with_realigned(size_t n, int depth)
{
	volatile wide w[4] __attribute__((aligned(64)));
	char *p = alloca(n);
	int r = 0;

	memset(p, 1, n);
	for (size_t i = 0; i < 4; i++)
		w[i] = (wide){(double)n};
	if (depth)
		r = with_realigned(n + 1, depth - 1);
	else
		allocate(64);
	return r + p[n - 1] + (int)w[3][0];
}

noinline static int compare(const void *a, const void *b)
{
	const int x = *(const int *)a, y = *(const int *)b;

	allocate(24);
	return x < y ? -1 : x > y;
}

noinline static void callbacks(void)
{
	int v[] = {5, 3, 9, 1, 7, 2, 8};
	void *root = NULL;

	qsort(v, sizeof(v) / sizeof(*v), sizeof(*v), compare);
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++)
		tsearch(&v[i], &root, compare);
	while (root)
		tdelete(*(int **)root, &root, compare);
}

noinline static int on_file(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st, (void)type;
	allocate(strlen(path) + (size_t)f->level);
	return 0;
}

noinline static void on_signal(int sig)
{
	allocate((size_t)sig);
	recurse(3, sig, 1);
}

noinline static void signals(void)
{
	static char stack[65536];
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	sigaltstack(&ss, NULL);
	sa.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &sa, NULL);
	raise(SIGUSR2);
	with_alloca(100);
}

noinline static void *in_thread(void *arg)
{
	recurse((int)(intptr_t)arg, 1, 2);
	callbacks();
	with_realigned(50, 2);
	return NULL;
}

static ucontext_t main_ctx, co_ctx;

noinline static void in_coroutine(void)
{
	recurse(2, 1, 1);
	swapcontext(&co_ctx, &main_ctx);
}

noinline static void coroutine(void)
{
	static char stack[262144];

	getcontext(&co_ctx);
	co_ctx.uc_stack.ss_sp = stack;
	co_ctx.uc_stack.ss_size = sizeof(stack);
	co_ctx.uc_link = &main_ctx;
	makecontext(&co_ctx, in_coroutine, 0);
	swapcontext(&main_ctx, &co_ctx);
}

noinline static void library(void)
{
	regex_t re;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!regcomp(&re, "(a|b)*c[0-9]{2,5}", REG_EXTENDED)) {
		regexec(&re, "abababc123", 0, NULL, 0);
		regfree(&re);
	}
	if (f) {
		fprintf(f, "%s %d\n", "text", 42);
		fclose(f);
	}
	free(text);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 20;
	pthread_t threads[4];

	for (int i = 0; i < rounds; i++) {
		for (int depth = 0; depth < 60; depth++)
			recurse(depth, depth, i);
		for (size_t n = 1; n < 3000; n += 111)
			with_alloca(n);
		with_big_frame(i % 8);
		with_realigned((size_t)i + 1, i % 6);
		callbacks();
		signals();
		library();
		nftw("/etc/default", on_file, 8, FTW_PHYS);
		if (i < 2)
			coroutine();
		for (size_t k = 0; k < 4; k++)
			pthread_create(&threads[k], NULL, in_thread, (void *)(intptr_t)(k * 7));
		for (size_t k = 0; k < 4; k++)
			pthread_join(threads[k], NULL);
	}
	return 0;
}
