/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/snapshot/branch.h"
#include "tools/command.h"
#include "tools/error.h"
#include "tools/holds.h"
#include "tools/moment.h"
#include "tools/name.h"
#include "tools/target.h"

struct request {
	struct th_target *target;
	const char *from; /* to create */
	bool snapshots; /* to delete */
	bool json; /* to list */
	int count;
	char **names;
};

static bool detached(const struct th_control_branch *branch)
{
	return th_get_le32(branch->flags) & TH_CONTROL_BRANCH_DETACHED;
}

static bool current(const struct th_control_branch *branch)
{
	return th_get_le32(branch->flags) & TH_CONTROL_BRANCH_CURRENT;
}

static const struct th_control_branch *find_branch(const struct th_control_branch *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (!detached(&list[i]) && !strcmp(list[i].name.text, name))
			return &list[i];
	}
	return NULL;
}

/* A snapshot of the branch that is held. */
static const struct th_control_snapshot *find_held(const struct th_control_snapshot *snapshots, size_t count,
						   const struct th_control_branch *branch)
{
	for (size_t i = 0; i < count; i++) {
		if (th_get_le64(snapshots[i].branch) == th_get_le64(branch->id) && th_get_le64(snapshots[i].holds))
			return &snapshots[i];
	}
	return NULL;
}

/* Why a branch that is not the current one cannot be deleted. */
static int say_pinned(struct th_target *target, const struct th_control_branch *branch)
{
	const struct th_control_snapshot *held = NULL;
	struct th_control_snapshot *snapshots;
	size_t count;
	int status;

	if (!th_target_snapshots(target, &snapshots, &count))
		held = find_held(snapshots, count, branch);
	else
		snapshots = NULL;
	if (held)
		status = th_holds_say(target, held, "snapshot '%s' of branch '%s'", held->name.text, branch->name.text);
	else
		status = th_error_line("%s: a branch, or snapshots of what was rolled back, begin from a snapshot of "
				       "branch '%s'",
				       th_target_path(target), branch->name.text);
	free(snapshots);
	return status;
}

/* Why it cannot be deleted. */
static int say_busy(struct th_target *target, const char *name)
{
	const char *path = th_target_path(target);
	const struct th_control_branch *branch = NULL;
	struct th_control_branch *list = NULL;
	size_t count;
	int status;

	if (!th_target_branches(target, &list, &count))
		branch = find_branch(list, count, name);
	if (!branch)
		status = th_error(-EBUSY, "%s: branch '%s'", path, name);
	else if (current(branch))
		status = th_error_line("%s: branch '%s' is the current one", path, name);
	else
		status = say_pinned(target, branch);
	free(list);
	return status;
}

/* What went wrong with one branch, in the words that fit. */
static int say(struct th_target *target, const char *name, int result)
{
	const char *path = th_target_path(target);

	switch (result) {
	case -ENOENT:
		return th_error_line("%s: there is no branch '%s'", path, name);
	case -EEXIST:
		return th_error_line("%s: there is a branch '%s' already", path, name);
	case -EINVAL:
		return th_error_line("%s: '%s' cannot be the name of a branch", path, name);
	case -EBUSY:
		return say_busy(target, name);
	case -ENOTEMPTY:
		return th_error_line("%s: branch '%s' has snapshots; --snapshots deletes them, too", path, name);
	case -EPERM:
		return th_error_line("%s: only root and the user who mounted it may do that", path);
	default:
		return th_error(result, "%s: branch '%s'", path, name);
	}
}

static bool snapshot_exists(struct th_target *target, const char *name)
{
	struct th_control_snapshot *list;
	bool found = false;
	size_t count;

	if (th_target_snapshots(target, &list, &count))
		return false;
	for (size_t i = 0; i < count && !found; i++)
		found = !strcmp(list[i].name.text, name);
	free(list);
	return found;
}

static int create_branch(struct request *request)
{
	struct th_control_branch branch = { 0 };
	const char *name = request->names[0];
	int err = th_target_name(name, &branch.name);

	if (th_target_sync(request->target))
		return TH_EXIT_FAILED;
	if (!err && request->from && th_target_name(request->from, &branch.from))
		err = -ENOENT;
	if (!err)
		err = th_target_ask(request->target, TH_CONTROL_BRANCH_CREATE, &branch);
	return err ? say(request->target, name, err) : TH_EXIT_DONE;
}

static int delete_branches(struct request *request)
{
	int status = TH_EXIT_DONE;

	for (int i = 0; i < request->count; i++) {
		struct th_control_branch branch = {
			.flags = th_le32(request->snapshots ? TH_CONTROL_BRANCH_SNAPSHOTS : 0),
		};
		int err = th_target_name(request->names[i], &branch.name);

		if (!err)
			err = th_target_ask(request->target, TH_CONTROL_BRANCH_DELETE, &branch);
		if (err)
			status = say(request->target, request->names[i], err);
	}
	return status;
}

