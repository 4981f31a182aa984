/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/copy_tree.h"
#include "tools/error.h"

static int copy(const char *from, const struct th_fs_path *source, const struct th_fs_path *destination)
{
	struct th_copy_names names = { .from = from, .source = source->path, .destination = destination->path };
	struct th_control_copy answer;
	struct th_target *target;
	int err, status;

	if (strcmp(source->target, destination->target) != 0)
		return th_error_line("%s and %s: are not in the same filesystem", source->target, destination->target);
	if (destination->snapshot[0])
		return th_error_line("%s: is in a snapshot, which cannot be changed", destination->path);
	if (!from && source->snapshot[0])
		names.from = source->snapshot;
	if (th_target_open(source->target, false, &target))
		return TH_EXIT_FAILED;
	err = th_target_sync(target);
	status = err ? TH_EXIT_FAILED : TH_EXIT_DONE;
	if (!err)
		err = th_copy_tree_ask(target, &names, &answer);
	if (err && !status)
		status = th_copy_tree_report(target, &names, err);
	if (th_target_close(target) && !status)
		status = TH_EXIT_FAILED;
	return status;
}

enum { OPTION_FROM = TH_OPTION_LONG };

static const struct th_option options_table[] = {
	{ OPTION_FROM, "from", "SNAPSHOT", "copy from this snapshot, not from the present" },
	{ 0 },
};

static int run(const struct th_command *command, int argc, char **argv)
{
	struct th_fs_path source, destination;
	const char *from = NULL;
	int option, status, err;

	while ((option = th_command_option(command, argc, argv, &status)) > 0)
		from = optarg;
	if (option < 0)
		return status;
	argc -= optind;
	argv += optind;
	if (argc != 2 && argc != 3)
		return th_command_usage(command,
					"a source and a destination are needed, and perhaps an image before them");
	if (argc == 2)
		err = th_fs_path_find(argv[0], &source) ?: th_fs_path_find(argv[1], &destination);
	else
		err = th_fs_path_in(argv[0], argv[1], &source) ?: th_fs_path_in(argv[0], argv[2], &destination);
	return err ? TH_EXIT_FAILED : copy(from, &source, &destination);
}

const struct th_command th_cmd_cp = {
	.name = "cp",
	.arguments = "[--from SNAPSHOT] [IMAGE] SOURCE DESTINATION",
	.summary = "copy a file or a whole directory inside a filesystem: at once, sharing all data",
	.options = options_table,
	.notes = "DESTINATION must not exist.  With IMAGE, the paths are those in the image.\n",
	.run = run,
};
