/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode/inode_id.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/format/key.h"

/* Ids reserved by one transaction.  A crash loses at most that many of the 2^40. */
#define ID_BATCH 1024

int th_fs_view_next_id(struct th_view *view, uint64_t *ret)
{
	struct th_fs_key key = th_fs_key_next_id();
	struct th_value value;
	int err = th_get(view, th_fs_key_slice(&key), &value);

	*ret = 0;
	if (err)
		return err;
	if (value.size == sizeof(struct th_le64))
		*ret = th_get_le64(*(const struct th_le64 *)value.data);
	th_value_release(&value);
	return *ret > TH_ROOT_ID && *ret <= TH_ID_MAX ? 0 : -EUCLEAN;
}

/* Raises the mark to the next id of another branch: after a crash, log replay may have moved its head past the mark. */
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
	/* A damaged head, which was reported, must not prevent the mount of another branch.  The mark covers the ids of
	 * its last checkpoint. */
	return err == -EBADMSG || err == -EUCLEAN || err == -EIO ? 0 : err;
}

int th_fs_next_id(struct th_store *store, uint64_t *ret)
{
	struct th_branch *list;
	size_t count;
	int err = th_fs_view_next_id(th_view_live(store), ret);

	if (!err)
		err = th_branch_list(store, &list, &count);
	if (err)
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

/* Reserves the next batch.  fs->id_lock held. */
static int reserve_ids(struct th_fs *fs)
{
	uint64_t upto = fs->reserved_id + ID_BATCH;
	struct th_fs_key key = th_fs_key_next_id();
	struct th_le64 value = th_le64(upto);
	struct th_txn *txn;

	if (upto > TH_ID_MAX)
		return -ENOSPC;
	int err = th_txn_begin(fs->store, &txn);

	if (err)
		return err;
	err = th_txn_put(txn, th_fs_key_slice(&key), (struct th_slice){ &value, sizeof(value) });
	if (err) {
		th_txn_rollback(txn);
		return err;
	}
	th_store_raise_mark(fs->store, upto);
	err = th_txn_commit(txn);
	if (err)
		return err;
	fs->reserved_id = upto;
	return 0;
}

int th_fs_new_id(struct th_fs *fs, uint64_t *ret)
{
	int err = th_fs_writable(fs);

	if (err)
		return err;
	pthread_mutex_lock(&fs->id_lock);
	if (fs->next_id == fs->reserved_id)
		err = reserve_ids(fs);
	if (!err)
		*ret = fs->next_id++;
	pthread_mutex_unlock(&fs->id_lock);
	return err;
}
