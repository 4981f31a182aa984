/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/snapshot_lists.h"

#include <errno.h>
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

int th_snapshot_lists_select(const struct th_snapshot_lists *lists, struct th_select **ret)
{
	struct th_select *select = calloc(lists->count + 1, sizeof(*select));

	if (!select)
		return -ENOMEM;
	for (size_t i = 0; i < lists->count; i++)
		select[i] = (struct th_select){
			.name = lists->snapshots[i].name.text,
			.branch = th_get_le64(lists->snapshots[i].branch),
			.created_ns = th_get_le64(lists->snapshots[i].created_ns),
		};
	*ret = select;
	return 0;
}

/* Enters the answer into the space of the snapshots from number *at on.  Both lists are in the order of ids. */
static void take_spaces(const struct th_snapshot_lists *lists, const struct th_control_spaces *answer, size_t *at,
			uint64_t *space)
{
	for (uint32_t i = 0; i < th_get_le32(answer->count) && i < TH_CONTROL_SPACES_MAX; i++) {
		uint64_t id = th_get_le64(answer->list[i].id);

		while (*at < lists->count && th_get_le64(lists->snapshots[*at].id) < id)
			(*at)++;
		if (*at < lists->count && th_get_le64(lists->snapshots[*at].id) == id)
			space[*at] = th_get_le64(answer->list[i].bytes);
	}
}

int th_snapshot_lists_spaces(struct th_target *target, const struct th_snapshot_lists *lists, uint64_t **ret)
{
	struct th_control_spaces request = { 0 };
	uint64_t *space = calloc(lists->count + 1, sizeof(*space));
	size_t at = 0;
	uint32_t more;
	int err;

	if (!space)
		return -ENOMEM;
	for (size_t i = 0; i < lists->count; i++)
		space[i] = TH_CONTROL_SPACE_UNKNOWN;
	do {
		err = th_target_ask(target, TH_CONTROL_SNAPSHOT_SPACES, &request);
		more = err ? 0 : th_get_le32(request.count);
		if (more > TH_CONTROL_SPACES_MAX)
			err = -EPROTO;
		if (err || !more)
			break;
		take_spaces(lists, &request, &at, space);
		request.after = request.list[more - 1].id;
	} while (more == TH_CONTROL_SPACES_MAX);
	if (err && err != -EPERM) {
		free(space);
		return err;
	}
	*ret = space;
	return 0;
}

int th_snapshot_lists_space_of(struct th_target *target, const struct th_snapshot_lists *lists, const bool *doomed,
			       uint64_t *ret_bytes)
{
	struct th_control_space_of request = { 0 };
	uint32_t count = 0;
	int err;

	*ret_bytes = TH_CONTROL_SPACE_UNKNOWN;
	for (size_t i = 0; i < lists->count; i++) {
		if (!doomed[i])
			continue;
		if (count == TH_CONTROL_SPACE_OF_MAX)
			return 0;
		request.ids[count++] = th_le32((uint32_t)th_get_le64(lists->snapshots[i].id));
	}
	request.count = th_le32(count);
	err = th_target_ask(target, TH_CONTROL_SNAPSHOT_SPACE_OF, &request);
	if (!err)
		*ret_bytes = th_get_le64(request.bytes);
	return err;
}

bool th_snapshot_is_held(const struct th_control_snapshot *snapshot)
{
	return th_get_le64(snapshot->holds) > 0;
}

bool th_branch_is_detached(const struct th_control_branch *branch)
{
	return th_get_le32(branch->flags) & TH_CONTROL_BRANCH_DETACHED;
}
