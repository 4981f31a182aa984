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
	if (err == -EOPNOTSUPP)
		return th_error_line("%s: the filesystem or device that holds the image cannot discard blocks", path);
	if (err == -ENOTTY)
		return th_error_line("%s: is mounted by an older version of this program; unmount it and mount it with "
				     "this one",
				     path);
	return th_error(err, "%s: free space cannot be discarded", path);
}

static int trim(const char *path)
{
	struct th_control_trim request = { .length = th_le64(UINT64_MAX) };
	char text[TH_SIZE_TEXT];
	struct th_target *target;
	uint64_t trimmed;
	int err, closed;

	if (th_target_open(path, false, &target))
		return TH_EXIT_FAILED;
	err = th_target_sync(target);
	if (!err) {
		err = th_target_ask(target, TH_CONTROL_TRIM, &request);
		if (err)
			report(path, err);
	}
	closed = th_target_close(target);
	if (err || closed)
		return TH_EXIT_FAILED;
	trimmed = th_get_le64(request.trimmed);
	th_name_print(stdout, path);
	printf(": %s (%" PRIu64 " bytes) trimmed\n", th_size_format(trimmed, text), trimmed);
	return th_command_finish(TH_EXIT_DONE);
}

static int run(const struct th_command *command, int argc, char **argv)
{
	int status;

	if (th_command_option(command, argc, argv, &status) < 0)
		return status;
	if (argc - optind != 1)
		return th_command_usage(command, "one target is needed");
	return trim(argv[optind]);
}

const struct th_command th_cmd_trim = {
	.name = "trim",
	.arguments = "TARGET",
	.summary = "give all free space back to the file or device below",
	.run = run,
};
