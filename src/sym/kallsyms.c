/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sizes are not in the file, so a symbol ends where the next starts. Data symbols take
 * part in the table as borders without a name: an address behind the last function of
 * the text must not be named after it.
 */
#include "sym/kallsyms.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "sym/names.h"
#include "sym/table.h"

/* No kernel function is longer; ends the last one of a module. */
#define FUNCTION_MAX (1024 * 1024)

struct sym_kallsyms {
	char *text;
	struct sym_table table; /* tag: 1 + index into modules; 0: the kernel */
	const char **modules;
	size_t n_modules, cap_modules;
};

static int module_tag(struct sym_kallsyms *k, const char *module, uint32_t *ret)
{
	size_t i = k->n_modules;
	int err;

	if (!*module) {
		*ret = 0;
		return 0;
	}
	/* Modules come in blocks: nearly always the last one. */
	while (i && strcmp(k->modules[i - 1], module) != 0)
		i--;
	if (!i) {
		err = array_reserve(&k->modules, &k->cap_modules, k->n_modules + 1,
				    sizeof(*k->modules));
		if (err)
			return err;
		k->modules[k->n_modules++] = module;
		i = k->n_modules;
	}
	*ret = (uint32_t)i;
	return 0;
}

/* Cuts the line into its words in place. */
static bool split(char *line, uint64_t *ret_address, char *ret_type, char **ret_name,
		  char **ret_module)
{
	char *end, *name, *rest;

	if (!isxdigit((unsigned char)*line))
		return false;
	*ret_address = strtoull(line, &end, 16);
	if (end - line > 16 || end[0] != ' ' || !isalpha((unsigned char)end[1]) || end[2] != ' ')
		return false;
	name = end + 3;
	rest = name + strcspn(name, " \t");
	if (rest == name)
		return false;
	*ret_type = end[1];
	*ret_name = name;
	*ret_module = rest;
	if (*rest) {
		*rest++ = '\0';
		rest += strspn(rest, " \t[");
		rest[strcspn(rest, "]")] = '\0';
		*ret_module = rest;
	}
	return true;
}

static int add_line(struct sym_kallsyms *k, char *line, bool *zeros)
{
	struct sym_entry e = {.open = 1};
	char *name, *module, type;
	unsigned int bind;
	uint32_t tag;
	int err;

	if (!split(line, &e.start, &type, &name, &module))
		return 0;
	if (!e.start) {
		*zeros = true;
		return 0;
	}
	err = module_tag(k, module, &tag);
	if (err)
		return err;
	bind = type == 'T'			     ? STB_GLOBAL
	       : toupper((unsigned char)type) == 'W' ? STB_WEAK
						     : STB_LOCAL;
	if (strchr("tTwW", type)) {
		e.name = name;
		e.rank = sym_name_rank(name, bind, STT_FUNC);
	} else {
		e.rank = UINT32_MAX;
	}
	e.tag = tag & INT32_MAX;
	e.end = e.start > UINT64_MAX - FUNCTION_MAX ? UINT64_MAX : e.start + FUNCTION_MAX;
	return sym_table_add(&k->table, &e);
}

int sym_kallsyms_new(char *text, size_t len, struct sym_kallsyms **ret)
{
	struct sym_kallsyms *k = calloc(1, sizeof(*k));
	char *rest = text, *line;
	bool zeros = false;
	int err = 0;

	if (!k) {
		free(text);
		return -ENOMEM;
	}
	k->text = text;
	while (!err && rest && rest < text + len) {
		line = strsep(&rest, "\n");
		err = add_line(k, line, &zeros);
	}
	if (!err && !k->table.n)
		err = zeros ? -EACCES : -ENODATA;
	if (err) {
		sym_kallsyms_free(k);
		return err;
	}
	sym_table_sort(&k->table);
	*ret = k;
	return 0;
}

void sym_kallsyms_free(struct sym_kallsyms *k)
{
	if (!k)
		return;
	sym_table_deinit(&k->table);
	free(k->modules);
	free(k->text);
	free(k);
}

int sym_kallsyms_find(const struct sym_kallsyms *k, uint64_t address, struct sym_kernel_symbol *ret)
{
	const struct sym_entry *e = sym_table_find(&k->table, address);

	if (!e || !e->name)
		return -ENOENT;
	ret->name = e->name;
	ret->module = e->tag ? k->modules[e->tag - 1] : NULL;
	ret->start = e->start;
	return 0;
}
