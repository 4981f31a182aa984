/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dir/orphan.h"

#include <errno.h>
#include <string.h>

#include "fs/data/file.h"
#include "fs/inode/atime_record.h"
#include "fs/inode/dirty_list.h"

int th_orphan_add(struct th_txn *txn, const struct th_inode *inode)
{
	struct th_fs_key key = th_fs_key_orphan(inode->id);

	return th_txn_put(txn, th_fs_key_slice(&key), (struct th_slice){ "", 0 });
}

int th_orphan_remove(struct th_txn *txn, const struct th_inode *inode)
{
	struct th_fs_key key = th_fs_key_orphan(inode->id);

	return th_txn_delete(txn, th_fs_key_slice(&key));
}

/* Attributes that are deleted one by one.  A delete of a range goes to the leaf at once, as it may hide many records
 * (N6 in docs/architecture.md), so that files removed in random order cost the write of a leaf each.  With more
 * attributes the range is cheaper than so many messages. */
#define SINGLE_XATTRS 16

/* Stages the deletion of the attributes that the cursor finds.  Returns 0, 1 if there are more than SINGLE_XATTRS, or
 * -errno. */
static int delete_found(struct th_txn *txn, struct th_cursor *cursor)
{
	for (unsigned i = 0; i <= SINGLE_XATTRS; i++) {
		struct th_cursor_entry at;
		int end = th_cursor_next(cursor, &at);

		if (end)
			return end < 0 ? end : 0;
		end = th_txn_delete(txn, at.key);
		if (end)
			return end;
	}
	return 1;
}

static int delete_xattrs(struct th_txn *txn, const struct th_inode *inode)
{
	struct th_fs_key prefix = th_fs_key_kind(inode->id, TH_FS_KEY_XATTR);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);
	struct th_cursor *cursor;
	int err;

	if (inode->xattr_state == TH_XATTR_NONE)
		return 0;
	err = th_cursor_open(th_inode_view(inode), &range, &cursor);
	if (err)
		return err;
	err = delete_found(txn, cursor);
	th_cursor_close(cursor);
	return err ? th_txn_delete_range(txn, range) : 0; /* works also if they cannot be read */
}

static int delete_target(struct th_txn *txn, const struct th_inode *inode)
{
	struct th_fs_key key = th_fs_key_extent(inode->id, 0);

	return S_ISLNK(inode->attr.mode) ? th_txn_delete(txn, th_fs_key_slice(&key)) : 0;
}

/* Stages one step of the deletion.  Returns 1 if more steps follow, 0 after the last one, or -errno. */
static int delete_step(struct th_txn *txn, struct th_inode *inode)
{
	struct th_fs_key key = th_fs_key_inode(inode->id);
	int err = S_ISREG(inode->attr.mode) ? th_file_drop(txn, inode) : delete_target(txn, inode);

	if (err)
		return err;
	err = delete_xattrs(txn, inode);
	if (!err)
		err = th_atime_record_delete(txn, inode);
	if (!err)
		err = th_txn_delete(txn, th_fs_key_slice(&key));
	if (!err)
		err = th_orphan_remove(txn, inode);
	return err;
}

static int delete_all(struct th_inode *inode)
{
	int more = 1;

	while (more == 1) {
		struct th_txn *txn;
		int err = th_txn_begin(inode->fs->store, &txn);

		if (err)
			return err;
		more = delete_step(txn, inode);
		if (more < 0) {
			th_txn_rollback(txn);
			return more;
		}
		err = th_txn_commit(txn);
		if (err)
			return err;
	}
	return 0;
}

bool th_orphan_delete(struct th_inode *inode)
{
	pthread_rwlock_wrlock(&inode->lock);
	int err = delete_all(inode);

	atomic_fetch_add(&inode->fs->uncounted_blocks, inode->stored_blocks);
	bool was_dirty = th_dirty_remove(inode);

	inode->deleted = true;
	pthread_rwlock_unlock(&inode->lock);
	if (err)
		th_fs_report(inode->fs,
			     "inode %llu: it has no name, and cannot be deleted: %s; the next mount will retry",
			     (unsigned long long)inode->id, strerror(-err));
	return was_dirty;
}

/* --- at mount --- */

static int remove_key(struct th_fs *fs, uint64_t id)
{
	struct th_fs_key key = th_fs_key_orphan(id);
	struct th_txn *txn;
	int err = th_txn_begin(fs->store, &txn);

	if (err)
		return err;
	err = th_txn_delete(txn, th_fs_key_slice(&key));
	if (err) {
		th_txn_rollback(txn);
		return err;
	}
	return th_txn_commit(txn);
}

static int recover_one(struct th_fs *fs, uint64_t id)
{
	struct th_inode *inode;
	int err = th_inode_get(fs, NULL, id, &inode);

	if (err == -ENOENT)
		return remove_key(fs, id);
	if (err)
		return err;
	bool unnamed = id != TH_ROOT_ID && !inode->attr.parent;

	if (unnamed) {
		inode->attr.nlink = 0; /* of a directory the stored count is never 0 */
	} else {
		th_fs_report(
			fs, "inode %llu: it has a name, but also an orphan key; the key was removed, the inode is kept",
			(unsigned long long)id);
		err = remove_key(fs, id);
	}
	th_inode_put(inode);
	return err;
}

/* Finds the smallest orphan id above `after`.  Returns 0, 1 if there is none, or -errno. */
static int next_orphan(struct th_fs *fs, uint64_t after, uint64_t *ret)
{
	struct th_fs_key prefix = th_fs_key_kind(0, TH_FS_KEY_ORPHAN);
	struct th_fs_key from = th_fs_key_orphan(after + 1);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);
	struct th_cursor_entry at;
	struct th_fs_key_parts parts;
	struct th_cursor *cursor;

	range.from = th_fs_key_slice(&from);
	int err = th_cursor_open(fs->live, &range, &cursor);

	if (err)
		return err;
	int end = th_cursor_next(cursor, &at);

	if (!end)
		end = th_fs_key_parse(at.key, &parts);
	if (!end)
		*ret = parts.number;
	th_cursor_close(cursor);
	return end;
}

int th_orphan_recover(struct th_fs *fs)
{
	uint64_t id = 0;
	int end;

	while (!(end = next_orphan(fs, id, &id))) {
		int err = recover_one(fs, id);

		if (err)
			return err;
	}
	return end < 0 ? end : 0;
}
