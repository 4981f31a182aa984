/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/snapshot/branch.h"
#include "tools/commands.h"
#include "tools/error.h"
#include "tools/image.h"
#include "tools/target.h"

struct rollback {
	const char *path, *snapshot;
	const char *keep; /* name of the snapshot taken before; NULL: made from the time */
	bool discard;
};

static int report(const struct rollback *rollback, const char *keep, int err)
{
	switch (err) {
	case -ENOENT:
		return th_error_line("%s: there is no snapshot '%s' (see thunderhead snapshot list)", rollback->path,
				     rollback->snapshot);
	case -EEXIST:
		return th_error_line("%s: there is a snapshot '%s' already; choose another name with --keep",
				     rollback->path, keep);
	case -EINVAL:
		return th_error_line(
			"%s: '%s' cannot be the name of a snapshot: it is empty, '.', '..', or contains '/'",
			rollback->path, keep);
	case -ENOTDIR:
		return th_error_line("%s: snapshot '%s' does not have the directory that is mounted", rollback->path,
				     rollback->snapshot);
	case -EBUSY:
		return th_error_line("%s: a rollback or a transaction is under way; repeat the command",
				     rollback->path);
	case -EPERM:
		return th_error_line(
			"%s: only root and the user who mounted it may roll it back, and through a mount with "
			"subdir= only with the option snapshots= (see man thunderhead, PERMISSIONS)",
			rollback->path);
	default:
		return th_error(err, "%s: rollback to '%s'", rollback->path, rollback->snapshot);
	}
}

/* Checks, without changing anything, whether the rollback is possible.  Opening an image for writing would change it
 * already.  Returns an exit code. */
static int check_names(const struct rollback *rollback, const char *keep)
{
	struct th_image_reporter reporter = { .path = rollback->path };
	struct th_snapshot unused;
	struct th_fs *fs;
	int status = TH_EXIT_DONE;

	if (th_image_open(&reporter, true, NULL, &fs))
		return TH_EXIT_FAILED;
	if (th_snapshot_find(fs->store, rollback->snapshot, &unused))
		status = report(rollback, keep, -ENOENT);
	else if (keep && !th_snapshot_find(fs->store, keep, &unused))
		status = report(rollback, keep, -EEXIST);
	th_fs_close(fs);
	return status;
}

/* Rolls back an image that is not mounted.  It need not be possible to open its filesystem as it is now. */
static int roll_back_image(const struct rollback *rollback, const char *keep)
{
	struct th_image_reporter reporter = { .path = rollback->path };
	struct th_store *store;
	int err, closed, status = check_names(rollback, keep);

	if (status)
		return status;
	if (th_image_open_store(&reporter, false, &store))
		return TH_EXIT_FAILED;
	err = th_fs_rollback(store, rollback->snapshot, keep);
	closed = th_store_close(store);
	if (!err)
		err = closed;
	return err ? report(rollback, keep, err) : TH_EXIT_DONE;
}

static int ask_rollback(const struct rollback *rollback, struct th_target *target, const char *keep)
{
	struct th_control_rollback request = { 0 };
	int err = 0;

	if (th_target_name(rollback->snapshot, &request.snapshot))
		err = -ENOENT;
	else if (keep)
		err = th_target_name(keep, &request.keep);
	if (!err && keep && !*keep)
		err = -EINVAL;
	if (!err)
		err = th_target_ask(target, TH_CONTROL_ROLLBACK, &request);
	return err ? report(rollback, keep, err) : TH_EXIT_DONE;
}

/* Rolls back a mounted filesystem; its daemon does it. */
static int roll_back_mounted(const struct rollback *rollback, const char *keep)
{
	struct th_target *target;
	int status;

	if (th_target_open(rollback->path, false, &target))
		return TH_EXIT_FAILED;
	status = th_target_sync(target) ? TH_EXIT_FAILED : ask_rollback(rollback, target, keep);
	th_target_close(target);
	return status;
}

static int roll_back(const struct rollback *rollback)
{
	const char *keep = rollback->discard ? NULL : rollback->keep;
	struct stat file;
	struct tm utc;
	char name[64];
	time_t now = time(NULL);
	int status;

	if (!rollback->discard && !keep) {
		strftime(name, sizeof(name), "before-rollback-%Y-%m-%dT%H-%M-%SZ", gmtime_r(&now, &utc));
		keep = name;
	}
	if (!stat(rollback->path, &file) && S_ISDIR(file.st_mode))
		status = roll_back_mounted(rollback, keep);
	else
		status = roll_back_image(rollback, keep);
	if (status)
		return status;
	if (keep == name)
		puts(name);
	return th_command_finish(TH_EXIT_DONE);
}

enum { OPTION_KEEP = TH_OPTION_LONG, OPTION_DISCARD };

static const struct th_option options_table[] = {
	{ OPTION_KEEP, "keep", "NAME",
	  "name of the snapshot that is taken before; without it, the name\nis made from the time, and printed" },
	{ OPTION_DISCARD, "discard", NULL, "take no snapshot: changes since the last one are lost" },
	{ 0 },
};

static int run(const struct th_command *command, int argc, char **argv)
{
	struct rollback rollback = { 0 };
	int option, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0) {
		if (option == OPTION_KEEP)
			rollback.keep = optarg;
		else
			rollback.discard = true;
	}
	if (option < 0)
		return status;
	if (rollback.keep && rollback.discard)
		return th_command_usage(command, "--keep and --discard contradict each other");
	if (argc - optind != 2)
		return th_command_usage(command, "a target and a snapshot are needed");
	rollback.path = argv[optind];
	rollback.snapshot = argv[optind + 1];
	return roll_back(&rollback);
}

const struct th_command th_cmd_rollback = {
	.name = "rollback",
	.arguments = "[--keep NAME | --discard] TARGET SNAPSHOT",
	.summary = "reset the current branch to a snapshot",
	.options = options_table,
	.notes = "All snapshots are kept, newer ones too.\n",
	.run = run,
};
