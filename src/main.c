/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - the table of commands and the way from argv to one of them. */
#include "cmd.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include "lib/caps.h"
#include "lib/log.h"

static const struct command *const commands[] = {
	&cmd_leak,     &cmd_kmem,     &cmd_faults,   &cmd_cachestat,
	&cmd_cachetop, &cmd_resident, &cmd_features,
};

static int finish_stdout(int err)
{
	if (!err && fflush(stdout))
		err = -errno;
	if (err)
		log_error("cannot write to stdout: %s", errno_name(err));
	return err ? STATUS_FAILURE : STATUS_FINE;
}

static int print_help(void)
{
	printf("Usage: memtally COMMAND [OPTIONS] [INTERVAL [COUNT]] [-- PROGRAM ARG...]\n"
	       "\nCommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-12s%s\n", commands[i]->name, commands[i]->opts->summary);
	printf("\n'memtally COMMAND --help' lists the options of one command.\n"
	       "'memtally --version' and 'memtally --completion bash' print what they say.\n");
	return finish_stdout(0);
}

static int print_version(void)
{
	printf("memtally %s (libbpf %s)\n", MEMTALLY_VERSION, libbpf_version_string());
	return finish_stdout(0);
}

static int print_completion(const char *shell)
{
	const struct opts_spec *specs[ARRAY_SIZE(commands)];

	if (!shell || strcmp(shell, "bash") != 0) {
		log_error("--completion: '%s' is not one of bash", shell ? shell : "");
		return STATUS_USAGE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		specs[i] = commands[i]->opts;
	return finish_stdout(opts_completion(specs, ARRAY_SIZE(specs), stdout));
}

/* The options before a command; one of them is all there can be. */
static int run_global(const char *word, const char *next)
{
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return print_help();
	if (strcmp(word, "--version") == 0)
		return print_version();
	if (strcmp(word, "--completion") == 0)
		return print_completion(next);
	log_error("unknown %s '%s'; see 'memtally --help'", word[0] == '-' ? "option" : "command",
		  word);
	return STATUS_USAGE;
}

static int check_rights(void)
{
	char missing[128];
	uint64_t set;
	int err = caps_effective(&set);

	if (err) {
		log_error("cannot read the capabilities of this process: %s", errno_name(err));
		return err;
	}
	if (!caps_missing(set, missing, sizeof(missing)))
		return 0;
	log_error("must run as root, or with the capabilities it lacks: %s", missing);
	return -EPERM;
}

/* libbpf's own messages, one level below ours. */
static int log_libbpf(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	_cleanup_free_ char *text = NULL;
	int n = level == LIBBPF_DEBUG ? 0 : vasprintf(&text, fmt, ap);
	char *rest = n > 0 ? text : NULL, *line;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_debug("%s", line);
	return MAX(n, 0);
}

static int run_config(const struct command *c, const void *cfg)
{
	if ((c->flags & CMD_NEEDS_ROOT) && check_rights())
		return STATUS_FAILURE;
	return c->run(cfg);
}

/* What comes before everything else, and before libbpf raises the limit. */
static void init_common(const struct command *c, struct common_opts *common)
{
	log_init(c->name, LOG_INFO + (enum log_level)MIN(common->verbose, 2U));
	getrlimit(RLIMIT_MEMLOCK, &common->memlock);
}

static int run_command(const struct command *c, int argc, char **argv)
{
	_cleanup_free_ void *cfg = calloc(1, c->opts->config_size);
	_cleanup_free_ char *msg = NULL;
	int err, status;

	log_init(c->name, LOG_INFO);
	err = cfg ? opts_parse(c->opts, argc, argv, cfg, &msg) : -ENOMEM;
	if (err == OPTS_HELP)
		return finish_stdout(opts_help(c->opts, stdout));
	if (err) {
		log_error("%s", msg ? msg : errno_name(err));
		return err == -EINVAL ? STATUS_USAGE : STATUS_FAILURE;
	}
	if (c->flags & CMD_COMMON)
		init_common(c, cfg);
	status = run_config(c, cfg);
	opts_deinit(c->opts, cfg);
	return status;
}

int main(int argc, char **argv)
{
	log_init("memtally", LOG_INFO);
	libbpf_set_print(log_libbpf);
	/* A reader that goes away is an error of a write, never a death with probes in place. */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		log_error("no command; see 'memtally --help'");
		return STATUS_USAGE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i]->name, argv[1]) == 0)
			return run_command(commands[i], argc - 1, argv + 1);
	return run_global(argv[1], argv[2]);
}
