/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/snapshot/permission.h"

#include "fs/inode/inode.h"

static uint32_t root_owner(const struct th_fs *fs)
{
	struct th_inode *root = fs->root;

	pthread_rwlock_rdlock(&root->lock);
	uint32_t uid = root->attr.uid;

	pthread_rwlock_unlock(&root->lock);
	return uid;
}

bool th_may_change_snapshots(const struct th_fs *fs, const struct th_caller *caller)
{
	if (fs->options.snapshots == TH_SNAPSHOTS_NONE)
		return false;
	return caller->admin || (fs->options.snapshots == TH_SNAPSHOTS_OWNER && caller->uid == root_owner(fs));
}

bool th_may_change_branches(const struct th_fs *fs, const struct th_caller *caller)
{
	return fs->options.snapshots != TH_SNAPSHOTS_NONE && caller->admin;
}

bool th_may_list_snapshots(const struct th_fs *fs, const struct th_caller *caller)
{
	bool of_part = fs->root->id != TH_ROOT_ID && fs->options.snapshots == TH_SNAPSHOTS_NONE;

	return caller->admin || (caller->reads_root && !of_part);
}
