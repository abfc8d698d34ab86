/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --help of one command, from its rows:
 *
 *	Usage: memtally leak [OPTIONS] [INTERVAL [COUNT]] [-- PROGRAM ARG...]
 *	Name the stacks that hold memory
 *
 *	Targets:
 *	  -p, --pid=PID[,PID...]    Processes to trace
 *	      --follow              Also trace the processes that the targets fork
 */
#include "lib/opts.h"

#include <errno.h>
#include <string.h>

enum { HELP_WIDTH = 80, HELP_COLUMN_MAX = 30 };

static int stream_status(FILE *out)
{
	int saved = errno;

	if (fflush(out) == 0 && !ferror(out))
		return 0;
	return errno ? -errno : saved ? -saved : -EIO;
}

/* "  -p, --pid=PID[,PID...]"; returns its length, as snprintf does. */
static int option_label(const struct opt *o, char *buf, size_t size)
{
	char letter[8] = "    ";

	if (o->short_name)
		snprintf(letter, sizeof(letter), "-%c, ", o->short_name);
	return snprintf(buf, size, "  %s--%s%s%s", letter, o->name, o->metavar ? "=" : "",
			o->metavar ? o->metavar : "");
}

static int label_column(const struct opts_spec *s)
{
	char buf[128];
	int column = 0;

	for (const struct opt_group *const *g = s->groups; *g; g++)
		for (size_t i = 0; i < (*g)->n; i++)
			column = MAX(column, option_label(&(*g)->opts[i], buf, sizeof(buf)));
	return MIN(column + 2, HELP_COLUMN_MAX);
}

