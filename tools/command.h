/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of the tool.
 *
 * A command, or a subcommand such as "snapshot create", is a struct th_command: its options are a table, from which the
 * command line is parsed and the help is printed; a test compares the manual page with it (tests/tools/test_manual.c).
 * Its function parses the arguments and returns an exit code.  Each command has a file of its own, cmd_NAME.c;
 * commands.c lists them all.
 */
#ifndef TH_TOOLS_COMMAND_H
#define TH_TOOLS_COMMAND_H

#include <stddef.h>

enum th_exit {
	TH_EXIT_DONE = 0,
	TH_EXIT_FAILED = 1,
	TH_EXIT_USAGE = 2,
};

/* The key of an option that has only a long form is one from here on; that of others is the letter of the short
 * form. */
#define TH_OPTION_LONG 256

struct th_option {
	int key; /* 0 ends a table */
	const char *name; /* of the long form, without "--"; NULL: none */
	const char *argument; /* as the help names it; NULL: takes none */
	const char *help; /* one or more lines, separated by newlines */
};

struct th_command {
	const char *name; /* of a subcommand: with that of its command before it */
	const char *arguments; /* for the usage line */
	const char *summary; /* one line */
	const struct th_option *options; /* besides --help, which every command has; NULL: none */
	void (*print_details)(void); /* prints more of the help, after the options; NULL: nothing */
	const char *notes; /* the last lines of the help; NULL: none */
	const struct th_command *verbs; /* the subcommands, up to one without a name; NULL: there are none */
	/* Runs the command.  argv[0] is ignored; argv may be reordered.  Returns an exit code. */
	int (*run)(const struct th_command *command, int argc, char **argv);
	const void *context; /* for run */
};

/* Parses the next option.  Returns its key, with its argument in optarg; 0 after the last one, with optind at the first
 * argument; or -1 if the command ends here: help was printed or wrong usage was reported, and *ret_status is the exit
 * code. */
int th_command_option(const struct th_command *command, int argc, char **argv, int *ret_status);
/* Runs the subcommand that argv names.  Options may stand before its name.  Returns its exit code. */
int th_command_run_verb(const struct th_command *command, int argc, char **argv);

/* Prints a command's help to stdout.  Returns TH_EXIT_DONE, or TH_EXIT_FAILED if it cannot be written. */
int th_command_help(const struct th_command *command);
/* Reports wrong usage on stderr, for a printf-like reason, and refers to --help.  Returns TH_EXIT_USAGE. */
int th_command_usage(const struct th_command *command, const char *reason, ...) __attribute__((format(printf, 2, 3)));
/* Reports an option for which getopt, called with an option string that begins with ':', returned '?' or ':'.  Returns
 * TH_EXIT_USAGE. */
int th_command_bad_option(const struct th_command *command, int answer, char **argv);
/* Ends a command that printed to stdout.  Returns status, or TH_EXIT_FAILED, reported, if not all could be written. */
int th_command_finish(int status);

#endif
