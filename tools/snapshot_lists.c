/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/snapshot_lists.h"

#include <stdlib.h>
#include <string.h>

int th_snapshot_lists_read(struct th_target *target, struct th_snapshot_lists *ret)
{
	int err = th_target_snapshots(target, &ret->snapshots, &ret->count);

	if (!err)
		err = th_target_holds(target, &ret->holds, &ret->nholds);
	return err ? err : th_target_branches(target, &ret->branches, &ret->nbranches);
}

void th_snapshot_lists_release(struct th_snapshot_lists *lists)
{
	free(lists->snapshots);
	free(lists->holds);
	free(lists->branches);
	*lists = (struct th_snapshot_lists){ 0 };
}

const struct th_control_snapshot *th_snapshot_lists_find(const struct th_snapshot_lists *lists, const char *name)
{
	for (size_t i = 0; i < lists->count; i++) {
		if (!strcmp(lists->snapshots[i].name.text, name))
			return &lists->snapshots[i];
	}
	return NULL;
}

const struct th_control_branch *th_snapshot_lists_branch(const struct th_snapshot_lists *lists,
							 const struct th_control_snapshot *snapshot)
{
	for (size_t i = 0; i < lists->nbranches; i++) {
		if (th_get_le64(lists->branches[i].id) == th_get_le64(snapshot->branch))
			return &lists->branches[i];
	}
	return NULL;
}

/* Returns whether the branch disappears with these snapshots: it is detached and has no others. */
static bool ends_with(const struct th_snapshot_lists *lists, const struct th_control_branch *branch, const bool *doomed)
{
	if (!th_branch_is_detached(branch) || !doomed)
		return false;
	for (size_t i = 0; i < lists->count; i++) {
		if (th_snapshot_lists_branch(lists, &lists->snapshots[i]) == branch && !doomed[i])
			return false;
	}
	return true;
}

const struct th_control_branch *th_snapshot_lists_pin(const struct th_snapshot_lists *lists,
						      const struct th_control_snapshot *snapshot, const bool *doomed)
{
	for (size_t i = 0; i < lists->nbranches; i++) {
		if (th_get_le64(lists->branches[i].origin) == th_get_le64(snapshot->id) &&
		    !ends_with(lists, &lists->branches[i], doomed))
			return &lists->branches[i];
	}
	return NULL;
}

bool th_snapshot_is_held(const struct th_control_snapshot *snapshot)
{
	return th_get_le64(snapshot->holds) > 0;
}

bool th_branch_is_detached(const struct th_control_branch *branch)
{
	return th_get_le32(branch->flags) & TH_CONTROL_BRANCH_DETACHED;
}
