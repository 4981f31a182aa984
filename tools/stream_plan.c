/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/stream_plan.h"

#include <errno.h>
#include <stdlib.h>

static const struct th_control_branch *find_branch(const struct th_control_branch *list, size_t count, uint64_t id)
{
	for (size_t i = 0; i < count; i++) {
		if (th_get_le64(list[i].id) == id)
			return &list[i];
	}
	return NULL;
}

/* Finds what a snapshot continues from: the newest step of its branch, else the step of the branch's origin. */
static const struct th_control_snapshot *find_base(const struct th_stream_plan *plan,
						   const struct th_control_snapshot *snapshot,
						   const struct th_control_branch *branch)
{
	uint64_t id = th_get_le64(snapshot->branch), origin = th_get_le64(branch->origin);
	const struct th_control_snapshot *found = NULL;

	for (size_t i = 0; i < plan->count; i++) {
		if (th_get_le64(plan->steps[i].snapshot.branch) == id)
			found = &plan->steps[i].snapshot;
		else if (!found && th_get_le64(plan->steps[i].snapshot.id) == origin)
			found = &plan->steps[i].snapshot;
	}
	return found;
}

/* Snapshots are listed by rising ids, which is the order in which they were taken. */
static int plan_snapshots(struct th_target *target, const struct th_control_branch *branches, size_t nbranches,
			  struct th_stream_plan *plan)
{
	struct th_control_snapshot *list;
	size_t count;
	int err = th_target_snapshots(target, &list, &count);

	if (err)
		return err;
	plan->steps = calloc(count + 1, sizeof(*plan->steps));
	if (!plan->steps)
		err = -ENOMEM;
	for (size_t i = 0; i < count && !err; i++) {
		const struct th_control_branch *branch = find_branch(branches, nbranches, th_get_le64(list[i].branch));

		if (!branch || th_get_le32(branch->flags) & TH_CONTROL_BRANCH_DETACHED) {
			plan->left_out++;
			continue;
		}
		plan->steps[plan->count].snapshot = list[i];
		plan->steps[plan->count].base = find_base(plan, &list[i], branch);
		plan->count++;
	}
	free(list);
	return err;
}

int th_stream_plan_make(struct th_target *target, struct th_stream_plan *ret)
{
	struct th_control_branch *branches;
	size_t count;
	int err = th_target_branches(target, &branches, &count);

	*ret = (struct th_stream_plan){ 0 };
	if (err)
		return err;
	err = plan_snapshots(target, branches, count, ret);
	free(branches);
	if (err)
		th_stream_plan_release(ret);
	return err;
}

void th_stream_plan_release(struct th_stream_plan *plan)
{
	free(plan->steps);
	*plan = (struct th_stream_plan){ 0 };
}
