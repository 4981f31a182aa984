/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dir/link.h"

#include <errno.h>
#include <string.h>

#include "fs/dir/namei.h"
#include "fs/dir/orphan.h"

void th_link_parent(struct th_update *update, struct th_inode *dir, int entries, int subdirs)
{
	struct th_attr *attr = th_update_attr(update, dir);

	/* The counts of a damaged image may be too small: they do not become negative. */
	if (entries > 0 || attr->size)
		attr->size += (uint64_t)(int64_t)entries;
	if (subdirs > 0 || attr->nlink > 2)
		attr->nlink += (uint32_t)subdirs;
	attr->mtime = update->now;
	attr->ctime = update->now;
}

static bool is_primary(const struct th_attr *attr, uint64_t dir, struct th_slice name)
{
	return attr->parent == dir && attr->name_size == name.size && !memcmp(attr->name, name.data, name.size);
}

static int put_link(struct th_txn *txn, uint64_t id, uint64_t dir, struct th_slice name)
{
	struct th_fs_key key = th_fs_key_link(id, dir, name.data, name.size);

	return th_txn_put(txn, th_fs_key_slice(&key), (struct th_slice){ "", 0 });
}

static int delete_link(struct th_txn *txn, uint64_t id, uint64_t dir, struct th_slice name)
{
	struct th_fs_key key = th_fs_key_link(id, dir, name.data, name.size);

	return th_txn_delete(txn, th_fs_key_slice(&key));
}

static int add_first(struct th_update *update, struct th_inode *inode, uint64_t dir, struct th_slice name)
{
	int err = th_update_name(update, inode, dir, name);

	return err ? err : th_orphan_remove(update->txn, inode);
}

int th_link_add(struct th_update *update, struct th_inode *inode, uint64_t dir, struct th_slice name)
{
	struct th_attr *attr = th_update_attr(update, inode);
	struct th_fs_key key = th_fs_key_inode(inode->id);
	int err = th_txn_ref(update->txn, th_fs_key_slice(&key), 1);

	if (!err)
		err = attr->nlink ? put_link(update->txn, inode->id, dir, name) : add_first(update, inode, dir, name);
	attr->nlink++;
	attr->ctime = update->now;
	return err;
}

/* Makes another name the primary name. */
static int promote(struct th_update *update, struct th_inode *inode)
{
	struct th_fs_key prefix = th_fs_key_kind(inode->id, TH_FS_KEY_LINK);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);
	struct th_fs_key_parts parts;
	struct th_cursor_entry at;
	struct th_cursor *cursor;
	int err = th_txn_cursor(update->txn, &range, &cursor);

	if (err)
		return err;
	int end = th_cursor_next(cursor, &at);

	if (end < 0) {
		err = end;
	} else if (end) {
		th_fs_report(inode->fs, "inode %llu: has more links than names; run 'thunderhead check'",
			     (unsigned long long)inode->id);
		err = th_update_name(update, inode, 0, (struct th_slice){ "", 0 });
	} else {
		err = th_fs_key_parse(at.key, &parts);
		if (!err)
			err = th_update_name(update, inode, parts.number, parts.name);
	}
	th_cursor_close(cursor);
	const struct th_attr *attr = th_update_attr(update, inode);

	if (!err && attr->parent)
		err = delete_link(update->txn, inode->id, attr->parent,
				  (struct th_slice){ attr->name, attr->name_size });
	return err;
}

int th_link_remove(struct th_update *update, struct th_inode *inode, uint64_t dir, struct th_slice name)
{
	struct th_attr *attr = th_update_attr(update, inode);
	struct th_fs_key key = th_fs_key_inode(inode->id);
	int err = th_txn_ref(update->txn, th_fs_key_slice(&key), -1);

	if (err)
		return err;
	attr->ctime = update->now;
	if (th_inode_is_dir(inode) || attr->nlink <= 1) {
		attr->nlink = 0;
		err = th_update_name(update, inode, 0, (struct th_slice){ "", 0 });
		return err ? err : th_orphan_add(update->txn, inode);
	}
	attr->nlink--;
	if (is_primary(attr, dir, name))
		return promote(update, inode);
	return delete_link(update->txn, inode->id, dir, name);
}

int th_link_move(struct th_update *update, struct th_inode *inode, uint64_t from_dir, struct th_slice from,
		 uint64_t to_dir, struct th_slice to)
{
	struct th_attr *attr = th_update_attr(update, inode);

	attr->ctime = update->now;
	if (is_primary(attr, from_dir, from))
		return th_update_name(update, inode, to_dir, to);
	int err = delete_link(update->txn, inode->id, from_dir, from);

	return err ? err : put_link(update->txn, inode->id, to_dir, to);
}

/* --- symlinks --- */

int th_symlink_store(struct th_txn *txn, const struct th_inode *inode, struct th_slice target)
{
	struct th_fs_key key = th_fs_key_extent(inode->id, 0);
	struct th_extent_disk head = { .kind = TH_EXTENT_INLINE };
	uint8_t value[sizeof(head) + TH_SYMLINK_MAX];

	memcpy(value, &head, sizeof(head));
	memcpy(value + sizeof(head), target.data, target.size);
	return th_txn_put(txn, th_fs_key_slice(&key), (struct th_slice){ value, sizeof(head) + target.size });
}

int th_symlink_read(struct th_inode *inode, char *target)
{
	struct th_fs_key key = th_fs_key_extent(inode->id, 0);
	struct th_extent_disk head;
	struct th_value value;

	if (!S_ISLNK(inode->type))
		return -EINVAL;
	int err = th_get(th_inode_view(inode), th_fs_key_slice(&key), &value);

	if (err)
		return err == -ENOENT ? -EUCLEAN : err;
	if (value.size < sizeof(head) || value.size > sizeof(head) + TH_SYMLINK_MAX) {
		err = -EUCLEAN;
	} else {
		size_t size = value.size - sizeof(head);

		memcpy(&head, value.data, sizeof(head));
		memcpy(target, (const char *)value.data + sizeof(head), size);
		target[size] = 0;
		if (head.kind != TH_EXTENT_INLINE || !size || memchr(target, 0, size))
			err = -EUCLEAN;
	}
	th_value_release(&value);
	return err;
}
