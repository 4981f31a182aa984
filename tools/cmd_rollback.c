/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/snapshot/branch.h"
#include "tools/command.h"
#include "tools/error.h"
#include "tools/image.h"
#include "tools/target.h"

struct rollback {
	const char *path, *snapshot;
	const char *keep; /* what the present is to be called; NULL: by the time */
	bool discard;
};

static int say(const struct rollback *rollback, const char *keep, int result)
{
	switch (result) {
	case -ENOENT:
		return th_error_line("%s: there is no snapshot '%s'", rollback->path, rollback->snapshot);
	case -EEXIST:
		return th_error_line("%s: there is a snapshot '%s' already", rollback->path, keep);
	case -EINVAL:
		return th_error_line("%s: '%s' cannot be the name of a snapshot", rollback->path, keep);
	default:
		return th_error(result, "%s: rollback to '%s'", rollback->path, rollback->snapshot);
	}
}

/* Looks whether it can be done, without changing anything. */
static int look(const struct rollback *rollback, const char *keep)
{
	struct th_image_voice voice = { .path = rollback->path };
	struct th_snapshot unused;
	struct th_fs *fs;
	int status = TH_EXIT_DONE;

	if (th_image_open(&voice, true, NULL, &fs))
		return TH_EXIT_FAILED;
	if (th_snapshot_find(fs->store, rollback->snapshot, &unused))
		status = say(rollback, keep, -ENOENT);
	else if (keep && !th_snapshot_find(fs->store, keep, &unused))
		status = say(rollback, keep, -EEXIST);
	th_fs_close(fs);
	return status;
}

static int roll_back(const struct rollback *rollback)
{
	struct th_image_voice voice = { .path = rollback->path };
	const char *keep = rollback->discard ? NULL : rollback->keep;
	struct th_store *store;
	struct tm utc;
	char name[64];
	time_t now = time(NULL);
	int err, closed, status;

	if (!rollback->discard && !keep) {
		strftime(name, sizeof(name), "before-rollback-%Y-%m-%dT%H-%M-%SZ", gmtime_r(&now, &utc));
		keep = name;
	}
	status = look(rollback, keep);
	if (status)
		return status;
	if (th_image_open_store(&voice, false, &store))
		return TH_EXIT_FAILED;
	err = th_fs_rollback(store, rollback->snapshot, keep);
	closed = th_store_close(store);
	if (!err)
		err = closed;
	if (err)
		return say(rollback, keep, err);
	if (keep == name)
		puts(name);
	return th_command_finish(TH_EXIT_DONE);
}

/* The kernel has too much of what is mounted in its caches. */
static int refuse_directory(const char *path)
{
	struct th_target *target;

	if (th_target_open(path, true, &target))
		return TH_EXIT_FAILED;
	th_target_close(target);
	return th_error_line("%s: what is mounted cannot be rolled back: unmount it, and name the image", path);
}

static int run(const struct th_command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "keep", required_argument, NULL, 'k' },
		{ "discard", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct rollback rollback = { 0 };
	struct stat status;
	int option;

	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h')
			return th_command_help(command);
		if (option == 'k')
			rollback.keep = optarg;
		else if (option == 'd')
			rollback.discard = true;
		else
			return th_command_bad_option(command, option, argv);
	}
	if (rollback.keep && rollback.discard)
		return th_command_usage(command, "--keep and --discard contradict one another");
	if (argc - optind != 2)
		return th_command_usage(command, "an image and a snapshot are needed");
	rollback.path = argv[optind];
	rollback.snapshot = argv[optind + 1];
	if (!stat(rollback.path, &status) && S_ISDIR(status.st_mode))
		return refuse_directory(rollback.path);
	return roll_back(&rollback);
}

const struct th_command th_cmd_rollback = {
	.name = "rollback",
	.arguments = "[--keep NAME | --discard] IMAGE SNAPSHOT",
	.summary = "take the current branch back to a snapshot",
	.help = "  --keep NAME  what the snapshot of the present is called that is taken before; without it, it gets a\n"
		"               name from the time, which is printed\n"
		"  --discard    take none: the present is lost\n\n"
		"Other snapshots stay, newer ones too.  The image must not be mounted.\n",
	.run = run,
};