static int rename_branch(struct request *request)
{
	struct th_control_rename rename = { 0 };
	int err = th_target_name(request->names[0], &rename.from);

	if (!err)
		err = th_target_name(request->names[1], &rename.to);
	if (!err)
		err = th_target_ask(request->target, TH_CONTROL_BRANCH_RENAME, &rename);
	return err ? say(request->target, request->names[err == -ENOENT ? 0 : 1], err) : TH_EXIT_DONE;
}

/* --- the list --- */

static const char *snapshot_name(const struct th_control_snapshot *list, size_t count, struct th_le64 id)
{
	for (size_t i = 0; i < count; i++)
		if (th_get_le64(list[i].id) == th_get_le64(id))
			return list[i].name.text;
	return "";
}

static void print_table(const struct th_control_branch *list, size_t count, const struct th_control_snapshot *snapshots,
			size_t nsnapshots)
{
	char created[TH_MOMENT_TEXT];

	for (size_t i = 0; i < count; i++) {
		const char *origin = snapshot_name(snapshots, nsnapshots, list[i].origin);

		if (detached(&list[i]))
			continue;
		printf("%c %6llu  %s  ", current(&list[i]) ? '*' : ' ', (unsigned long long)th_get_le64(list[i].id),
		       th_moment_format(th_get_le64(list[i].created_ns), created));
		th_name_print(stdout, list[i].name.text);
		if (*origin) {
			fputs("  from ", stdout);
			th_name_print(stdout, origin);
		}
		putchar('\n');
	}
}

static int print_json(const struct th_control_branch *list, size_t count, const struct th_control_snapshot *snapshots,
		      size_t nsnapshots)
{
	struct json_object *array = json_object_new_array();
	int err = array ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !err; i++) {
		struct json_object *branch = json_object_new_object();
		const char *origin = snapshot_name(snapshots, nsnapshots, list[i].origin);

		if (!branch || json_object_array_add(array, branch)) {
			json_object_put(branch);
			err = -ENOMEM;
			break;
		}
		err = th_name_to_json(branch, "name", list[i].name.text);
		if (!err && *origin)
			err = th_name_to_json(branch, "from", origin);
		json_object_object_add(branch, "id", json_object_new_uint64(th_get_le64(list[i].id)));
		json_object_object_add(branch, "current", json_object_new_boolean(current(&list[i])));
		json_object_object_add(branch, "rolled_back", json_object_new_boolean(detached(&list[i])));
		json_object_object_add(branch, "snapshots", json_object_new_uint64(th_get_le64(list[i].snapshots)));
		json_object_object_add(branch, "created_ns", json_object_new_uint64(th_get_le64(list[i].created_ns)));
	}
	if (!err)
		puts(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(array);
	return err;
}

static int list_branches(struct request *request)
{
	struct th_control_snapshot *snapshots = NULL;
	struct th_control_branch *list;
	size_t count, nsnapshots;
	int err = th_target_branches(request->target, &list, &count);

	if (!err) {
		err = th_target_snapshots(request->target, &snapshots, &nsnapshots);
		if (!err && request->json)
			err = print_json(list, count, snapshots, nsnapshots);
		else if (!err)
			print_table(list, count, snapshots, nsnapshots);
		free(snapshots);
		free(list);
	}
	return err ? th_error(err, "%s: list of branches", th_target_path(request->target))
		   : th_command_finish(TH_EXIT_DONE);
}

/* --- which of them --- */

static const struct verb {
	const char *name;
	int names_min, names_max;
	bool changes;
	int (*run)(struct request *request);
} verbs[] = {
	{ "create", 1, 1, true, create_branch },
	{ "delete", 1, 65536, true, delete_branches },
	{ "rename", 2, 2, true, rename_branch },
	{ "list", 0, 0, false, list_branches },
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!strcmp(name, verbs[i].name))
			return &verbs[i];
	}
	return NULL;
}

struct lists {
	struct th_control_branch *branches;
	size_t count;
	struct th_control_snapshot *snapshots;
	size_t nsnapshots;
};

/* 0, or what can be told of a branch before it is deleted. */
static int look_at_deletion(const struct request *request, const struct lists *lists,
			    const struct th_control_branch *branch)
{
	if (current(branch))
		return -EBUSY;
	if (th_get_le64(branch->snapshots) && !request->snapshots)
		return -ENOTEMPTY;
	return find_held(lists->snapshots, lists->nsnapshots, branch) ? -EBUSY : 0;
}

