/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal's side of the live table. Nothing happens in signal handlers: resizing and
 * job control come through a descriptor, together with the keys. While the terminal is
 * ours, stderr, if it is a terminal too, is kept in memory and printed afterwards.
 */
#include "view/live.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

#include "view/live_draw.h"

struct live {
	struct live_config c;
	struct live_ui ui;
	struct live_table table, next; /* what is shown; the report at hand */
	char losses[256];
	uint64_t time_ns;
	SCREEN *screen; /* NULL: not open */
	int epoll, signals;
	sigset_t mask;		 /* as it was */
	struct sigaction stop;	 /* likewise, for SIGTSTP */
	int stderr_fd, notes_fd; /* the real one, what goes there meanwhile; -1 */
};

int live_new(const struct live_config *c, struct live **ret)
{
	struct live *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->c = *c;
	l->ui.interval_ns = c->interval_ns;
	l->ui.sort = -1;
	l->epoll = l->signals = l->stderr_fd = l->notes_fd = -1;
	*ret = l;
	return 0;
}

void live_free(struct live *l)
{
	if (!l)
		return;
	live_close(l);
	live_table_deinit(&l->table);
	live_table_deinit(&l->next);
	free(l);
}

bool live_possible(void)
{
	const char *term = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term &&
	       strcmp(term, "dumb") != 0;
}

bool live_is_open(const struct live *l)
{
	return l && l->screen;
}

int live_fd(const struct live *l)
{
	return l->epoll;
}

uint64_t live_interval_ns(const struct live *l)
{
	return l->ui.interval_ns;
}

static void draw(struct live *l)
{
	live_draw(&(struct live_scene){l->c.command, &l->table, l->losses, l->time_ns}, &l->ui);
}

/* ---- open and close ---- */

/* Names are UTF-8 wherever we print them; a locale without it would hide them. */
static void choose_locale(void)
{
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
}

static int watch(struct live *l, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static void no_action(int signo)
{
	(void)signo;
}

/*
 * SIGQUIT would end us with the terminal as it is. SIGTSTP has a handler, which never runs, so
 * that ncurses leaves it alone: it ignores the signal while it draws, and the kernel forgets one
 * that is pending when it becomes ignored.
 */
static int open_signals(struct live *l)
{
	struct sigaction ours = {.sa_handler = no_action};
	sigset_t set;
	int err;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	sigaddset(&set, SIGQUIT);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->epoll < 0 || l->signals < 0)
		return -errno;
	err = watch(l, l->signals);
	if (!err)
		err = watch(l, STDIN_FILENO);
	if (!err && sigprocmask(SIG_BLOCK, &set, &l->mask))
		err = -errno;
	if (!err)
		sigaction(SIGTSTP, &ours, &l->stop);
	return err;
}

static void hold_stderr(struct live *l)
{
	if (!isatty(STDERR_FILENO))
		return;
	fflush(stderr);
	l->notes_fd = memfd_create("stderr", MFD_CLOEXEC);
	l->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (l->notes_fd >= 0 && l->stderr_fd >= 0)
		dup2(l->notes_fd, STDERR_FILENO);
}

static void release_stderr(struct live *l)
{
	char buf[4096];
	ssize_t n;

	fflush(stderr);
	if (l->notes_fd >= 0 && l->stderr_fd >= 0) {
		dup2(l->stderr_fd, STDERR_FILENO);
		lseek(l->notes_fd, 0, SEEK_SET);
		while ((n = read(l->notes_fd, buf, sizeof(buf))) > 0)
			fwrite(buf, 1, (size_t)n, stderr);
		fflush(stderr);
	}
	lib_closep(&l->notes_fd);
	lib_closep(&l->stderr_fd);
	l->notes_fd = l->stderr_fd = -1;
}

static void close_fds(struct live *l)
{
	lib_closep(&l->signals);
	lib_closep(&l->epoll);
	l->signals = l->epoll = -1;
}

static void close_signals(struct live *l)
{
	sigaction(SIGTSTP, &l->stop, NULL);
	sigprocmask(SIG_SETMASK, &l->mask, NULL);
	close_fds(l);
}

