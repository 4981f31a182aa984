/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "error.h"
#include "moment.h"
#include "name.h"
#include "target.h"

/* So many snapshots may be made without a name within one second. */
#define TIME_NAMES 100

struct lists {
	struct th_control_snapshot *snapshots;
	size_t count;
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
	return th_get_le32(branch->flags) & TH_CONTROL_BRANCH_HEADLESS;
}

static int lists_read(struct th_target *target, struct lists *ret)
{
	int result = th_target_snapshots(target, &ret->snapshots, &ret->count);

	return result ? result : th_target_branches(target, &ret->branches, &ret->nbranches);
}

static void lists_release(struct lists *lists)
{
	free(lists->snapshots);
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

/* A branch begins from it: which one? */
static int say_busy(struct th_target *target, const char *name)
{
	const struct th_control_branch *branch = NULL;
	const char *path = th_target_path(target);
	struct lists lists = { 0 };
	int status;

	if (!lists_read(target, &lists))
		branch = find_begun(&lists, name, 0, NULL);
	if (!branch)
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
	int result;

	memset(request, 0, sizeof(*request));
	result = th_target_name(name, &request->name);
	return result ? result : th_target_ask(target, TH_CONTROL_SNAPSHOT_CREATE, request);
}

/* Names a snapshot after the present, and tells what it was called. */
static int create_by_time(struct th_target *target)
{
	char stamp[32], name[48];
	struct th_control_snapshot request;
	time_t now = time(NULL);
	struct tm utc;
	int result = -EEXIST;

	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H-%M-%SZ", gmtime_r(&now, &utc));
	for (unsigned i = 1; i <= TIME_NAMES && result == -EEXIST; i++) {
		snprintf(name, sizeof(name), i == 1 ? "%s" : "%s-%u", stamp, i);
		result = create_one(target, name, &request);
	}
	if (result)
		return say(target, name, result);
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
		int result = create_one(target, names[i], &request);

		if (result)
			status = say(target, names[i], result);
	}
	return status;
}

static int delete (struct th_target *target, int count, char **names)
{
	int status = TH_EXIT_DONE;

	for (int i = 0; i < count; i++) {
		struct th_control_snapshot request = { 0 };
		int result = th_target_name(names[i], &request.name);

		if (!result)
			result = th_target_ask(target, TH_CONTROL_SNAPSHOT_DELETE, &request);
		if (result)
			status = say(target, names[i], result);
	}
	return status;
}

/* Until the space of what was deleted is back. */
static int reclaim(struct th_target *target)
{
	struct th_control_reclaim request = { 0 };
	int result;

	do
		result = th_target_ask(target, TH_CONTROL_RECLAIM, &request);
	while (!result && !th_get_le32(request.done));
	return result ? th_error(result, "%s: giving space back", th_target_path(target)) : TH_EXIT_DONE;
}

static int rename_one(struct th_target *target, int count, char **names)
{
	struct th_control_rename request = { 0 };
	int result = th_target_name(names[0], &request.from);

	(void)count;
	if (!result)
		result = th_target_name(names[1], &request.to);
	if (!result)
		result = th_target_ask(target, TH_CONTROL_SNAPSHOT_RENAME, &request);
	return result ? say(target, names[result == -ENOENT ? 0 : 1], result) : TH_EXIT_DONE;
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
		putchar('\n');
	}
}

