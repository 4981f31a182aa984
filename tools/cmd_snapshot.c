/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tools/commands.h"
#include "tools/error.h"
#include "tools/holds.h"
#include "tools/snapshot_delete.h"
#include "tools/snapshot_list.h"
#include "tools/snapshot_lists.h"
#include "tools/snapshot_report.h"
#include "tools/target.h"

/* Snapshots without a name within one second, which get a number after the time.  More than these fail with EEXIST. */
#define TIME_NAMES 100

#define NAMES_MAX 65536

static int create_one(struct th_target *target, const char *name, struct th_control_snapshot *request)
{
	int err;

	memset(request, 0, sizeof(*request));
	err = th_target_name(name, &request->name);
	return err ? err : th_target_ask(target, TH_CONTROL_SNAPSHOT_CREATE, request);
}

/* Takes a snapshot that is named after the time, and prints its name. */
static int create_by_time(struct th_target *target)
{
	char stamp[32], name[48];
	struct th_control_snapshot request;
	time_t now = time(NULL);
	struct tm utc;
	int err = -EEXIST;

	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H-%M-%SZ", gmtime_r(&now, &utc));
	for (unsigned i = 1; i <= TIME_NAMES && err == -EEXIST; i++) {
		snprintf(name, sizeof(name), i == 1 ? "%s" : "%s-%u", stamp, i);
		err = create_one(target, name, &request);
	}
	if (err)
		return th_snapshot_report(target, name, err);
	puts(name);
	return TH_EXIT_DONE;
}

static int create_snapshots(struct th_target *target, int count, char **names)
{
	struct th_control_snapshot request;
	int status = TH_EXIT_DONE;

	if (th_target_sync(target))
		return TH_EXIT_FAILED;
	if (!count)
		return create_by_time(target);
	for (int i = 0; i < count; i++) {
		int err = create_one(target, names[i], &request);

		if (err)
			status = th_snapshot_report(target, names[i], err);
	}
	return status;
}

static int rename_snapshot(struct th_target *target, int count, char **names)
{
	struct th_control_rename request = { 0 };
	int err = th_target_name(names[0], &request.from);

	(void)count;
	if (!err)
		err = th_target_name(names[1], &request.to);
	if (!err)
		err = th_target_ask(target, TH_CONTROL_SNAPSHOT_RENAME, &request);
	return err ? th_snapshot_report(target, names[err == -ENOENT ? 0 : 1], err) : TH_EXIT_DONE;
}

/* --- holds: the first argument is the tag --- */

static bool snapshot_exists(struct th_target *target, const char *name)
{
	struct th_snapshot_lists lists = { 0 };
	bool exists = !th_snapshot_lists_read(target, &lists) && th_snapshot_lists_find(&lists, name);

	th_snapshot_lists_release(&lists);
	return exists;
}

static int report_hold(struct th_target *target, const char *tag, const char *name, int err)
{
	const char *path = th_target_path(target);

	switch (err) {
	case -ENOENT:
		if (!snapshot_exists(target, name))
			return th_snapshot_report(target, name, err);
		return th_error_line("%s: snapshot '%s' is not held by '%s' (see thunderhead snapshot holds)", path,
				     name, tag);
	case -EEXIST:
		return th_error_line("%s: snapshot '%s' is held by '%s' already", path, name, tag);
	case -EINVAL:
		return th_error_line("%s: a tag must not be empty", path);
	case -ENAMETOOLONG:
		return th_error_line("%s: a tag has at most %d bytes", path, TH_HOLD_TAG_MAX);
	default:
		return th_snapshot_report(target, name, err);
	}
}

static int ask_hold(struct th_target *target, unsigned cmd, int count, char **arguments)
{
	const char *tag = arguments[0];
	int status = TH_EXIT_DONE;

	for (int i = 1; i < count; i++) {
		struct th_control_hold request = { 0 };
		int err = th_target_name(tag, &request.tag);

		if (!err && th_target_name(arguments[i], &request.snapshot))
			err = -ENOENT;
		if (!err)
			err = th_target_ask(target, cmd, &request);
		if (err)
			status = report_hold(target, tag, arguments[i], err);
	}
	return status;
}