/* Breaks text at blanks; `at` is the column the cursor is in, lines start at `indent`. */
static void wrap(FILE *out, const char *text, int at, int indent)
{
	if (at > indent) {
		fputc('\n', out);
		at = 0;
	}
	while (*text) {
		int word = (int)strcspn(text, " ");

		if (at > indent && at + 1 + word > HELP_WIDTH) {
			fputc('\n', out);
			at = 0;
		}
		at += at > indent ? fprintf(out, " %.*s", word, text)
				  : fprintf(out, "%*s%.*s", indent - at, "", word, text);
		text += word;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

/* The row's sentence, the words of an enum and the default. */
static int option_text(const struct opt *o, char **ret)
{
	size_t len;
	FILE *f = open_memstream(ret, &len);

	if (!f)
		return -ENOMEM;
	fputs(o->help, f);
	for (size_t i = 0; o->names && o->names[i]; i++)
		fprintf(f, "%s%s", i ? ", " : ": ", o->names[i]);
	if (o->fallback)
		fprintf(f, " (default: %s)", o->fallback);
	return fclose(f) ? -ENOMEM : 0;
}

static int option_print(const struct opt *o, int column, FILE *out)
{
	_cleanup_free_ char *text = NULL;
	char label[128];
	int at, err = option_text(o, &text);

	if (err)
		return err;
	at = option_label(o, label, sizeof(label));
	fputs(label, out);
	wrap(out, text, at + 2 > column ? column + 1 : at, column);
	return 0;
}

int opts_help(const struct opts_spec *s, FILE *out)
{
	static const struct opt help = OPT_ROW("help", 'h', OPT_FLAG, 0, NULL, "Print this page");
	int column = label_column(s), err = 0;

	fprintf(out, "Usage: memtally %s [OPTIONS]", s->command);
	for (size_t i = 0; s->word && s->word->names[i]; i++)
		fprintf(out, "%s%s", i ? "|" : " [", s->word->names[i]);
	fprintf(out, "%s%s%s%s\n%s\n", s->word ? "]" : "",
		s->operands	    ? " "
		: s->takes_interval ? " [INTERVAL [COUNT]]"
				    : "",
		s->operands ? s->operands : "", s->takes_program ? " [-- PROGRAM ARG...]" : "",
		s->summary);
	for (const struct opt_group *const *g = s->groups; *g && !err; g++) {
		fprintf(out, "\n%s:\n", (*g)->title);
		for (size_t i = 0; i < (*g)->n && !err; i++)
			err = option_print(&(*g)->opts[i], column, out);
	}
	fputc('\n', out);
	if (!err)
		err = option_print(&help, column, out);
	if (s->examples)
		fprintf(out, "\nEXAMPLES\n%s", s->examples);
	return err ? err : stream_status(out);
}

static const char completion_head[] =
	"# bash completion for memtally, written by 'memtally --completion bash'\n"
	"_memtally()\n"
	"{\n"
	"	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	"	local cmd=${COMP_WORDS[1]} words='' i\n"
	"\n"
	"	COMPREPLY=()\n"
	"	for ((i = 2; i < COMP_CWORD; i++)); do\n"
	"		if [[ ${COMP_WORDS[i]} == -- ]]; then\n"
	"			compopt -o default\n"
	"			return\n"
	"		fi\n"
	"	done\n"
	"	# --name=value arrives as three words\n"
	"	if [[ $cur == = ]]; then\n"
	"		cur=''\n"
	"	elif [[ $prev == = ]]; then\n"
	"		prev=${COMP_WORDS[COMP_CWORD-2]}\n"
	"	fi\n"
	"	if ((COMP_CWORD == 1)); then\n"
	"		cmd='' prev=''\n"
	"	fi\n"
	"	case $cmd:$prev in\n";

static const char completion_tail[] = "	esac\n"
				      "	[[ $words ]] || case $cmd in\n";

static const char completion_end[] =
	"	esac\n"
	"	mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	"}\n"
	"complete -F _memtally memtally\n";

/* The case pattern of an option: "leak:--pid|leak:-p)". */
static void case_label(const char *command, const struct opt *o, FILE *out)
{
	fprintf(out, "	%s:--%s", command, o->name);
	if (o->short_name)
		fprintf(out, "|%s:-%c", command, o->short_name);
	fputs(")\n", out);
}

/* What may follow an option that takes a value. */
static void completion_value(const char *command, const struct opt *o, FILE *out)
{
	if (o->type == OPT_FLAG || o->type == OPT_COUNTER)
		return;
	case_label(command, o, out);
	if (o->type == OPT_ENUM) {
		fputs("		words='", out);
		for (size_t i = 0; o->names[i]; i++)
			fprintf(out, "%s%s", i ? " " : "", o->names[i]);
		fputs("' ;;\n", out);
	} else if (o->type == OPT_PIDS) {
		fputs("		words=$(cd /proc && echo [0-9]*) ;;\n", out);
	} else {
		fprintf(out, "%s		return ;;\n",
			o->type == OPT_STRING ? "		compopt -o default\n" : "");
	}
}

static void completion_options(const struct opts_spec *s, FILE *out)
{
	fprintf(out, "	%s) words='--help", s->command);
	for (const struct opt_group *const *g = s->groups; *g; g++)
		for (size_t i = 0; i < (*g)->n; i++)
			fprintf(out, " --%s", (*g)->opts[i].name);
	fputs("' ;;\n", out);
}

int opts_completion(const struct opts_spec *const *specs, size_t n, FILE *out)
{
	fputs(completion_head, out);
	for (size_t c = 0; c < n; c++)
		for (const struct opt_group *const *g = specs[c]->groups; *g; g++)
			for (size_t i = 0; i < (*g)->n; i++)
				completion_value(specs[c]->command, &(*g)->opts[i], out);
	fputs(completion_tail, out);
	for (size_t c = 0; c < n; c++)
		completion_options(specs[c], out);
	fputs("	'') words='--help --version", out);
	for (size_t c = 0; c < n; c++)
		fprintf(out, " %s", specs[c]->command);
	fputs("' ;;\n", out);
	fputs(completion_end, out);
	return stream_status(out);
}
