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
#include "tools/name_print.h"
#include "tools/target.h"
#include "tools/timestamp.h"

/* Snapshots without a name within one second, which get a number after the time.  More than these fail with EEXIST. */
#define TIME_NAMES 100

#define NAMES_MAX 65536

struct lists {
	struct th_control_snapshot *snapshots;
	size_t count;
	struct th_control_held *holds;
	size_t nholds;
	struct th_control_branch *branches;
	size_t nbranches;
};

static const struct th_control_branch *branch_of(const struct lists *lists, const struct th_control_snapshot *snapshot)
{
	for (size_t i = 0; i < lists->nbranches; i++) {
		if (th_get_le64(lists->branches[i].id) == th_get_le64(snapshot->branch))
			return &lists->branches[i];
	}
	return NULL; /* it was deleted between the two requests */
}

static bool is_detached(const struct th_control_branch *branch)
{
	return th_get_le32(branch->flags) & TH_CONTROL_BRANCH_DETACHED;
}

static int lists_read(struct th_target *target, struct lists *ret)
{
	int err = th_target_snapshots(target, &ret->snapshots, &ret->count);

	if (!err)
		err = th_target_holds(target, &ret->holds, &ret->nholds);
	return err ? err : th_target_branches(target, &ret->branches, &ret->nbranches);
}

static void lists_release(struct lists *lists)
{
	free(lists->snapshots);
	free(lists->holds);
	free(lists->branches);
}

static const struct th_control_snapshot *find_snapshot(const struct lists *lists, const char *name)
{
	for (size_t i = 0; i < lists->count; i++) {
		if (!strcmp(lists->snapshots[i].name.text, name))
			return &lists->snapshots[i];
	}
	return NULL;
}

static bool is_among(const char *name, int count, char **names)
{
	for (int i = 0; i < count; i++) {
		if (!strcmp(names[i], name))
			return true;
	}
	return false;
}

/* Returns whether the branch disappears with these snapshots: it is detached and has no others. */
static bool ends_with(const struct lists *lists, const struct th_control_branch *branch, int count, char **names)
{
	if (!is_detached(branch))
		return false;
	for (size_t i = 0; i < lists->count; i++) {
		if (branch_of(lists, &lists->snapshots[i]) == branch &&
		    !is_among(lists->snapshots[i].name.text, count, names))
			return false;
	}
	return true;
}

/* Returns a branch whose origin is the snapshot, and that remains when the snapshots of these names are deleted; or NULL. */
static const struct th_control_branch *find_branch_from(const struct lists *lists, const char *name, int count,
							char **names)
{
	const struct th_control_snapshot *snapshot = find_snapshot(lists, name);

	for (size_t i = 0; snapshot && i < lists->nbranches; i++) {
		if (th_get_le64(lists->branches[i].origin) == th_get_le64(snapshot->id) &&
		    !ends_with(lists, &lists->branches[i], count, names))
			return &lists->branches[i];
	}
	return NULL;
}

static bool held(const struct th_control_snapshot *snapshot)
{
	return snapshot && th_get_le64(snapshot->holds);
}

/* Reports that a branch begins from a snapshot, and what to do to be able to delete the snapshot. */
static int report_origin(const char *path, const struct lists *lists, const struct th_control_snapshot *snapshot,
			 const struct th_control_branch *branch)
{
	const struct th_control_branch *own = branch_of(lists, snapshot);
	const char *name = snapshot->name.text, *from = branch->name.text;

	for (size_t i = 0; is_detached(branch) && i < lists->count; i++)
		if (branch_of(lists, &lists->snapshots[i]) == branch)
			return th_error_line("%s: snapshot '%s' is the origin of a detached branch; delete that "
					     "branch's snapshots first: '%s' is one (in brackets in the list of "
					     "snapshots)",
					     path, name, lists->snapshots[i].name.text);
	if (own && is_detached(own))
		return th_error_line("%s: snapshot '%s' is the origin of branch '%s'; promote that branch (thunderhead "
				     "branch promote), or delete it, first",
				     path, name, from);
	if (own && own != branch && !(th_get_le32(own->flags) & TH_CONTROL_BRANCH_CURRENT))
		return th_error_line("%s: snapshot '%s' is the origin of branch '%s'; delete that branch first, or "
				     "promote it (thunderhead branch promote) and delete branch '%s'",
				     path, name, from, own->name.text);
	return th_error_line("%s: snapshot '%s' is the origin of branch '%s'; delete that branch first", path, name,
			     from);
}

/* Reports why a snapshot cannot be deleted: its holds, or the branch that begins from it. */
static int report_busy(struct th_target *target, const char *name)
{
	const struct th_control_snapshot *snapshot = NULL;
	const struct th_control_branch *branch = NULL;
	const char *path = th_target_path(target);
	struct lists lists = { 0 };
	int status;

	if (!lists_read(target, &lists)) {
		snapshot = find_snapshot(&lists, name);
		branch = find_branch_from(&lists, name, 0, NULL);
	}
	if (held(snapshot))
		status = th_holds_report(target, snapshot, "snapshot '%s'", name);
	else if (!branch)
		status = th_error(-EBUSY, "%s: snapshot '%s'", path, name);
	else
		status = report_origin(path, &lists, snapshot, branch);
	lists_release(&lists);
	return status;
}