static int hold_snapshots(struct th_target *target, int count, char **arguments)
{
	return ask_hold(target, TH_CONTROL_SNAPSHOT_HOLD, count, arguments);
}

static int release_snapshots(struct th_target *target, int count, char **arguments)
{
	return ask_hold(target, TH_CONTROL_SNAPSHOT_RELEASE, count, arguments);
}

/* --- subcommands --- */

/* Requirements of a subcommand for one of its arguments. */
enum want {
	WANT_NEW, /* the name of a new snapshot */
	WANT_PRESENT, /* the name of a snapshot */
	WANT_TAG,
	WANT_HELD, /* the name of a snapshot that has the tag */
	WANT_NOT_HELD, /* the name of a snapshot that does not have it */
};

struct verb {
	int (*change)(struct th_target *target, int count, char **names);
	int (*list)(struct th_target *target, bool json, int count, char **names); /* instead of change */
	int names_min, names_max;
	enum want first, others;
};

static int check_new(const char *name)
{
	if (strlen(name) > TH_SNAPSHOT_NAME_MAX)
		return -ENAMETOOLONG;
	return !*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ? -EINVAL : 0;
}

static int check_tag(const char *tag)
{
	if (strlen(tag) > TH_HOLD_TAG_MAX)
		return -ENAMETOOLONG;
	return *tag ? 0 : -EINVAL;
}

static int check_name(const struct th_snapshot_lists *lists, const char *name, enum want want, const char *tag)
{
	const struct th_control_snapshot *snapshot = th_snapshot_lists_find(lists, name);
	bool has;

	if (want == WANT_TAG)
		return check_tag(name);
	if (want == WANT_NEW)
		return snapshot ? -EEXIST : check_new(name);
	if (!snapshot)
		return -ENOENT;
	if (want == WANT_PRESENT)
		return 0;
	has = th_holds_has(lists->holds, lists->nholds, snapshot, tag);
	if (want == WANT_HELD)
		return has ? 0 : -ENOENT;
	return has ? -EEXIST : 0;
}

/* Checks, without changing anything, whether the change is possible for every name.  Opening an image for writing would
 * change it already. */
static int check_names(const struct verb *verb, const char *path, int count, char **names)
{
	struct th_snapshot_lists lists = { 0 };
	struct th_target *target;
	int err, status = TH_EXIT_DONE;

	if (th_target_open(path, true, &target))
		return TH_EXIT_FAILED;
	err = th_snapshot_lists_read(target, &lists);
	if (err)
		status = th_error(err, "%s: list of snapshots", path);
	for (int i = 0; i < count && !err; i++) {
		int wrong = check_name(&lists, names[i], i ? verb->others : verb->first, names[0]);

		if (wrong && verb->first == WANT_TAG)
			status = report_hold(target, names[0], names[i], wrong);
		else if (wrong)
			status = th_snapshot_report(target, names[i], wrong);
	}
	th_snapshot_lists_release(&lists);
	th_target_close(target);
	return status;
}

/* A single request to a mounted filesystem is done as a whole or not at all, so it needs no check before. */
static bool is_atomic(const char *path, int count)
{
	struct stat status;

	return count == 1 && stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Runs a subcommand.  arguments: the target, and `count` names. */
static int run_verb(const struct verb *verb, bool json, int count, char **arguments)
{
	struct th_target *target;
	int status = TH_EXIT_DONE;

	if (verb->change && !is_atomic(arguments[0], count))
		status = check_names(verb, arguments[0], count, arguments + 1);
	if (status)
		return status;
	if (th_target_open(arguments[0], !verb->change, &target))
		return TH_EXIT_FAILED;
	status = verb->change ? verb->change(target, count, arguments + 1)
			      : verb->list(target, json, count, arguments + 1);
	if (th_target_close(target) && !status)
		status = TH_EXIT_FAILED;
	return status;
}

/* --- the command --- */

enum { OPTION_JSON = TH_OPTION_LONG };

static const struct th_option holds_options[] = { { OPTION_JSON, "json", NULL, "print a JSON array" }, { 0 } };
static int run(const struct th_command *command, int argc, char **argv)
{
	const struct verb *verb = command->context;
	bool json = false;
	int option, count, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0)
		json |= option == OPTION_JSON;
	if (option < 0)
		return status;
	count = argc - optind - 1;
	if (count < 0)
		return th_command_usage(command, "a target is missing");
	if (count == 0 && verb->first == WANT_TAG)
		return th_command_usage(command, "a tag is missing");
	if (count < verb->names_min)
		return th_command_usage(command, "a name is missing");
	if (count > verb->names_max)
		return th_command_usage(command, "too many names");
	return run_verb(verb, json, count, argv + optind);
}

