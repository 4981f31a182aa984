/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/snapshot_report.h"

#include <errno.h>

#include "fs/snapshot/select.h"
#include "tools/error.h"
#include "tools/holds.h"
#include "tools/snapshot_lists.h"

/* Reports that a branch begins from a snapshot, and what to do to be able to delete the snapshot. */
static int report_origin(const char *path, const struct th_snapshot_lists *lists,
			 const struct th_control_snapshot *snapshot, const struct th_control_branch *branch)
{
	const struct th_control_branch *own = th_snapshot_lists_branch(lists, snapshot);
	const char *name = snapshot->name.text, *from = branch->name.text;

	for (size_t i = 0; th_branch_is_detached(branch) && i < lists->count; i++)
		if (th_snapshot_lists_branch(lists, &lists->snapshots[i]) == branch)
			return th_error_line("%s: snapshot '%s' is the origin of a detached branch; delete that "
					     "branch's snapshots first: '%s' is one (in brackets in the list of "
					     "snapshots)",
					     path, name, lists->snapshots[i].name.text);
	if (own && th_branch_is_detached(own))
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
	struct th_snapshot_lists lists = { 0 };
	int status;

	if (!th_snapshot_lists_read(target, &lists)) {
		snapshot = th_snapshot_lists_find(&lists, name);
		branch = snapshot ? th_snapshot_lists_pin(&lists, snapshot, NULL) : NULL;
	}
	if (snapshot && th_snapshot_is_held(snapshot))
		status = th_holds_report(target, snapshot, "snapshot '%s'", name);
	else if (!branch)
		status = th_error(-EBUSY, "%s: snapshot '%s'", path, name);
	else
		status = report_origin(path, &lists, snapshot, branch);
	th_snapshot_lists_release(&lists);
	return status;
}

int th_snapshot_report(struct th_target *target, const char *name, int err)
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

int th_snapshot_report_term(struct th_target *target, const char *term, int err)
{
	const char *path = th_target_path(target);

	switch (err) {
	case -EXDEV:
		return th_error_line("%s: '%s': the two snapshots are of different branches", path, term);
	case -ERANGE:
		return th_error_line("%s: '%s': the first snapshot is newer than the second one; exchange them", path,
				     term);
	case -ENOENT:
		if (th_select_is_special(term))
			return th_error_line("%s: there is no snapshot '%s', and it is no range or pattern of "
					     "snapshots (see thunderhead snapshot list)",
					     path, term);
		/* fall through */
	default:
		return th_snapshot_report(target, term, err);
	}
}