static int print_json(const struct lists *lists)
{
	struct json_object *array = json_object_new_array();
	int result = array ? 0 : -ENOMEM;

	for (size_t i = 0; i < lists->count && !result; i++) {
		const struct th_control_snapshot *from = &lists->snapshots[i];
		const struct th_control_branch *branch = branch_of(lists, from);
		struct json_object *snapshot = json_object_new_object();

		if (!snapshot || json_object_array_add(array, snapshot)) {
			json_object_put(snapshot);
			result = -ENOMEM;
			break;
		}
		result = th_name_to_json(snapshot, "name", from->name.text);
		if (!result && branch) {
			result = th_name_to_json(snapshot, "branch", branch->name.text);
			json_object_object_add(snapshot, "rolled_back", json_object_new_boolean(rolled_back(branch)));
		}
		json_object_object_add(snapshot, "id", json_object_new_uint64(th_get_le64(from->id)));
		json_object_object_add(snapshot, "generation", json_object_new_uint64(th_get_le64(from->generation)));
		json_object_object_add(snapshot, "created_ns", json_object_new_uint64(th_get_le64(from->created_ns)));
	}
	if (!result)
		puts(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(array);
	return result;
}

static int list(struct th_target *target, bool json)
{
	struct lists lists = { 0 };
	int result = lists_read(target, &lists);

	if (!result && json)
		result = print_json(&lists);
	else if (!result)
		print_table(&lists);
	lists_release(&lists);
	return result ? th_error(result, "%s: list of snapshots", th_target_path(target))
		      : th_command_finish(TH_EXIT_DONE);
}

/* --- which of them --- */

/* What a name must be for a command to make sense. */
enum want { WANT_NEW, WANT_THERE };

static const struct verb {
	const char *name;
	int names_min, names_max;
	int (*run)(struct th_target *target, int count, char **names); /* NULL: list */
	enum want first, others;
} verbs[] = {
	{ "create", 0, 65536, create, WANT_NEW, WANT_NEW },
	{ "delete", 1, 65536, delete, WANT_THERE, WANT_THERE },
	{ "rename", 2, 2, rename_one, WANT_THERE, WANT_NEW },
	{ "list", 0, 0, NULL, WANT_THERE, WANT_THERE },
};

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

static int check_name(const struct lists *lists, const char *name, enum want want)
{
	bool there = find_snapshot(lists, name) != NULL;

	if (want == WANT_THERE)
		return there ? 0 : -ENOENT;
	if (there)
		return -EEXIST;
	if (strlen(name) > TH_SNAPSHOT_NAME_MAX)
		return -ENAMETOOLONG;
	return !*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ? -EINVAL : 0;
}

/* Looks before anything is changed whether it can be done with every name.  Opening an image for writing would change
 * it already. */
static int look(const struct verb *verb, const char *path, int count, char **names)
{
	struct lists lists = { 0 };
	struct th_target *target;
	int result, status = TH_EXIT_DONE;

	if (th_target_open(path, true, &target))
		return TH_EXIT_FAILED;
	result = lists_read(target, &lists);
	if (result)
		status = th_error(result, "%s: list of snapshots", path);
	for (int i = 0; i < count && !result; i++) {
		int wrong = check_name(&lists, names[i], i ? verb->others : verb->first);

		if (!wrong && verb->run == delete &&find_begun(&lists, names[i], count, names))
			wrong = -EBUSY;
		if (wrong)
			status = say(target, names[i], wrong);
	}
	lists_release(&lists);
	th_target_close(target);
	return status;
}

static int run_verb(const struct verb *verb, const struct flags *flags, int count, char **arguments)
{
	struct th_target *target;
	int status = verb->run ? look(verb, arguments[0], count - 1, arguments + 1) : TH_EXIT_DONE;

	if (status)
		return status;
	if (th_target_open(arguments[0], !verb->run, &target))
		return TH_EXIT_FAILED;
	status = verb->run ? verb->run(target, count - 1, arguments + 1) : list(target, flags->json);
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
		return th_command_usage(command, "create, list, delete or rename?");
	verb = find_verb(argv[optind]);
	if (!verb)
		return th_command_usage(command, "%s: not one of create, list, delete, rename", argv[optind]);
	names = argc - optind - 2;
	if (names < 0)
		return th_command_usage(command, "%s: of which target?", verb->name);
	if (names < verb->names_min || names > verb->names_max)
		return th_command_usage(command, "%s: %s", verb->name,
					names < verb->names_min ? "a name is missing" : "too many names");
	if (flags.json && verb->run)
		return th_command_usage(command, "%s: --json is for the list", verb->name);
	if (flags.wait && verb->run != delete)
		return th_command_usage(command, "%s: --wait is for delete", verb->name);
	return run_verb(verb, &flags, argc - optind - 1, argv + optind + 1);
}

const struct th_command th_cmd_snapshot = {
	.name = "snapshot",
	.arguments = "create|list|delete|rename TARGET [NAME...]",
	.summary = "take, list, delete or rename snapshots",
	.help = "  create TARGET [NAME...]    take a snapshot; without a name it gets one from the time, which is printed\n"
		"  list TARGET [--json]       number, time and name of each, oldest first; and its branch,\n"
		"                             if there are several\n"
		"  delete TARGET NAME...      delete these; with --wait, return when their space is back\n"
		"  rename TARGET NAME NEW     give one another name\n",
	.run = run,
};
