/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/snapshot/branch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/inode/inode_id.h"
#include "fs/snapshot/snapshot.h"

int th_fs_branch_create(struct th_fs *fs, const char *name, const char *from, struct th_branch *ret)
{
	char origin[TH_BRANCH_NAME_MAX + sizeof(TH_FS_BRANCH_ORIGIN)];
	int err = th_fs_writable(fs);

	if (!err && strlen(name) > TH_BRANCH_NAME_MAX)
		err = -ENAMETOOLONG;
	if (!err && !th_branch_find(fs->store, name, NULL))
		err = -EEXIST;
	if (!err && !from) {
		from = strcat(strcpy(origin, name), TH_FS_BRANCH_ORIGIN);
		err = *name ? th_fs_snapshot_create(fs, origin, NULL) : -EINVAL;
	}
	return err ? err : th_branch_create(fs->store, name, from, ret);
}

int th_fs_branch_delete(struct th_fs *fs, const char *name, bool snapshots)
{
	struct th_snapshot *list;
	size_t count;
	int err = th_fs_writable(fs);

	if (!err)
		err = th_snapshot_list(fs->store, &list, &count);
	if (err)
		return err;
	err = th_branch_delete(fs->store, name, snapshots);
	for (size_t i = 0; i < count && !err; i++) {
		struct th_snapshot unused;

		/* Before the deletion, a promotion may have moved snapshots from one branch to another. */
		if (th_snapshot_find_id(fs->store, list[i].id, &unused))
			th_fs_snapshot_deleted_with_branch(fs, &list[i]);
	}
	free(list);
	return err;
}

int th_fs_branch_rename(struct th_fs *fs, const char *from, const char *to)
{
	int err = th_fs_writable(fs);

	return err ? err : th_branch_rename(fs->store, from, to);
}

int th_fs_branch_promote(struct th_fs *fs, const char *name)
{
	int err = th_fs_writable(fs);

	if (!err)
		err = th_branch_promote(fs->store, name);
	return err > 0 ? -ENOLINK : err;
}

int th_fs_rollback(struct th_store *store, const char *snapshot, const char *keep)
{
	struct th_snapshot unused;
	uint64_t next;
	int err = th_fs_next_id(store, &next); /* raises the mark: the abandoned head has used ids */

	if (!err)
		err = th_snapshot_find(store, snapshot, &unused);
	if (!err && keep)
		err = th_snapshot_create(store, keep, NULL);
	return err ? err : th_store_rollback(store, snapshot);
}
