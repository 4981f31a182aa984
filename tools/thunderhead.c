/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thunderhead program: runs the command that its first argument names, or the one for the name that it was called
 * by: mount(8), fsck(8) and mkfs(8) look for programs named after the filesystem.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/error.h"
#include "tools/nearest.h"

static int print_overview(void)
{
	puts("usage: thunderhead COMMAND [ARGUMENTS]\n\nA filesystem with snapshots and fast diffs between them.\n");
	for (const struct th_command *const *command = th_commands; *command; command++)
		printf("  %-10s %s\n", (*command)->name, (*command)->summary);
	puts("\nA TARGET is a directory of a mounted Thunderhead, or an image that is not mounted.\n"
	     "See also thunderhead COMMAND --help, and man 8 thunderhead.");
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
	for (const struct th_command *const *command = th_commands; *command; command++) {
		if (!strcmp(name, (*command)->name))
			return (*command)->run(*command, argc - 1, argv + 1);
	}
	struct th_nearest nearest = { .word = name };
	char hint[64];

	for (const struct th_command *const *command = th_commands; *command; command++)
		th_nearest_try(&nearest, (*command)->name);
	th_error_line("%s: no such command%s (see thunderhead --help)", name,
		      th_nearest_hint(&nearest, hint, sizeof(hint)));
	return TH_EXIT_USAGE;
}

/* Opens standard streams that the parent process has closed.  Otherwise the image, or the connection to the kernel,
 * could get such a number, and messages would be written there.  They are opened in the wrong direction, so that using
 * them still fails.  Returns 0 or -1. */
static int open_missing_streams(void)
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

	if (open_missing_streams())
		return TH_EXIT_FAILED;
	if (!strcmp(program, "mkfs.thunderhead"))
		return th_cmd_mkfs.run(&th_cmd_mkfs, argc, argv);
	if (!strcmp(program, "mount.thunderhead") || !strcmp(program, "mount.fuse.thunderhead"))
		return th_mount_helper(argc, argv);
	if (!strcmp(program, "fsck.thunderhead"))
		return th_fsck_helper(argc, argv);
	return run_command(argc, argv);
}