/* 0, or what can be told of a name before anything is changed. */
static int look_at_name(const struct verb *verb, const struct request *request, const struct lists *lists, int which)
{
	const char *name = request->names[which];
	const struct th_control_branch *found = find_branch(lists->branches, lists->count, name);
	bool new = verb->run == create_branch || (verb->run == rename_branch && which == 1);

	if (!new && !found)
		return -ENOENT;
	if (new &&found)
		return -EEXIST;
	if (new &&strlen(name) > TH_BRANCH_NAME_MAX)
		return -ENAMETOOLONG;
	if (new && (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..")))
		return -EINVAL;
	return verb->run == delete_branches ? look_at_deletion(request, lists, found) : 0;
}

static int look_at_origin(struct th_target *target, const struct request *request)
{
	char taken[TH_BRANCH_NAME_MAX + sizeof(TH_FS_BRANCH_ORIGIN)];
	const char *path = th_target_path(target);

	if (request->from && !snapshot_exists(target, request->from))
		return th_error_line("%s: there is no snapshot '%s'", path, request->from);
	snprintf(taken, sizeof(taken), "%s%s", request->names[0], TH_FS_BRANCH_ORIGIN);
	if (!request->from && snapshot_exists(target, taken))
		return th_error_line("%s: there is a snapshot '%s' already; --from begins from it", path, taken);
	return TH_EXIT_DONE;
}

/* Looks first whether it can be done: opening an image for writing would change it already. */
static int look(const struct verb *verb, const char *path, struct request *request)
{
	struct lists lists = { 0 };
	struct th_target *target;
	int err, status = TH_EXIT_DONE;

	if (th_target_open(path, true, &target))
		return TH_EXIT_FAILED;
	err = th_target_branches(target, &lists.branches, &lists.count);
	if (!err)
		err = th_target_snapshots(target, &lists.snapshots, &lists.nsnapshots);
	if (err)
		status = th_error(err, "%s: list of branches", path);
	for (int i = 0; i < request->count && !err; i++) {
		int wrong = look_at_name(verb, request, &lists, i);

		if (wrong)
			status = say(target, request->names[i], wrong);
	}
	if (!status && verb->run == create_branch)
		status = look_at_origin(target, request);
	free(lists.branches);
	free(lists.snapshots);
	th_target_close(target);
	return status;
}

static int run_verb(const struct verb *verb, const char *path, struct request *request)
{
	int status = verb->changes ? look(verb, path, request) : TH_EXIT_DONE;

	if (status)
		return status;
	if (th_target_open(path, !verb->changes, &request->target))
		return TH_EXIT_FAILED;
	status = verb->run(request);
	if (th_target_close(request->target) && !status)
		status = TH_EXIT_FAILED;
	return status;
}

static int check_options(const struct th_command *command, const struct verb *verb, const struct request *request)
{
	if (request->json && verb->changes)
		return th_command_usage(command, "%s: --json is for the list", verb->name);
	if (request->from && verb->run != create_branch)
		return th_command_usage(command, "%s: --from is for create", verb->name);
	if (request->snapshots && verb->run != delete_branches)
		return th_command_usage(command, "%s: --snapshots is for delete", verb->name);
	if (request->count < verb->names_min || request->count > verb->names_max)
		return th_command_usage(command, "%s: %s", verb->name,
					request->count < verb->names_min ? "a name is missing" : "too many names");
	return TH_EXIT_DONE;
}

static int run(const struct th_command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "from", required_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },
		{ "snapshots", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct request request = { 0 };
	const struct verb *verb;
	int option, status;

	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h')
			return th_command_help(command);
		if (option == 'f')
			request.from = optarg;
		else if (option == 'j')
			request.json = true;
		else if (option == 's')
			request.snapshots = true;
		else
			return th_command_bad_option(command, option, argv);
	}
	if (optind == argc)
		return th_command_usage(command, "create, list, delete or rename?");
	verb = find_verb(argv[optind]);
	if (!verb)
		return th_command_usage(command, "%s: not one of create, list, delete, rename", argv[optind]);
	request.count = argc - optind - 2;
	request.names = argv + optind + 2;
	if (request.count < 0)
		return th_command_usage(command, "%s: of which target?", verb->name);
	status = check_options(command, verb, &request);
	return status ? status : run_verb(verb, argv[optind + 1], &request);
}

const struct th_command th_cmd_branch = {
	.name = "branch",
	.arguments = "create|list|delete|rename TARGET [NAME...]",
	.summary = "begin, list, delete or rename branches",
	.help = "  create TARGET NAME [--from SNAPSHOT]   begin one from a snapshot; without --from, one of the present is\n"
		"                                         taken, and called NAME-origin\n"
		"  list TARGET [--json]                   number, time and name of each, and where it begins; * is the\n"
		"                                         current one\n"
		"  delete TARGET NAME... [--snapshots]    delete these, and their snapshots\n"
		"  rename TARGET NAME NEW                 give one another name\n\n"
		"mount -o branch=NAME mounts one and makes it the current one.\n",
	.run = run,
};
