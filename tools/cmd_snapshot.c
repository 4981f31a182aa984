/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tools/command.h"
#include "tools/error.h"
#include "tools/holds.h"
#include "tools/moment.h"
#include "tools/name.h"
#include "tools/target.h"

/* So many snapshots may be made without a name within one second. */
#define TIME_NAMES 100

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
	return NULL; /* it was deleted between the two questions */
}

static bool rolled_back(const struct th_control_branch *branch)
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

/* Does the branch go with these snapshots?  One that was rolled back has nothing else. */
static bool goes_with(const struct lists *lists, const struct th_control_branch *branch, int count, char **names)
{
	if (!rolled_back(branch))
		return false;
	for (size_t i = 0; i < lists->count; i++) {
		if (branch_of(lists, &lists->snapshots[i]) == branch &&
		    !is_among(lists->snapshots[i].name.text, count, names))
			return false;
	}
	return true;
}

/* A branch that begins from the snapshot and stays when those of these names are deleted; NULL: none. */
static const struct th_control_branch *find_begun(const struct lists *lists, const char *name, int count, char **names)
{
	const struct th_control_snapshot *snapshot = find_snapshot(lists, name);

	for (size_t i = 0; snapshot && i < lists->nbranches; i++) {
		if (th_get_le64(lists->branches[i].origin) == th_get_le64(snapshot->id) &&
		    !goes_with(lists, &lists->branches[i], count, names))
			return &lists->branches[i];
	}
	return NULL;
}

static bool held(const struct th_control_snapshot *snapshot)
{
	return snapshot && th_get_le64(snapshot->holds);
}

/* It is held, or a branch begins from it: by whom, which one? */
static int say_busy(struct th_target *target, const char *name)
{
	const struct th_control_snapshot *snapshot = NULL;
	const struct th_control_branch *branch = NULL;
	const char *path = th_target_path(target);
	struct lists lists = { 0 };
	int status;

	if (!lists_read(target, &lists)) {
		snapshot = find_snapshot(&lists, name);
		branch = find_begun(&lists, name, 0, NULL);
	}
	if (held(snapshot))
		status = th_holds_say(target, snapshot, "snapshot '%s'", name);
	else if (!branch)
		status = th_error(-EBUSY, "%s: snapshot '%s'", path, name);
	else if (rolled_back(branch))
		status = th_error_line("%s: snapshots of what was rolled back to '%s' are still there", path, name);
	else
		status = th_error_line("%s: branch '%s' begins from snapshot '%s'", path, branch->name.text, name);
	lists_release(&lists);
	return status;
}

/* What went wrong with one snapshot, in the words that fit. */
static int say(struct th_target *target, const char *name, int result)
{
	const char *path = th_target_path(target);

	switch (result) {
	case -ENOENT:
		return th_error_line("%s: there is no snapshot '%s'", path, name);
	case -EEXIST:
		return th_error_line("%s: there is a snapshot '%s' already", path, name);
	case -EINVAL:
		return th_error_line("%s: '%s' cannot be the name of a snapshot", path, name);
	case -EBUSY:
		return say_busy(target, name);
	case -EPERM:
		return th_error_line("%s: only root and the user who mounted it may do that", path);
	default:
		return th_error(result, "%s: snapshot '%s'", path, name);
	}
}

static int create_one(struct th_target *target, const char *name, struct th_control_snapshot *request)
{
	int err;

	memset(request, 0, sizeof(*request));
	err = th_target_name(name, &request->name);
	return err ? err : th_target_ask(target, TH_CONTROL_SNAPSHOT_CREATE, request);
}

/* Names a snapshot after the present, and tells what it was called. */
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
		return say(target, name, err);
	puts(name);
	return TH_EXIT_DONE;
}

static int create(struct th_target *target, int count, char **names)
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
			status = say(target, names[i], err);
	}
	return status;
}

static int delete (struct th_target *target, int count, char **names)
{
	int status = TH_EXIT_DONE;

	for (int i = 0; i < count; i++) {
		struct th_control_snapshot request = { 0 };
		int err = th_target_name(names[i], &request.name);

		if (!err)
			err = th_target_ask(target, TH_CONTROL_SNAPSHOT_DELETE, &request);
		if (err)
			status = say(target, names[i], err);
	}
	return status;
}

/* Until the space of what was deleted is back. */
static int reclaim(struct th_target *target)
{
	struct th_control_reclaim request = { 0 };
	int err;

	do
		err = th_target_ask(target, TH_CONTROL_RECLAIM, &request);
	while (!err && !th_get_le32(request.done));
	return err ? th_error(err, "%s: giving space back", th_target_path(target)) : TH_EXIT_DONE;
}