static const struct verb create_verb = { create_snapshots, NULL, 0, NAMES_MAX, WANT_NEW, WANT_NEW };
static const struct verb rename_verb = { rename_snapshot, NULL, 2, 2, WANT_PRESENT, WANT_NEW };
static const struct verb hold_verb = { hold_snapshots, NULL, 2, NAMES_MAX, WANT_TAG, WANT_NOT_HELD };
static const struct verb release_verb = { release_snapshots, NULL, 2, NAMES_MAX, WANT_TAG, WANT_HELD };
static const struct verb holds_verb = { NULL, th_holds_list, 0, NAMES_MAX, WANT_PRESENT, WANT_PRESENT };

static const struct th_command verbs[] = {
	{
		.name = "snapshot create",
		.arguments = "TARGET [NAME...]",
		.summary = "take snapshots; one without a name gets a name from the time (UTC), which is printed",
		.run = run,
		.context = &create_verb,
	},
	{
		.name = "snapshot list",
		.arguments = "[-o COLUMNS] [-s COLUMN] [-r] [-H] [-p] [--json] TARGET [NAME...]",
		.summary = "list snapshots, oldest first: number, time, age, the space it alone holds, and name",
		.options = th_snapshot_list_options,
		.run = th_snapshot_list_run,
	},
	{
		.name = "snapshot delete",
		.arguments = "[--older-than AGE] [--dry-run] [--wait] TARGET [NAME...]",
		.summary = "delete snapshots: by names, ranges (a..b), patterns (daily-*) and age",
		.options = th_snapshot_delete_options,
		.run = th_snapshot_delete_run,
	},
	{
		.name = "snapshot prune",
		.arguments = "[--keep-last N] [--keep-hourly N] [--keep-daily N] [--keep-weekly N] [--keep-monthly N] "
			     "[--keep-yearly N] [--keep-within AGE] [--dry-run] [--verbose] [--wait] TARGET [NAME...]",
		.summary = "delete the snapshots that no rule keeps",
		.options = th_snapshot_prune_options,
		.run = th_snapshot_prune_run,
	},
	{
		.name = "snapshot rename",
		.arguments = "TARGET NAME NEW",
		.summary = "rename a snapshot",
		.run = run,
		.context = &rename_verb,
	},
	{
		.name = "snapshot hold",
		.arguments = "TARGET TAG NAME...",
		.summary = "put a tag on snapshots; while it has any, a snapshot cannot be deleted",
		.run = run,
		.context = &hold_verb,
	},
	{
		.name = "snapshot release",
		.arguments = "TARGET TAG NAME...",
		.summary = "take a tag off snapshots",
		.run = run,
		.context = &release_verb,
	},
	{
		.name = "snapshot holds",
		.arguments = "[--json] TARGET [NAME...]",
		.summary = "list holds on these snapshots, or on all: name, tag and time",
		.options = holds_options,
		.run = run,
		.context = &holds_verb,
	},
	{ 0 },
};

const struct th_command th_cmd_snapshot = {
	.name = "snapshot",
	.arguments = "create|list|delete|prune|rename|hold|release|holds ...",
	.summary = "take, list, delete, prune, rename or hold snapshots",
	.verbs = verbs,
	.run = th_command_run_verb,
};
