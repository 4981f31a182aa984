/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/branch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/format/key.h"

int th_fs_view_next_id(struct th_view *view, uint64_t *ret)
{
	struct th_fs_key key = th_fs_key_next_id();
	struct th_value value;
	int err = th_get(view, th_fs_key_slice(&key), &value);

	*ret = 0;
	if (err < 0)
		return err;
	if (value.size == sizeof(struct th_le64))
		*ret = th_get_le64(*(const struct th_le64 *)value.data);
	th_value_release(&value);
	return *ret > TH_ROOT_ID && *ret <= TH_ID_MAX ? 0 : -EUCLEAN;
}

/* After a crash, the log may have brought a head on that the mark does not know of. */
static int raise_by_head(struct th_store *store, const struct th_branch *branch)
{
	struct th_view *view;
	uint64_t next;
	int err = th_view_branch(store, branch->name, &view);

	if (!err) {
		err = th_fs_view_next_id(view, &next);
		th_view_close(view);
	}
	if (!err)
		th_store_raise_mark(store, next);
	/* one that is damaged, which was said, is no reason not to mount another; what was committed the mark knows */
	return err == -EBADMSG || err == -EUCLEAN || err == -EIO ? 0 : err;
}

int th_fs_next_id(struct th_store *store, uint64_t *ret)
{
	struct th_branch *list;
	size_t count;
	int err = th_fs_view_next_id(th_view_live(store), ret);

	if (!err)
		err = th_branch_list(store, &list, &count);
	if (err < 0)
		return err;
	th_store_raise_mark(store, *ret);
	for (size_t i = 0; i < count && !err; i++) {
		if (!list[i].detached && !list[i].current)
			err = raise_by_head(store, &list[i]);
	}
	free(list);
	*ret = th_store_mark(store);
	if (!err && *ret > TH_ID_MAX)
		err = -EUCLEAN;
	return err;
}

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
	return err < 0 ? err : th_branch_create(fs->store, name, from, ret);
}

int th_fs_branch_delete(struct th_fs *fs, const char *name, bool snapshots)
{
	struct th_snapshot *list;
	struct th_branch branch;
	size_t count;
	int err = th_fs_writable(fs);

	if (!err)
		err = th_branch_find(fs->store, name, &branch);
	if (!err)
		err = th_snapshot_list(fs->store, &list, &count);
	if (err < 0)
		return err;
	err = th_branch_delete(fs->store, name, snapshots);
	for (size_t i = 0; i < count && !err; i++) {
		if (list[i].branch == branch.id)
			th_fs_snapshot_gone(fs, &list[i]);
	}
	free(list);
	return err;
}

int th_fs_branch_rename(struct th_fs *fs, const char *from, const char *to)
{
	int err = th_fs_writable(fs);

	return err < 0 ? err : th_branch_rename(fs->store, from, to);
}

int th_fs_rollback(struct th_store *store, const char *snapshot, const char *keep)
{
	struct th_snapshot unused;
	uint64_t next;
	int err = th_fs_next_id(store, &next); /* what goes away has used ids */

	if (!err)
		err = th_snapshot_find(store, snapshot, &unused);
	if (!err && keep)
		err = th_snapshot_create(store, keep, NULL);
	return err < 0 ? err : th_store_rollback(store, snapshot);
}