static int rename_one(struct th_target *target, int count, char **names)
{
	struct th_control_rename request = { 0 };
	int err = th_target_name(names[0], &request.from);

	(void)count;
	if (!err)
		err = th_target_name(names[1], &request.to);
	if (!err)
		err = th_target_ask(target, TH_CONTROL_SNAPSHOT_RENAME, &request);
	return err ? say(target, names[err == -ENOENT ? 0 : 1], err) : TH_EXIT_DONE;
}

/* --- holds: the first argument is the tag --- */

static bool snapshot_exists(struct th_target *target, const char *name)
{
	struct lists lists = { 0 };
	bool exists = !lists_read(target, &lists) && find_snapshot(&lists, name);

	lists_release(&lists);
	return exists;
}

static int say_of_hold(struct th_target *target, const char *tag, const char *name, int result)
{
	const char *path = th_target_path(target);

	switch (result) {
	case -ENOENT:
		if (!snapshot_exists(target, name))
			return say(target, name, result);
		return th_error_line("%s: snapshot '%s' is not held by '%s'", path, name, tag);
	case -EEXIST:
		return th_error_line("%s: snapshot '%s' is held by '%s' already", path, name, tag);
	case -EINVAL:
		return th_error_line("%s: a tag must not be empty", path);
	case -ENAMETOOLONG:
		return th_error_line("%s: a tag has at most %d bytes", path, TH_HOLD_TAG_MAX);
	default:
		return say(target, name, result);
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
			status = say_of_hold(target, tag, arguments[i], err);
	}
	return status;
}

static int hold(struct th_target *target, int count, char **arguments)
{
	return ask_hold(target, TH_CONTROL_SNAPSHOT_HOLD, count, arguments);
}

static int release(struct th_target *target, int count, char **arguments)
{
	return ask_hold(target, TH_CONTROL_SNAPSHOT_RELEASE, count, arguments);
}

/* --- the list --- */

/* In brackets: of a state of that branch that was rolled back. */
static void print_branch(const struct th_control_branch *branch)
{
	fputs(rolled_back(branch) ? "  (" : "  ", stdout);
	th_name_print(stdout, branch->name.text);
	if (rolled_back(branch))
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
	char created[TH_MOMENT_TEXT];

	for (size_t i = 0; i < lists->count; i++) {
		const struct th_control_snapshot *snapshot = &lists->snapshots[i];
		const struct th_control_branch *branch = branch_of(lists, snapshot);

		printf("%6llu  %s  ", (unsigned long long)th_get_le64(snapshot->id),
		       th_moment_format(th_get_le64(snapshot->created_ns), created));
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
			json_object_object_add(snapshot, "rolled_back", json_object_new_boolean(rolled_back(branch)));
		}
		json_object_object_add(snapshot, "id", json_object_new_uint64(th_get_le64(from->id)));
		json_object_object_add(snapshot, "generation", json_object_new_uint64(th_get_le64(from->generation)));
		json_object_object_add(snapshot, "created_ns", json_object_new_uint64(th_get_le64(from->created_ns)));
		json_object_object_add(snapshot, "holds", json_object_new_uint64(th_get_le64(from->holds)));
	}
	if (!err)
		puts(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(array);
	return err;
}

static int list(struct th_target *target, bool json, int count, char **names)
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

/* --- which of them --- */

/* What a name must be for a command to make sense: one of a snapshot, or a tag; or one of a snapshot that has the tag,
 * or has not. */
enum want { WANT_NEW, WANT_THERE, WANT_TAG, WANT_HELD, WANT_NOT_HELD };

static const struct verb {
	const char *name;
	int names_min, names_max;
	int (*run)(struct th_target *target, int count, char **names);
	int (*list)(struct th_target *target, bool json, int count, char **names); /* changes nothing; or run */
	enum want first, others;
} verbs[] = {
	{ "create", 0, 65536, create, NULL, WANT_NEW, WANT_NEW },
	{ "delete", 1, 65536, delete, NULL, WANT_THERE, WANT_THERE },
	{ "rename", 2, 2, rename_one, NULL, WANT_THERE, WANT_NEW },
	{ "list", 0, 0, NULL, list, WANT_THERE, WANT_THERE },
	{ "hold", 2, 65536, hold, NULL, WANT_TAG, WANT_NOT_HELD },
	{ "release", 2, 65536, release, NULL, WANT_TAG, WANT_HELD },
	{ "holds", 0, 65536, NULL, th_holds_list, WANT_THERE, WANT_THERE },
};

