/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/command.h"

#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "journal/base/report.h"
#include "tools/error.h"
#include "tools/nearest.h"

#define OPTIONS_MAX 32 /* of a command with all its subcommands */

/* --- the options of getopt --- */

struct getopt_tables {
	char letters[2 * OPTIONS_MAX + 3];
	struct option names[OPTIONS_MAX + 1];
	size_t nletters, nnames;
};

static bool has_option(const struct getopt_tables *tables, const struct th_option *option)
{
	for (size_t i = 0; option->name && i < tables->nnames; i++) {
		if (!strcmp(tables->names[i].name, option->name))
			return true;
	}
	return !option->name && strchr(tables->letters, option->key);
}

static void add_option(struct getopt_tables *tables, const struct th_option *option)
{
	if (has_option(tables, option) || tables->nnames == OPTIONS_MAX)
		return;
	if (option->key < TH_OPTION_LONG) {
		tables->letters[tables->nletters++] = (char)option->key;
		if (option->argument)
			tables->letters[tables->nletters++] = ':';
	}
	if (option->name)
		tables->names[tables->nnames++] = (struct option){
			.name = option->name,
			.has_arg = option->argument ? required_argument : no_argument,
			.val = option->key,
		};
}

/* Adds the options of the command and of all its subcommands. */
static void add_options(struct getopt_tables *tables, const struct th_command *command)
{
	for (const struct th_option *option = command->options; option && option->key; option++)
		add_option(tables, option);
	for (const struct th_command *verb = command->verbs; verb && verb->name; verb++)
		add_options(tables, verb);
}

/* --- subcommands --- */

/* Returns the subcommand called `word`, or NULL. */
static const struct th_command *find_verb(const struct th_command *command, const char *word)
{
	size_t prefix = strlen(command->name) + 1;

	for (const struct th_command *verb = command->verbs; verb && verb->name; verb++) {
		if (!strcmp(verb->name + prefix, word))
			return verb;
	}
	return NULL;
}

/* Returns the subcommand that the command line is about, or the command itself where it names none. */
static const struct th_command *named_verb(const struct th_command *command, int argc, char **argv)
{
	for (int i = 1; i < argc && command->verbs; i++) {
		const struct th_command *verb = find_verb(command, argv[i]);

		if (verb)
			return verb;
	}
	return command;
}

/* Fills text with the names of the subcommands: "create, list or delete". */
static const char *verb_names(const struct th_command *command, char *text, size_t size)
{
	size_t prefix = strlen(command->name) + 1, at = 0;

	text[0] = 0;
	for (const struct th_command *verb = command->verbs; verb->name && at < size; verb++)
		at += (size_t)snprintf(text + at, size - at, "%s%s",
				       at == 0        ? ""
				       : verb[1].name ? ", "
						      : " or ",
				       verb->name + prefix);
	return text;
}

/* Reports a word that is no subcommand. */
static int report_verb(const struct th_command *command, const char *word, const char *names)
{
	struct th_nearest nearest = { .word = word };
	size_t prefix = strlen(command->name) + 1;
	char hint[64];

	for (const struct th_command *verb = command->verbs; verb->name; verb++)
		th_nearest_try(&nearest, verb->name + prefix);
	return th_command_usage(command, "%s: not one of %s%s", word, names,
				th_nearest_hint(&nearest, hint, sizeof(hint)));
}

/* --- parsing --- */

int th_command_option(const struct th_command *command, int argc, char **argv, int *ret_status)
{
	static const struct th_option help = { 'h', "help", NULL, NULL };
	struct getopt_tables tables = { .letters = ":", .nletters = 1 };
	int key;

	add_options(&tables, command);
	add_option(&tables, &help);
	key = getopt_long(argc, argv, tables.letters, tables.names, NULL);
	if (key == -1)
		return 0;
	if (key != 'h' && key != '?' && key != ':')
		return key;
	command = named_verb(command, argc, argv);
	*ret_status = key == 'h' ? th_command_help(command) : th_command_bad_option(command, key, argv);
	return -1;
}

