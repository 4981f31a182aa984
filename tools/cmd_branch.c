/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/snapshot/branch.h"
#include "tools/commands.h"
#include "tools/error.h"
#include "tools/holds.h"
#include "tools/name_print.h"
#include "tools/target.h"
#include "tools/timestamp.h"

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

/* Returns a snapshot of the branch that has a hold, or NULL. */
static const struct th_control_snapshot *find_held(const struct th_control_snapshot *snapshots, size_t count,
						   const struct th_control_branch *branch)
{
	for (size_t i = 0; i < count; i++) {
		if (th_get_le64(snapshots[i].branch) == th_get_le64(branch->id) && th_get_le64(snapshots[i].holds))
			return &snapshots[i];
	}
	return NULL;
}

/* Returns another branch that begins from a snapshot of the branch, or NULL. */
static const struct th_control_branch *find_begun(const struct th_control_branch *list, size_t nlist,
						  const struct th_control_snapshot *snapshots, size_t count,
						  const struct th_control_branch *branch)
{
	for (size_t i = 0; i < count; i++) {
		if (th_get_le64(snapshots[i].branch) != th_get_le64(branch->id))
			continue;
		for (size_t k = 0; k < nlist; k++)
			if (th_get_le64(list[k].origin) == th_get_le64(snapshots[i].id))
				return &list[k];
	}
	return NULL;
}

/* Reports that another branch begins from a branch, and what to do to be able to delete that. */
static int report_begun(const char *path, const struct th_control_branch *branch, const struct th_control_branch *begun)
{
	const char *name = branch->name.text;

	if (begun && !detached(begun))
		return th_error_line("%s: a snapshot of branch '%s' is the origin of branch '%s'; promote '%s' "
				     "(thunderhead branch promote)%s first",
				     path, name, begun->name.text, begun->name.text,
				     current(begun) ? "" : ", or delete it,");
	return th_error_line(
		"%s: a snapshot of branch '%s' is the origin of a detached branch; delete the snapshots of "
		"that one first (in brackets in the list of snapshots)",
		path, name);
}

/* Reports why a branch that is not the current one cannot be deleted: a hold, or a branch that begins from it. */
static int report_pinned(struct th_target *target, const struct th_control_branch *list, size_t nlist,
			 const struct th_control_branch *branch)
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
		status = th_holds_report(target, held, "snapshot '%s' of branch '%s'", held->name.text,
					 branch->name.text);
	else
		status = report_begun(th_target_path(target), branch,
				      snapshots ? find_begun(list, nlist, snapshots, count, branch) : NULL);
	free(snapshots);
	return status;
}

/* Reports why a branch cannot be deleted. */
static int report_busy(struct th_target *target, const char *name)
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
		status = th_error_line("%s: branch '%s' is the current one; mount another branch first", path, name);
	else
		status = report_pinned(target, list, count, branch);
	free(list);
	return status;
}

