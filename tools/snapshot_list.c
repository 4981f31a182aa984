/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/snapshot_list.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>

#include "tools/command.h"
#include "tools/error.h"
#include "tools/name_print.h"
#include "tools/snapshot_lists.h"
#include "tools/timestamp.h"

/* In brackets: the snapshot is of a detached branch, which had that name. */
static void print_branch(const struct th_control_branch *branch)
{
	fputs(th_branch_is_detached(branch) ? "  (" : "  ", stdout);
	th_name_print(stdout, branch->name.text);
	if (th_branch_is_detached(branch))
		putchar(')');
}

static void print_holds(const struct th_control_snapshot *snapshot)
{
	unsigned long long holds = th_get_le64(snapshot->holds);

	if (holds)
		printf("  %llu hold%s", holds, holds == 1 ? "" : "s");
}

static void print_table(const struct th_snapshot_lists *lists)
{
	char created[TH_TIMESTAMP_TEXT];

	for (size_t i = 0; i < lists->count; i++) {
		const struct th_control_snapshot *snapshot = &lists->snapshots[i];
		const struct th_control_branch *branch = th_snapshot_lists_branch(lists, snapshot);

		printf("%6llu  %s  ", (unsigned long long)th_get_le64(snapshot->id),
		       th_timestamp_format(th_get_le64(snapshot->created_ns), created));
		th_name_print(stdout, snapshot->name.text);
		if (lists->nbranches > 1 && branch)
			print_branch(branch);
		print_holds(snapshot);
		putchar('\n');
	}
}

static int print_json(const struct th_snapshot_lists *lists)
{
	struct json_object *array = json_object_new_array();
	int err = array ? 0 : -ENOMEM;

	for (size_t i = 0; i < lists->count && !err; i++) {
		const struct th_control_snapshot *from = &lists->snapshots[i];
		const struct th_control_branch *branch = th_snapshot_lists_branch(lists, from);
		struct json_object *snapshot = json_object_new_object();

		if (!snapshot || json_object_array_add(array, snapshot)) {
			json_object_put(snapshot);
			err = -ENOMEM;
			break;
		}
		err = th_name_to_json(snapshot, "name", from->name.text);
		if (!err && branch) {
			err = th_name_to_json(snapshot, "branch", branch->name.text);
			json_object_object_add(snapshot, "detached",
					       json_object_new_boolean(th_branch_is_detached(branch)));
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

int th_snapshot_list_print(struct th_target *target, bool json, int count, char **names)
{
	struct th_snapshot_lists lists = { 0 };
	int err = th_snapshot_lists_read(target, &lists);

	(void)count;
	(void)names;
	if (!err && json)
		err = print_json(&lists);
	else if (!err)
		print_table(&lists);
	th_snapshot_lists_release(&lists);
	return err ? th_error(err, "%s: list of snapshots", th_target_path(target)) : th_command_finish(TH_EXIT_DONE);
}
