/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thunderhead program: picks a command by its first argument, or by the name it was called under (mount(8),
 * fsck(8) and mkfs(8) look for programs named after the file system).
 */
#include <ctype.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/command.h"
#include "tools/error.h"

static const struct th_command *const commands[] = {
	&th_cmd_mkfs, &th_cmd_mount, &th_cmd_snapshot, &th_cmd_branch, &th_cmd_rollback,
	&th_cmd_diff, &th_cmd_check, &th_cmd_info,     &th_cmd_kv,
};
#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

int th_command_finish(int status)
{
	if (fflush(stdout) || ferror(stdout))
		return th_error_line("standard output: it cannot be written");
	return status;
}

int th_command_help(const struct th_command *command)
{
	printf("usage: thunderhead %s %s\n\n%s\n", command->name, command->arguments, command->summary);
	if (command->help)
		printf("\n%s", command->help);
	return th_command_finish(TH_EXIT_DONE);
}

int th_command_usage(const struct th_command *command, const char *reason, ...)
{
	va_list arguments;

	fprintf(stderr, "thunderhead: %s: ", command->name);
	va_start(arguments, reason);
	vfprintf(stderr, reason, arguments);
	va_end(arguments);
	fprintf(stderr, " (see thunderhead %s --help)\n", command->name);
	return TH_EXIT_USAGE;
}

int th_command_bad_option(const struct th_command *command, int answer, char **argv)
{
	const char *fault = answer == ':' ? "needs a value" : "no such option";

	/* A long option, or a bundle of short ones, is the argument that was taken last. */
	if (!optopt || !isprint(optopt) || !strncmp(argv[optind - 1], "--", 2))
		return th_command_usage(command, "%s: %s", argv[optind - 1], fault);
	return th_command_usage(command, "-%c: %s", optopt, fault);
}

static int print_overview(void)
{
	puts("usage: thunderhead COMMAND [ARGUMENTS]\n\nA filesystem with snapshots and fast diffs between them.\n");
	for (size_t i = 0; i < NCOMMANDS; i++)
		printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
	puts("\nA TARGET is a directory of a mounted Thunderhead, or an image that is not mounted.\n"
	     "thunderhead COMMAND --help tells more; so does man 8 thunderhead.");
	return th_command_finish(TH_EXIT_DONE);
}

static int run_command(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (!name) {
		th_error_line("no command given (see thunderhead --help)");
		return TH_EXIT_USAGE;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help"))
		return print_overview();
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		puts("thunderhead " TH_VERSION);
		return th_command_finish(TH_EXIT_DONE);
	}
	for (size_t i = 0; i < NCOMMANDS; i++) {
		if (!strcmp(name, commands[i]->name))
			return commands[i]->run(commands[i], argc - 1, argv + 1);
	}
	th_error_line("%s: no such command (see thunderhead --help)", name);
	return TH_EXIT_USAGE;
}

/* Whoever started us may have closed standard streams.  An image, or the kernel's end of a mount, must not become one
 * of them: what is printed would go there.  They are opened the wrong way round, so that using them fails as before. */
static int fill_streams(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *program = slash ? slash + 1 : argc > 0 ? argv[0] : "thunderhead";

	if (fill_streams())
		return TH_EXIT_FAILED;
	if (!strcmp(program, "mkfs.thunderhead"))
		return th_cmd_mkfs.run(&th_cmd_mkfs, argc, argv);
	if (!strcmp(program, "mount.thunderhead") || !strcmp(program, "mount.fuse.thunderhead"))
		return th_mount_helper(argc, argv);
	if (!strcmp(program, "fsck.thunderhead"))
		return th_fsck_helper(argc, argv);
	return run_command(argc, argv);
}