int th_command_run_verb(const struct th_command *command, int argc, char **argv)
{
	const struct th_command *verb;
	char names[256];
	int key, status = TH_EXIT_DONE;

	/* This only finds the subcommand, which then parses its options itself. */
	while ((key = th_command_option(command, argc, argv, &status)) > 0)
		;
	if (key < 0)
		return status;
	verb_names(command, names, sizeof(names));
	if (optind == argc)
		return th_command_usage(command, "a subcommand is missing: %s", names);
	verb = find_verb(command, argv[optind]);
	if (!verb)
		return report_verb(command, argv[optind], names);
	memmove(argv + 1, argv,
		(size_t)optind * sizeof(*argv)); /* over the name, which getopt has moved after the options */
	optind = 0; /* makes getopt begin again */
	return verb->run(verb, argc - 1, argv + 1);
}

/* --- help --- */

/* Fills text with an option as the help shows it: "-s, --size SIZE". */
static const char *option_form(const struct th_option *option, char *text, size_t size)
{
	char letter[3] = "";

	if (option->key < TH_OPTION_LONG)
		snprintf(letter, sizeof(letter), "-%c", option->key);
	snprintf(text, size, "%s%s%s%s%s%s", letter, *letter && option->name ? ", " : "", option->name ? "--" : "",
		 option->name ? option->name : "", option->argument ? " " : "",
		 option->argument ? option->argument : "");
	return text;
}

static void print_options(const struct th_option *options)
{
	char form[64];
	int width = 0;

	for (const struct th_option *option = options; option->key; option++) {
		int size = (int)strlen(option_form(option, form, sizeof(form)));

		width = size > width ? size : width;
	}
	for (const struct th_option *option = options; option->key; option++) {
		const char *line = option->help;

		printf("  %-*s  ", width, option_form(option, form, sizeof(form)));
		for (const char *end; (end = strchr(line, '\n')); line = end + 1)
			printf("%.*s\n%*s", (int)(end - line), line, width + 4, "");
		puts(line);
	}
}

int th_command_help(const struct th_command *command)
{
	printf("usage: thunderhead %s %s\n\n%s\n", command->name, command->arguments, command->summary);
	if (command->verbs)
		putchar('\n');
	for (const struct th_command *verb = command->verbs; verb && verb->name; verb++)
		printf("  %s %s\n      %s\n", verb->name, verb->arguments, verb->summary);
	if (command->options) {
		putchar('\n');
		print_options(command->options);
	}
	if (command->print_details)
		command->print_details();
	if (command->notes)
		printf("\n%s", command->notes);
	if (command->verbs)
		printf("\nthunderhead %s SUBCOMMAND --help shows the options of a subcommand.\n", command->name);
	return th_command_finish(TH_EXIT_DONE);
}

/* --- errors --- */

static void print_usage(void *command, const char *reason)
{
	const char *name = ((const struct th_command *)command)->name;

	fprintf(stderr, "thunderhead: %s: %s (see thunderhead %s --help)\n", name, reason, name);
}

int th_command_usage(const struct th_command *command, const char *reason, ...)
{
	va_list arguments;

	va_start(arguments, reason);
	th_report_vformat(print_usage, (void *)command, reason, arguments);
	va_end(arguments);
	return TH_EXIT_USAGE;
}

int th_command_bad_option(const struct th_command *command, int answer, char **argv)
{
	const char *fault = answer == ':' ? "needs a value" : "no such option";

	struct th_nearest nearest = { .word = argv[optind - 1] };
	char hint[64], names[OPTIONS_MAX][40];
	size_t count = 0;

	for (const struct th_option *option = command->options; answer == '?' && option && option->key; option++) {
		if (!option->name || count == OPTIONS_MAX)
			continue;
		snprintf(names[count], sizeof(names[count]), "--%s", option->name);
		th_nearest_try(&nearest, names[count++]);
	}
	th_nearest_hint(&nearest, hint, sizeof(hint));
	/* A long option, or a bundle of short ones, is the argument before optind. */
	if (optopt <= 0 || optopt >= TH_OPTION_LONG || !isprint(optopt) || !strncmp(argv[optind - 1], "--", 2))
		return th_command_usage(command, "%s: %s%s", argv[optind - 1], fault, hint);
	return th_command_usage(command, "-%c: %s", optopt, fault);
}

int th_command_finish(int status)
{
	if (fflush(stdout) || ferror(stdout))
		return th_error_line("standard output: cannot be written");
	return status;
}