/* Reports an error about a snapshot.  Returns TH_EXIT_FAILED. */
static int report(struct th_target *target, const char *name, int err)
{
	const char *path = th_target_path(target);

	switch (err) {
	case -ENOENT:
		return th_error_line("%s: there is no snapshot '%s' (see thunderhead snapshot list)", path, name);
	case -EEXIST:
		return th_error_line("%s: there is a snapshot '%s' already; choose another name", path, name);
	case -EINVAL:
		return th_error_line(
			"%s: '%s' cannot be the name of a snapshot: it is empty, '.', '..', or contains '/'", path,
			name);
	case -EBUSY:
		return report_busy(target, name);
	case -EPERM:
		return th_error_line(
			"%s: only root and the user who mounted it may change snapshots, and through a mount with "
			"subdir= only with the option snapshots= (see man thunderhead, PERMISSIONS)",
			path);
	default:
		return th_error(err, "%s: snapshot '%s'", path, name);
	}
}

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
		return report(target, name, err);
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
			status = report(target, names[i], err);
	}
	return status;
}

static int delete_snapshots(struct th_target *target, int count, char **names)
{
	int status = TH_EXIT_DONE;

	for (int i = 0; i < count; i++) {
		struct th_control_snapshot request = { 0 };
		int err = th_target_name(names[i], &request.name);

		if (!err)
			err = th_target_ask(target, TH_CONTROL_SNAPSHOT_DELETE, &request);
		if (err)
			status = report(target, names[i], err);
	}
	return status;
}

/* Waits until the space of deleted snapshots is free. */
static int wait_for_space(struct th_target *target)
{
	struct th_control_reclaim request = { 0 };
	int err;

	do
		err = th_target_ask(target, TH_CONTROL_RECLAIM, &request);
	while (!err && !th_get_le32(request.done));
	return err ? th_error(err, "%s: cannot free the space of deleted snapshots", th_target_path(target))
		   : TH_EXIT_DONE;
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
	return err ? report(target, names[err == -ENOENT ? 0 : 1], err) : TH_EXIT_DONE;
}

/* --- holds: the first argument is the tag --- */

static bool snapshot_exists(struct th_target *target, const char *name)
{
	struct lists lists = { 0 };
	bool exists = !lists_read(target, &lists) && find_snapshot(&lists, name);

	lists_release(&lists);
	return exists;
}

