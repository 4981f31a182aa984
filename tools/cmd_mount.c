/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fuse/mount.h"
#include "fs/fuse/mount_options.h"
#include "tools/commands.h"
#include "tools/error.h"
#include "tools/find_device.h"

/* Appends mount options to *options, a malloc'ed string or NULL.  Returns 0 or TH_EXIT_FAILED. */
static int add_options(char **options, const char *more)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", *options ? *options : "", *options ? "," : "", more) < 0)
		return th_error(ENOMEM, "mount options");
	free(*options);
	*options = joined;
	return 0;
}

/* Returns TH_EXIT_DONE when it is mounted; or, in the foreground and in the daemon, after it was unmounted. */
static int mount_image(const struct th_mount_options *options)
{
	struct th_mount_options found = *options;
	char *device = NULL;
	int status = 0;

	if (th_is_device_tag(options->image)) {
		status = th_find_device(options->image, &device);
		found.image = device;
	}
	if (!status)
		status = th_mount_run(&found) ? TH_EXIT_FAILED : TH_EXIT_DONE;
	free(device);
	return status;
}

/* --- the command --- */

static const struct th_option options_table[] = {
	{ 'o', NULL, "OPTIONS", "mount options, joined by commas (see below)" },
	{ 'f', "foreground", NULL, "stay in the foreground and log to standard error" },
	{ 0 },
};

static void print_mount_options(void)
{
	char form[64];

	puts("\nMount options:");
	for (const struct th_mount_option *option = th_mount_option_table; option->name; option++) {
		if (!option->help)
			continue;
		snprintf(form, sizeof(form), "%s%s%s", option->name, option->argument ? "=" : "",
			 option->argument ? option->argument : "");
		printf("  %-16s  %s\n", form, option->help);
	}
	puts("and those of mount.fuse3(8).");
}

static int run(const struct th_command *command, int argc, char **argv)
{
	struct th_mount_options mount = { 0 };
	char *given = NULL;
	int option = 0, status = TH_EXIT_DONE;

	while (!status && (option = th_command_option(command, argc, argv, &status)) > 0) {
		if (option == 'o')
			status = add_options(&given, optarg);
		else if (option == 'f')
			mount.foreground = true;
	}
	if (option == 0 && !status && argc - optind != 2)
		status = th_command_usage(command, "an image and a directory are needed");
	if (option == 0 && !status) {
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
	.options = options_table,
	.print_details = print_mount_options,
	.run = run,
};

/* --- mount.thunderhead --- */

/* The exit codes of mount(8). */
enum mount_exit {
	MOUNT_DONE = 0,
	MOUNT_USAGE = 1,
	MOUNT_FAILED = 32,
};

/* mount.thunderhead IMAGE DIRECTORY [-sfnvrw] [-N namespace] [-t type] [-o options] */
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
