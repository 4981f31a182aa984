/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of the tool.  Each lives in a file of its own, parses its own arguments and answers with an exit code;
 * thunderhead.c only picks the one that was asked for.
 */
#ifndef TH_TOOLS_COMMAND_H
#define TH_TOOLS_COMMAND_H

#include <stddef.h>

enum th_exit {
	TH_EXIT_DONE = 0,
	TH_EXIT_FAILED = 1,
	TH_EXIT_USAGE = 2,
};

struct th_command {
	const char *name;
	const char *arguments; /* for the usage line */
	const char *summary; /* one line */
	const char *help; /* the options, a line each */
	int (*run)(const struct th_command *command, int argc, char **argv); /* argv[0] is the command's name */
};

extern const struct th_command th_cmd_mkfs, th_cmd_mount, th_cmd_snapshot, th_cmd_branch, th_cmd_rollback, th_cmd_diff,
	th_cmd_check, th_cmd_info, th_cmd_kv;

/* The same programs as mount(8), mkfs(8) and fsck(8) call them. */
int th_mount_helper(int argc, char **argv);
int th_fsck_helper(int argc, char **argv);

/* Prints a command's help to stdout; answers TH_EXIT_DONE, or TH_EXIT_FAILED if it cannot be written. */
int th_command_help(const struct th_command *command);
/* Says what is wrong with how the command was called (printf-like) and points to --help.  Answers TH_EXIT_USAGE. */
int th_command_usage(const struct th_command *command, const char *reason, ...) __attribute__((format(printf, 2, 3)));
/* The same for what getopt_long, called with an option string that begins with ':', answered ('?' or ':'). */
int th_command_bad_option(const struct th_command *command, int answer, char **argv);
/* Ends a command that printed to stdout: TH_EXIT_FAILED, said, if not everything could be written; else status. */
int th_command_finish(int status);

#endif
