/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fuse/mount.h"
#include "tools/command.h"
#include "tools/error.h"

/* Puts more mount options behind those there are.  *options is malloc's, or NULL. */
static int add_options(char **options, const char *more)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", *options ? *options : "", *options ? "," : "", more) < 0)
		return th_error(ENOMEM, "mount options");
	free(*options);
	*options = joined;
	return 0;
}

/* 0: mounted (or, in the foreground and in the daemon: served to the end). */
static int mount_image(const struct th_mount_options *options)
{
	return th_mount_run(options) ? TH_EXIT_FAILED : TH_EXIT_DONE;
}

static int run(const struct th_command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "options", required_argument, NULL, 'o' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct th_mount_options mount = { 0 };
	char *given = NULL;
	int option, status = TH_EXIT_DONE;

	while (!status && (option = getopt_long(argc, argv, ":o:fh", options, NULL)) != -1) {
		if (option == 'o')
			status = add_options(&given, optarg);
		else if (option == 'f')
			mount.foreground = true;
		else if (option == 'h')
			return free(given), th_command_help(command);
		else
			status = th_command_bad_option(command, option, argv);
	}
	if (!status && argc - optind != 2)
		status = th_command_usage(command, "an image and a directory are needed");
	if (!status) {
		mount.image = argv[optind];
		mount.directory = argv[optind + 1];
		mount.options = given;
		status = mount_image(&mount);
	}
	free(given);
	return status;
}

const struct th_command th_cmd_mount = {
	.name = "mount",
	.arguments = "[-o OPTIONS] [-f] IMAGE DIRECTORY",
	.summary = "mount an image; umount(8) or fusermount3 -u unmounts it",
	.help = "  -o OPTIONS        joined by commas:\n"
		"    ro              change nothing\n"
		"    cache=SIZE      memory for the tree (256M)\n"
		"    commit=SECONDS  how often what was changed is committed (5)\n"
		"    snapdir=MODE    where .snapshots is listed: root, hidden, visible, disabled (root)\n"
		"    snapshot=NAME   show that snapshot, read-only\n"
		"    subdir=PATH     show that directory as the root\n"
		"                    and those of mount.fuse3(8)\n"
		"  -f, --foreground  stay in the foreground and log to standard error\n",
	.run = run,
};

/* As mount(8) has them. */
enum mount_exit {
	MOUNT_DONE = 0,
	MOUNT_USAGE = 1,
	MOUNT_FAILED = 32,
};

/* mount.thunderhead IMAGE DIRECTORY [-sfnv] [-N namespace] [-t type] [-o options] */
int th_mount_helper(int argc, char **argv)
{
	struct th_mount_options mount = { 0 };
	char *given = NULL;
	bool pretend = false;
	int option, status = MOUNT_DONE;

	while (!status && (option = getopt(argc, argv, ":sfnvrwN:t:o:")) != -1) {
		if (option == 'o')
			status = add_options(&given, optarg);
		else if (option == 'r')
			status = add_options(&given, "ro");
		else if (option == 'f')
			pretend = true;
		else if (option == 'N')
			status = th_command_usage(&th_cmd_mount, "-N: mounting in another namespace is not supported");
		else if (option == '?' || option == ':')
			status = th_command_bad_option(&th_cmd_mount, option, argv);
	}
	if (!status && argc - optind != 2)
		status = th_command_usage(&th_cmd_mount, "an image and a directory are needed");
	if (!status) {
		mount.image = argv[optind];
		mount.directory = argv[optind + 1];
	}
	mount.options = given;
	if (status)
		status = MOUNT_USAGE;
	else if (!pretend && mount_image(&mount))
		status = MOUNT_FAILED;
	free(given);
	return status;
}
