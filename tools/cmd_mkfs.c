/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "fs/fs.h"
#include "tools/command.h"
#include "tools/make.h"

static int format(struct th_disk *disk, const struct th_format_options *options)
{
	return th_fs_format(disk, options, geteuid(), getegid());
}

static int run(const struct th_command *command, int argc, char **argv)
{
	return th_make_run(command, format, argc, argv);
}

const struct th_command th_cmd_mkfs = {
	.name = "mkfs",
	.arguments = TH_MAKE_ARGUMENTS,
	.summary = "make an empty filesystem in a file or on a block device",
	.help = TH_MAKE_HELP,
	.run = run,
};
