/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "journal/base/size.h"
#include "tools/commands.h"
#include "tools/error.h"
#include "tools/name_print.h"
#include "tools/target.h"

static int report(const char *path, int err)
{
	switch (err) {
	case -EINVAL:
		return th_error_line("%s: is larger than that; an image cannot shrink: copy its files to a smaller one",
				     path);
	case -EFBIG:
		return th_error_line("%s: its device is smaller than that; extend the device first", path);
	case -EOPNOTSUPP:
		return th_error_line("%s: this kind of disk cannot grow", path);
	case -ENOTTY:
		return th_error_line("%s: is mounted by an older version of this program; unmount it and mount it with "
				     "this one",
				     path);
	default:
		return th_error(err, "%s: cannot be resized", path);
	}
}

static int resize(const char *path, uint64_t bytes)
{
	struct th_control_resize request = { .bytes = th_le64(bytes) };
	char text[TH_SIZE_TEXT];
	struct th_target *target;
	int err, closed;

	if (th_target_open(path, false, &target))
		return TH_EXIT_FAILED;
	err = th_target_ask(target, TH_CONTROL_RESIZE, &request);
	if (err)
		report(path, err);
	closed = th_target_close(target);
	if (err || closed)
		return TH_EXIT_FAILED;
	bytes = th_get_le64(request.bytes);
	th_name_print(stdout, path);
	printf(": %s %s (%" PRIu64 " bytes)\n", th_get_le32(request.unchanged) ? "already has" : "has now",
	       th_size_format(bytes, text), bytes);
	return th_command_finish(TH_EXIT_DONE);
}

static int run(const struct th_command *command, int argc, char **argv)
{
	uint64_t bytes = 0;
	int status;

	if (th_command_option(command, argc, argv, &status) < 0)
		return status;
	if (argc - optind != 1 && argc - optind != 2)
		return th_command_usage(command, "a target is needed, and maybe a size");
	if (argc - optind == 2 && (th_size_parse(argv[optind + 1], &bytes) || !bytes))
		return th_command_usage(command, "%s: not a size; one is a number and a unit, such as 512M or 10G",
					argv[optind + 1]);
	return resize(argv[optind], bytes);
}

const struct th_command th_cmd_resize = {
	.name = "resize",
	.arguments = "TARGET [SIZE]",
	.summary = "make an image larger, mounted or not",
	.notes = "Without a size, it becomes as large as its device or file.  It cannot shrink.\n",
	.run = run,
};