static int report_hold(struct th_target *target, const char *tag, const char *name, int err)
{
	const char *path = th_target_path(target);

	switch (err) {
	case -ENOENT:
		if (!snapshot_exists(target, name))
			return report(target, name, err);
		return th_error_line("%s: snapshot '%s' is not held by '%s' (see thunderhead snapshot holds)", path,
				     name, tag);
	case -EEXIST:
		return th_error_line("%s: snapshot '%s' is held by '%s' already", path, name, tag);
	case -EINVAL:
		return th_error_line("%s: a tag must not be empty", path);
	case -ENAMETOOLONG:
		return th_error_line("%s: a tag has at most %d bytes", path, TH_HOLD_TAG_MAX);
	default:
		return report(target, name, err);
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

/* --- the list --- */

/* In brackets: the snapshot is of a detached branch, which had that name. */
static void print_branch(const struct th_control_branch *branch)
{
	fputs(is_detached(branch) ? "  (" : "  ", stdout);
	th_name_print(stdout, branch->name.text);
	if (is_detached(branch))
		putchar(')');
}

static void print_holds(const struct th_control_snapshot *snapshot)
{
	unsigned long long holds = th_get_le64(snapshot->holds);

	if (holds)
		printf("  %llu hold%s", holds, holds == 1 ? "" : "s");
}

static void print_table(const struct lists *lists)
{
	char created[TH_TIMESTAMP_TEXT];

	for (size_t i = 0; i < lists->count; i++) {
		const struct th_control_snapshot *snapshot = &lists->snapshots[i];
		const struct th_control_branch *branch = branch_of(lists, snapshot);

		printf("%6llu  %s  ", (unsigned long long)th_get_le64(snapshot->id),
		       th_timestamp_format(th_get_le64(snapshot->created_ns), created));
		th_name_print(stdout, snapshot->name.text);
		if (lists->nbranches > 1 && branch)
			print_branch(branch);
		print_holds(snapshot);
		putchar('\n');
	}
}

static int print_json(const struct lists *lists)
{
	struct json_object *array = json_object_new_array();
	int err = array ? 0 : -ENOMEM;

	for (size_t i = 0; i < lists->count && !err; i++) {
		const struct th_control_snapshot *from = &lists->snapshots[i];
		const struct th_control_branch *branch = branch_of(lists, from);
		struct json_object *snapshot = json_object_new_object();

		if (!snapshot || json_object_array_add(array, snapshot)) {
			json_object_put(snapshot);
			err = -ENOMEM;
			break;
		}
		err = th_name_to_json(snapshot, "name", from->name.text);
		if (!err && branch) {
			err = th_name_to_json(snapshot, "branch", branch->name.text);
			json_object_object_add(snapshot, "detached", json_object_new_boolean(is_detached(branch)));
		}
		json_object_object_add(snapshot, "id", json_object_new_uint64(th_get_le64(from->id)));
		json_object_object_add(snapshot, "generation", json_object_new_uint64(th_get_le64(from->generation)));
		json_object_object_add(snapshot, "created_ns", json_object_new_uint64(th_get_le64(from->created_ns)));
		json_object_object_add(snapshot, "holds", json_object_new_uint64(th_get_le64(from->holds)));
	}
	if (!err)
		th_json_print(stdout, array, JSON_C_TO_STRING_PRETTY);
	json_object_put(array);
	return err;
}

static int list_snapshots(struct th_target *target, bool json, int count, char **names)
{
	struct lists lists = { 0 };
	int err = lists_read(target, &lists);

	(void)count;
	(void)names;
	if (!err && json)
		err = print_json(&lists);
	else if (!err)
		print_table(&lists);
	lists_release(&lists);
	return err ? th_error(err, "%s: list of snapshots", th_target_path(target)) : th_command_finish(TH_EXIT_DONE);
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

static int check_name(const struct lists *lists, const char *name, enum want want, const char *tag)
{
	const struct th_control_snapshot *snapshot = find_snapshot(lists, name);
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

static bool undeletable(const struct lists *lists, const char *name, int count, char **names)
{
	return held(find_snapshot(lists, name)) || find_branch_from(lists, name, count, names);
}

/* Checks, without changing anything, whether the change is possible for every name.  Opening an image for writing would
 * change it already. */
static int check_names(const struct verb *verb, const char *path, int count, char **names)
{
	struct lists lists = { 0 };
	struct th_target *target;
	int err, status = TH_EXIT_DONE;

	if (th_target_open(path, true, &target))
		return TH_EXIT_FAILED;
	err = lists_read(target, &lists);
	if (err)
		status = th_error(err, "%s: list of snapshots", path);
	for (int i = 0; i < count && !err; i++) {
		int wrong = check_name(&lists, names[i], i ? verb->others : verb->first, names[0]);

		if (!wrong && verb->change == delete_snapshots && undeletable(&lists, names[i], count, names))
			wrong = -EBUSY;
		if (wrong && verb->first == WANT_TAG)
			status = report_hold(target, names[0], names[i], wrong);
		else if (wrong)
			status = report(target, names[i], wrong);
	}
	lists_release(&lists);
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
static int run_verb(const struct verb *verb, bool json, bool wait, int count, char **arguments)
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
	if (wait && !status)
		status = wait_for_space(target);
	if (th_target_close(target) && !status)
		status = TH_EXIT_FAILED;
	return status;
}

/* --- the command --- */

enum { OPTION_JSON = TH_OPTION_LONG, OPTION_WAIT };

static const struct th_option list_options[] = { { OPTION_JSON, "json", NULL, "print a JSON array" }, { 0 } };
static const struct th_option delete_options[] = {
	{ OPTION_WAIT, "wait", NULL, "return when their space is free, except for what is still open in them" },
	{ 0 },
};

static int run(const struct th_command *command, int argc, char **argv)
{
	const struct verb *verb = command->context;
	bool json = false, wait = false;
	int option, count, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0) {
		json |= option == OPTION_JSON;
		wait |= option == OPTION_WAIT;
	}
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
	return run_verb(verb, json, wait, count, argv + optind);
}

static const struct verb create_verb = { create_snapshots, NULL, 0, NAMES_MAX, WANT_NEW, WANT_NEW };
static const struct verb list_verb = { NULL, list_snapshots, 0, 0, WANT_PRESENT, WANT_PRESENT };
static const struct verb delete_verb = { delete_snapshots, NULL, 1, NAMES_MAX, WANT_PRESENT, WANT_PRESENT };
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
		.arguments = "[--json] TARGET",
		.summary = "list snapshots, oldest first: number, time, name, branch, and how many holds",
		.options = list_options,
		.run = run,
		.context = &list_verb,
	},
	{
		.name = "snapshot delete",
		.arguments = "[--wait] TARGET NAME...",
		.summary = "delete snapshots",
		.options = delete_options,
		.run = run,
		.context = &delete_verb,
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
		.options = list_options,
		.run = run,
		.context = &holds_verb,
	},
	{ 0 },
};

const struct th_command th_cmd_snapshot = {
	.name = "snapshot",
	.arguments = "create|list|delete|rename|hold|release|holds ...",
	.summary = "take, list, delete, rename or hold snapshots",
	.verbs = verbs,
	.run = th_command_run_verb,
};
