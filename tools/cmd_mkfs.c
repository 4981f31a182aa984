/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "fs/fs.h"
#include "tools/commands.h"
#include "tools/image_format.h"

static int write_filesystem(struct th_disk *disk, const struct th_format_options *options)
{
	return th_fs_format(disk, options, geteuid(), getegid());
}

static int run(const struct th_command *command, int argc, char **argv)
{
	return th_image_format_run(command, write_filesystem, argc, argv);
}

const struct th_command th_cmd_mkfs = {
	.name = "mkfs",
	.arguments = TH_IMAGE_FORMAT_ARGUMENTS,
	.summary = "make an empty filesystem in a file or on a block device",
	.options = th_image_format_options,
	.run = run,
};