/* Reports an error about a branch.  Returns TH_EXIT_FAILED. */
static int report(struct th_target *target, const char *name, int err)
{
	const char *path = th_target_path(target);

	switch (err) {
	case -ENOENT:
		return th_error_line("%s: there is no branch '%s' (see thunderhead branch list)", path, name);
	case -EEXIST:
		return th_error_line("%s: there is a branch '%s' already; choose another name", path, name);
	case -EINVAL:
		return th_error_line("%s: '%s' cannot be the name of a branch: it is empty, '.', '..', or contains '/'",
				     path, name);
	case -EBUSY:
		return report_busy(target, name);
	case -ENOTEMPTY:
		return th_error_line("%s: branch '%s' has snapshots; --snapshots deletes them, too", path, name);
	case -ENOLINK:
		return th_error_line("%s: branch '%s' begins from no snapshot: there is nothing to promote it over",
				     path, name);
	case -EPERM:
		return th_error_line(
			"%s: only root and the user who mounted it may change branches, and through a mount with "
			"subdir= only with the option snapshots= (see man thunderhead, PERMISSIONS)",
			path);
	default:
		return th_error(err, "%s: branch '%s'", path, name);
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
	return err ? report(request->target, name, err) : TH_EXIT_DONE;
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
			status = report(request->target, request->names[i], err);
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
	return err ? report(request->target, request->names[err == -ENOENT ? 0 : 1], err) : TH_EXIT_DONE;
}

static int promote_branch(struct request *request)
{
	struct th_control_branch branch = { 0 };
	const char *name = request->names[0];
	int err = th_target_name(name, &branch.name);

	if (!err)
		err = th_target_ask(request->target, TH_CONTROL_BRANCH_PROMOTE, &branch);
	return err ? report(request->target, name, err) : TH_EXIT_DONE;
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
	char created[TH_TIMESTAMP_TEXT];

	for (size_t i = 0; i < count; i++) {
		const char *origin = snapshot_name(snapshots, nsnapshots, list[i].origin);

		if (detached(&list[i]))
			continue;
		printf("%c %6llu  %s  ", current(&list[i]) ? '*' : ' ', (unsigned long long)th_get_le64(list[i].id),
		       th_timestamp_format(th_get_le64(list[i].created_ns), created));
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
		json_object_object_add(branch, "detached", json_object_new_boolean(detached(&list[i])));
		json_object_object_add(branch, "snapshots", json_object_new_uint64(th_get_le64(list[i].snapshots)));
		json_object_object_add(branch, "created_ns", json_object_new_uint64(th_get_le64(list[i].created_ns)));
	}
	if (!err)
		th_json_print(stdout, array, JSON_C_TO_STRING_PRETTY);
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

/* --- subcommands --- */

struct verb {
	int (*run)(struct request *request);
	int names; /* of branches; for delete, at least */
	bool changes;
};

struct lists {
	struct th_control_branch *branches;
	size_t count;
	struct th_control_snapshot *snapshots;
	size_t nsnapshots;
};

/* Returns whether a branch that is not to be deleted, too, begins from the branch. */
static bool begun_by_others(const struct request *request, const struct lists *lists,
			    const struct th_control_branch *branch)
{
	const struct th_control_branch *begun =
		find_begun(lists->branches, lists->count, lists->snapshots, lists->nsnapshots, branch);

	for (int i = 0; begun && !detached(begun) && i < request->count; i++)
		if (!strcmp(request->names[i], begun->name.text))
			return false;
	return begun != NULL;
}

/* Returns 0, or the error that deleting the branch would give. */
static int check_deletion(const struct request *request, const struct lists *lists,
			  const struct th_control_branch *branch)
{
	if (current(branch))
		return -EBUSY;
	if (th_get_le64(branch->snapshots) && !request->snapshots)
		return -ENOTEMPTY;
	if (find_held(lists->snapshots, lists->nsnapshots, branch) || begun_by_others(request, lists, branch))
		return -EBUSY;
	return 0;
}

/* Returns 0, or the error that the change would give for this name. */
static int check_name(const struct verb *verb, const struct request *request, const struct lists *lists, int which)
{
	const char *name = request->names[which];
	const struct th_control_branch *found = find_branch(lists->branches, lists->count, name);
	bool is_new = verb->run == create_branch || (verb->run == rename_branch && which == 1);

	if (!is_new && !found)
		return -ENOENT;
	if (is_new && found)
		return -EEXIST;
	if (is_new && strlen(name) > TH_BRANCH_NAME_MAX)
		return -ENAMETOOLONG;
	if (is_new && (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..")))
		return -EINVAL;
	if (verb->run == promote_branch && !th_get_le64(found->origin))
		return -ENOLINK;
	return verb->run == delete_branches ? check_deletion(request, lists, found) : 0;
}

static int check_origin(struct th_target *target, const struct request *request)
{
	char taken[TH_BRANCH_NAME_MAX + sizeof(TH_FS_BRANCH_ORIGIN)];
	const char *path = th_target_path(target);

	if (request->from && !snapshot_exists(target, request->from))
		return th_error_line("%s: there is no snapshot '%s' (see thunderhead snapshot list)", path,
				     request->from);
	snprintf(taken, sizeof(taken), "%s%s", request->names[0], TH_FS_BRANCH_ORIGIN);
	if (!request->from && snapshot_exists(target, taken))
		return th_error_line("%s: there is a snapshot '%s' already; --from begins from it", path, taken);
	return TH_EXIT_DONE;
}

/* Checks, without changing anything, whether the change is possible.  Opening an image for writing would change it
 * already. */
static int check_names(const struct verb *verb, const char *path, struct request *request)
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
		int wrong = check_name(verb, request, &lists, i);

		if (wrong)
			status = report(target, request->names[i], wrong);
	}
	if (!status && verb->run == create_branch)
		status = check_origin(target, request);
	free(lists.branches);
	free(lists.snapshots);
	th_target_close(target);
	return status;
}

static int run_verb(const struct verb *verb, const char *path, struct request *request)
{
	int status = verb->changes ? check_names(verb, path, request) : TH_EXIT_DONE;

	if (status)
		return status;
	if (th_target_open(path, !verb->changes, &request->target))
		return TH_EXIT_FAILED;
	status = verb->run(request);
	if (th_target_close(request->target) && !status)
		status = TH_EXIT_FAILED;
	return status;
}

/* --- the command --- */

enum { OPTION_FROM = TH_OPTION_LONG, OPTION_JSON, OPTION_SNAPSHOTS };

static const struct th_option create_options[] = {
	{ OPTION_FROM, "from", "SNAPSHOT", "where the branch begins; without it, a snapshot NAME-origin is taken" },
	{ 0 },
};
static const struct th_option list_options[] = { { OPTION_JSON, "json", NULL, "print a JSON array" }, { 0 } };
static const struct th_option delete_options[] = {
	{ OPTION_SNAPSHOTS, "snapshots", NULL, "delete the snapshots of the branches, too" },
	{ 0 },
};

static int run(const struct th_command *command, int argc, char **argv)
{
	const struct verb *verb = command->context;
	struct request request = { 0 };
	int option, status;

	while ((option = th_command_option(command, argc, argv, &status)) > 0) {
		if (option == OPTION_FROM)
			request.from = optarg;
		request.json |= option == OPTION_JSON;
		request.snapshots |= option == OPTION_SNAPSHOTS;
	}
	if (option < 0)
		return status;
	request.count = argc - optind - 1;
	request.names = argv + optind + 1;
	if (request.count < 0)
		return th_command_usage(command, "a target is missing");
	if (request.count < verb->names)
		return th_command_usage(command, "a name is missing");
	if (request.count > verb->names && verb->run != delete_branches)
		return th_command_usage(command, "too many names");
	return run_verb(verb, argv[optind], &request);
}

static const struct verb create_verb = { create_branch, 1, true };
static const struct verb list_verb = { list_branches, 0, false };
static const struct verb delete_verb = { delete_branches, 1, true };
static const struct verb rename_verb = { rename_branch, 2, true };
static const struct verb promote_verb = { promote_branch, 1, true };

static const struct th_command verbs[] = {
	{
		.name = "branch create",
		.arguments = "[--from SNAPSHOT] TARGET NAME",
		.summary = "create a branch from a snapshot",
		.options = create_options,
		.run = run,
		.context = &create_verb,
	},
	{
		.name = "branch list",
		.arguments = "[--json] TARGET",
		.summary = "list branches: number, time, name and origin; * marks the current one",
		.options = list_options,
		.run = run,
		.context = &list_verb,
	},
	{
		.name = "branch delete",
		.arguments = "[--snapshots] TARGET NAME...",
		.summary = "delete branches",
		.options = delete_options,
		.run = run,
		.context = &delete_verb,
	},
	{
		.name = "branch rename",
		.arguments = "TARGET NAME NEW",
		.summary = "rename a branch",
		.run = run,
		.context = &rename_verb,
	},
	{
		.name = "branch promote",
		.arguments = "TARGET NAME",
		.summary = "give a branch the snapshots that it descends from",
		.run = run,
		.context = &promote_verb,
	},
	{ 0 },
};

const struct th_command th_cmd_branch = {
	.name = "branch",
	.arguments = "create|list|delete|rename|promote ...",
	.summary = "create, list, delete, rename or promote branches",
	.notes = "mount -o branch=NAME mounts a branch and makes it the current one.\n",
	.verbs = verbs,
	.run = th_command_run_verb,
};