#define VERBS "create, list, delete, rename, hold, release or holds"

struct flags {
	bool json, wait;
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!strcmp(name, verbs[i].name))
			return &verbs[i];
	}
	return NULL;
}

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
	if (want == WANT_THERE)
		return 0;
	has = th_holds_has(lists->holds, lists->nholds, snapshot, tag);
	if (want == WANT_HELD)
		return has ? 0 : -ENOENT;
	return has ? -EEXIST : 0;
}

static bool undeletable(const struct lists *lists, const char *name, int count, char **names)
{
	return held(find_snapshot(lists, name)) || find_begun(lists, name, count, names);
}

/* Looks before anything is changed whether it can be done with every name.  Opening an image for writing would change
 * it already. */
static int look(const struct verb *verb, const char *path, int count, char **names)
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

		if (!wrong && verb->run == delete &&undeletable(&lists, names[i], count, names))
			wrong = -EBUSY;
		if (wrong && verb->first == WANT_TAG)
			status = say_of_hold(target, names[0], names[i], wrong);
		else if (wrong)
			status = say(target, names[i], wrong);
	}
	lists_release(&lists);
	th_target_close(target);
	return status;
}

/* What takes a single request to a mounted filesystem is done as a whole or not at all: there is nothing to look at. */
static bool at_once(const char *path, int count)
{
	struct stat status;

	return count == 1 && stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int run_verb(const struct verb *verb, const struct flags *flags, int count, char **arguments)
{
	struct th_target *target;
	int status = TH_EXIT_DONE;

	if (verb->run && !at_once(arguments[0], count - 1))
		status = look(verb, arguments[0], count - 1, arguments + 1);
	if (status)
		return status;
	if (th_target_open(arguments[0], !verb->run, &target))
		return TH_EXIT_FAILED;
	status = verb->run ? verb->run(target, count - 1, arguments + 1)
			   : verb->list(target, flags->json, count - 1, arguments + 1);
	if (flags->wait && !status)
		status = reclaim(target);
	if (th_target_close(target) && !status)
		status = TH_EXIT_FAILED;
	return status;
}

static int run(const struct th_command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "wait", no_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const struct verb *verb;
	struct flags flags = { false, false };
	int option, names;

	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h')
			return th_command_help(command);
		if (option == 'j')
			flags.json = true;
		else if (option == 'w')
			flags.wait = true;
		else
			return th_command_bad_option(command, option, argv);
	}
	if (optind == argc)
		return th_command_usage(command, VERBS "?");
	verb = find_verb(argv[optind]);
	if (!verb)
		return th_command_usage(command, "%s: not one of " VERBS, argv[optind]);
	names = argc - optind - 2;
	if (names < 0)
		return th_command_usage(command, "%s: of which target?", verb->name);
	if (names == 0 && verb->first == WANT_TAG)
		return th_command_usage(command, "%s: a tag is missing", verb->name);
	if (names < verb->names_min || names > verb->names_max)
		return th_command_usage(command, "%s: %s", verb->name,
					names < verb->names_min ? "a name is missing" : "too many names");
	if (flags.json && verb->run)
		return th_command_usage(command, "%s: --json is for the lists", verb->name);
	if (flags.wait && verb->run != delete)
		return th_command_usage(command, "%s: --wait is for delete", verb->name);
	return run_verb(verb, &flags, argc - optind - 1, argv + optind + 1);
}

const struct th_command th_cmd_snapshot = {
	.name = "snapshot",
	.arguments = "create|list|delete|rename|hold|release|holds TARGET [TAG] [NAME...]",
	.summary = "take, list, delete, rename or hold snapshots",
	.help = "  create TARGET [NAME...]    take a snapshot; without a name it gets one from the time, which is printed\n"
		"  list TARGET [--json]       number, time and name of each, oldest first; and its branch,\n"
		"                             if there are several; and how many holds it has, if any\n"
		"  delete TARGET NAME...      delete these; with --wait, return when their space is back\n"
		"  rename TARGET NAME NEW     give one another name\n"
		"  hold TARGET TAG NAME...    put a tag on these: while it has any, a snapshot is not deleted\n"
		"  release TARGET TAG NAME... take it off\n"
		"  holds TARGET [NAME...] [--json]   name, tag and time of each hold on these, or on all\n",
	.run = run,
};
