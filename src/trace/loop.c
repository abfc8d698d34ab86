/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

struct source {
	int fd;
	bool owned; /* a timer or signal fd: closed with the loop */
	bool dead;
	int (*fn)(void *arg, int fd);
	void *arg;
	int (*on_timer)(void *arg,
			int fd); /* behind a timer or signal fd: whom to call once it was read */
	int (*on_signal)(void *arg, int signo, bool from_user);
	void *inner_arg;
};

struct loop {
	int epoll;
	bool stop;
	struct source **sources; /* pointers: epoll holds their addresses */
	size_t n, cap;
};

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		free(l);
		return NULL;
	}
	return l;
}

static void source_free(struct source *s)
{
	if (s && s->owned)
		close(s->fd);
	free(s);
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		source_free(l->sources[i]);
	free(l->sources);
	close(l->epoll);
	free(l);
}

static int source_add(struct loop *l, const struct source *template)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct source *s;
	int err = array_reserve(&l->sources, &l->cap, l->n + 1, sizeof(struct source *));

	if (err)
		return err;
	s = malloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = *template;
	ev.data.ptr = s;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &ev)) {
		err = -errno;
		free(s);
		return err;
	}
	l->sources[l->n++] = s;
	return 0;
}

int loop_add(struct loop *l, int fd, int (*fn)(void *arg, int fd), void *arg)
{
	return source_add(l, &(struct source){.fd = fd, .fn = fn, .arg = arg});
}

void loop_remove(struct loop *l, int fd)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->sources[i]->fd != fd || l->sources[i]->dead)
			continue;
		epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
		l->sources[i]->dead = true; /* may still be in the batch at hand */
	}
}

static void reap_dead(struct loop *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (l->sources[i]->dead)
			source_free(l->sources[i]);
		else
			l->sources[kept++] = l->sources[i];
	}
	l->n = kept;
}

static int on_timer(void *arg, int fd)
{
	struct source *s = arg;
	uint64_t expirations;

	if (read(fd, &expirations, sizeof(expirations)) != sizeof(expirations))
		return 0;
	return s->on_timer(s->inner_arg, fd);
}

static int on_signal(void *arg, int fd)
{
	struct source *s = arg;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	return s->on_signal(s->inner_arg, (int)info.ssi_signo, info.ssi_code <= 0);
}

/* Adds a source whose fd the loop closes, and which is its own callback's argument. */
static int add_owned(struct loop *l, struct source *template)
{
	int err;

	template->owned = true;
	err = source_add(l, template);
	if (err) {
		close(template->fd);
		return err;
	}
	l->sources[l->n - 1]->arg = l->sources[l->n - 1];
	return 0;
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
				 .tv_nsec = (long)(ns % 1000000000)};
}

static struct itimerspec itimerspec_of(const struct loop_timer *timer)
{
	return (struct itimerspec){.it_value = timespec_of(timer->first_ns ? timer->first_ns : 1),
				   .it_interval = timespec_of(timer->interval_ns)};
}

int loop_add_timer(struct loop *l, const struct loop_timer *timer, int (*fn)(void *arg, int fd),
		   void *arg)
{
	struct itimerspec its = itimerspec_of(timer);
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (timerfd_settime(fd, 0, &its, NULL)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return add_owned(
		l, &(struct source){.fd = fd, .fn = on_timer, .on_timer = fn, .inner_arg = arg});
}

int loop_set_timer(struct loop *l, const struct loop_timer *timer, int (*fn)(void *arg, int fd),
		   void *arg)
{
	struct itimerspec its = itimerspec_of(timer);

	for (size_t i = 0; i < l->n; i++) {
		const struct source *s = l->sources[i];

		if (s->on_timer == fn && s->inner_arg == arg &&
		    timerfd_settime(s->fd, 0, &its, NULL))
			return -errno;
	}
	return 0;
}

int loop_add_signals(struct loop *l, int (*fn)(void *arg, int signo, bool from_user), void *arg)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	return add_owned(
		l, &(struct source){.fd = fd, .fn = on_signal, .on_signal = fn, .inner_arg = arg});
}

static int dispatch(const struct epoll_event *events, int n)
{
	int err;

	for (int i = 0; i < n; i++) {
		struct source *s = events[i].data.ptr;

		if (s->dead)
			continue;
		err = s->fn(s->arg, s->fd);
		if (err)
			return err;
	}
	return 0;
}

int loop_run(struct loop *l)
{
	struct epoll_event events[64];
	int n, err;

	while (!l->stop) {
		n = epoll_wait(l->epoll, events, ARRAY_SIZE(events), -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		err = dispatch(events, n);
		reap_dead(l);
		if (err)
			return err;
	}
	return 0;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

void loop_wait_readable(int fd, uint64_t until_ns)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t now = clock_mono_ns();
	struct timespec left = timespec_of(until_ns > now ? until_ns - now : 0);

	ppoll(&p, 1, &left, NULL);
}