int live_open(struct live *l)
{
	int err;

	choose_locale();
	fflush(stdout);
	err = open_signals(l);
	if (err) {
		close_fds(l);
		return err;
	}
	l->screen = newterm(NULL, stdout, stdin);
	if (!l->screen) {
		close_signals(l);
		return -ENOTTY;
	}
	hold_stderr(l);
	cbreak();
	noecho();
	nonl();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	draw(l);
	return 0;
}

void live_close(struct live *l)
{
	if (!live_is_open(l))
		return;
	endwin();
	delscreen(l->screen);
	l->screen = NULL;
	close_signals(l);
	release_stderr(l);
}

/* ---- input ---- */

static void resize(void)
{
	struct winsize w;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) && w.ws_row && w.ws_col)
		resizeterm(w.ws_row, w.ws_col);
}

/* Others had the terminal: its modes and what it shows may be anything. */
static void take_back(void)
{
	reset_prog_mode();
	resize();
	clearok(stdscr, TRUE);
}

/* The terminal as it was, then stopped as the signal does it; goes on here. */
static void stop_self(const struct live *l)
{
	struct sigaction as_ever = {.sa_handler = SIG_DFL}, ours;
	sigset_t set;

	if (l->stop.sa_handler == SIG_IGN)
		return; /* who started us has no job control: nobody would let us go on */
	endwin();
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	sigaction(SIGTSTP, &as_ever, &ours);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* stops here */
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGTSTP, &ours, NULL);
	take_back();
}

static enum live_action take_signals(struct live *l)
{
	enum live_action action = LIVE_NOTHING;
	struct signalfd_siginfo info;

	while (read(l->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGWINCH)
			resize();
		else if (info.ssi_signo == SIGTSTP)
			stop_self(l);
		else if (info.ssi_signo == SIGCONT)
			take_back();
		else
			action = LIVE_QUIT;
	}
	return action;
}

static bool terminal_is_gone(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static enum live_action take_keys(struct live *l)
{
	enum live_action action = LIVE_NOTHING;
	wint_t c;
	int kind;

	while (action == LIVE_NOTHING && (kind = get_wch(&c)) != ERR)
		if (kind != KEY_CODE_YES && c == ('l' & 0x1f))
			clearok(stdscr, TRUE);
		else
			action = live_key(&l->ui, &l->table,
					  kind == KEY_CODE_YES ? -(int)c : (int)c);
	return action;
}

static int arrange(struct live *l)
{
	return live_table_arrange(&l->table,
				  &(struct live_order){l->ui.sort, l->ui.reverse, l->ui.filter});
}

enum live_action live_input(struct live *l)
{
	enum live_action action = take_signals(l);

	if (action == LIVE_NOTHING)
		action = terminal_is_gone() ? LIVE_QUIT : take_keys(l);
	if (action != LIVE_QUIT && arrange(l))
		action = LIVE_QUIT;
	if (action != LIVE_QUIT)
		draw(l);
	return action;
}

/* ---- reports ---- */

int live_record(struct live *l, const struct view_record *r)
{
	return live_table_add(&l->next, r);
}

static void losses_text(struct live *l, const struct view_report *r)
{
	const struct loss *first = NULL;
	size_t kinds = 0;

	for (size_t i = 0; i < r->n_losses; i++) {
		if (!r->losses[i].count)
			continue;
		first = first ? first : &r->losses[i];
		kinds++;
	}
	l->losses[0] = '\0';
	if (!first)
		return;
	snprintf(l->losses, sizeof(l->losses), "LOST %" PRIu64 "%s: %s; cure: %s", first->count,
		 kinds > 1 ? " (and more of other kinds)" : "", first->what, first->cure);
}

/* The columns stay with the table that is shown: there may be no row to take them from. */
static void swap_tables(struct live *l)
{
	struct live_table shown = l->table;
	bool first = !shown.n_columns;

	if (!l->next.n_columns && !first) {
		live_table_clear(&l->table);
		return;
	}
	l->table = l->next;
	l->next = shown;
	if (first)
		l->ui.sort = live_table_column(&l->table, l->c.sort);
}

int live_report(struct live *l, const struct view_report *r)
{
	int err = 0;

	losses_text(l, r);
	if (!l->ui.paused) {
		swap_tables(l);
		l->time_ns = r->time_ns;
		err = arrange(l);
	}
	live_table_clear(&l->next);
	if (!err)
		draw(l);
	return err;
}
