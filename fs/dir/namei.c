/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dir/namei.h"

#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "fs/data/writeback.h"
#include "fs/dir/acl_inherit.h"
#include "fs/dir/dir.h"
#include "fs/dir/link.h"
#include "fs/dir/orphan.h"
#include "fs/dir/snapdir.h"
#include "fs/inode/dirty_list.h"
#include "fs/inode/moment.h"
#include "fs/inode/retry.h"
#include "fs/inode/update.h"

/* --- lookup --- */

/* Takes no lock, since both steps may wait for the disk: writeback, and threads that change the directory, would wait
 * as long as other threads look up one name after another.  An inode that is gone at the second step has lost the name
 * in between; another inode may have it now, so the lookup is repeated until an id fails twice. */
static int lookup_entry(struct th_inode *dir, struct th_slice name, struct th_inode **ret)
{
	struct th_dirent entry = { .id = 0 };
	uint64_t gone;
	int err;

	do {
		gone = entry.id;
		err = th_dir_find(dir, name, &entry);
		if (err)
			return err;
		err = th_inode_get_by(dir, entry.id, entry.type == DT_DIR, ret);
	} while (err == -ENOENT && entry.id != gone);
	return err;
}

int th_namei_lookup(struct th_inode *dir, struct th_slice name, struct th_inode **ret)
{
	if (name.size > TH_NAME_MAX)
		return -ENAMETOOLONG;
	if (!th_inode_is_dir(dir))
		return -ENOTDIR;
	if (th_inode_is_snapdir(dir))
		return th_snapdir_lookup(dir, name, ret);
	int err = lookup_entry(dir, name, ret);

	if ((err == -ENOENT || th_fs_lenient(dir->fs, err)) && th_snapdir_is_name(dir, name))
		return th_inode_get_snapdir(dir->fs, dir->id, ret);
	return err;
}

int th_namei_parent(struct th_inode *dir, struct th_inode **ret)
{
	struct th_fs *fs = dir->fs;

	if (th_inode_is_snapdir(dir))
		return th_inode_get(fs, NULL, dir->id, ret);
	if (th_inode_is_entrance(dir))
		return th_inode_get_snapdir(fs, dir->id, ret);
	pthread_rwlock_rdlock(&dir->lock);
	uint64_t parent = dir == fs->root ? dir->id : dir->attr.parent;

	pthread_rwlock_unlock(&dir->lock);
	return parent ? th_inode_get_by(dir, parent, true, ret) : -ENOENT;
}

int th_path_lookup(struct th_fs *fs, struct th_entered_snapshot *snapshot, const char *path, struct th_inode **ret)
{
	struct th_inode *inode, *next;
	int err = th_inode_get(fs, snapshot, TH_ROOT_ID, &inode);

	for (path += strspn(path, "/"); !err && *path; path += strspn(path, "/")) {
		struct th_slice name = { path, strcspn(path, "/") };

		path += name.size;
		if (name.size == 1 && path[-1] == '.')
			continue;
		err = th_dir_check_name(name);
		if (!err)
			err = th_inode_is_dir(inode) ? lookup_entry(inode, name, &next) : -ENOTDIR;
		th_inode_put(inode);
		inode = err ? NULL : next;
	}
	if (!err)
		*ret = inode;
	return err;
}

/* --- checks before a change --- */

/* Checks whether names in this directory can change at all. */
static int check_dir(const struct th_inode *dir)
{
	if (dir->snapshot || th_inode_is_snapdir(dir) || th_fs_writable(dir->fs))
		return -EROFS;
	return th_inode_is_dir(dir) ? 0 : -ENOTDIR;
}

/* Checks whether this name may be created.  dir->lock held. */
static int check_new_name(const struct th_inode *dir, struct th_slice name)
{
	if (!dir->attr.nlink)
		return -ENOENT;
	if (th_snapdir_is_name(dir, name))
		return -EEXIST;
	if (dir->attr.flags & FS_IMMUTABLE_FL)
		return -EPERM;
	return th_dir_check_name(name);
}

/* Checks whether this name may be removed.  dir->lock held. */
static int check_old_name(const struct th_inode *dir, struct th_slice name)
{
	if (dir->attr.flags & (FS_IMMUTABLE_FL | FS_APPEND_FL))
		return -EPERM;
	return th_dir_check_name(name);
}

/* Checks whether the inode may get or lose a name.  inode->lock held. */
static int check_inode(const struct th_inode *inode)
{
	return inode->attr.flags & (FS_IMMUTABLE_FL | FS_APPEND_FL) ? -EPERM : 0;
}

static uint8_t mode_type(uint32_t mode)
{
	return (uint8_t)IFTODT(mode);
}

/* --- create and link --- */

static struct th_attr new_attr(const struct th_inode *dir, struct th_slice name, const struct th_namei_new *new,
			       uint32_t mode)
{
	struct th_time now = th_time_now();
	struct th_attr attr = {
		.mode = mode,
		.uid = new->uid,
		.gid = new->gid,
		.flags = th_attr_inherit_flags(dir->attr.flags, mode),
		.nlink = S_ISDIR(mode) ? 2 : name.size > 0,
		.size = new->target.size,
		.rdev = new->rdev,
		.atime = now,
		.mtime = now,
		.ctime = now,
		.btime = now,
		.parent = name.size ? dir->id : 0,
		.name = name.data,
		.name_size = (uint16_t)name.size,
	};

	if (dir->attr.mode & S_ISGID) {
		attr.gid = dir->attr.gid;
		if (S_ISDIR(attr.mode))
			attr.mode |= S_ISGID;
	}
	return attr;
}

/* Stages the new inode and the reference of its name. */
static int stage_inode(struct th_update *update, struct th_inode *inode, const struct th_namei_new *new)
{
	struct th_fs_key key = th_fs_key_inode(inode->id);
	int err = S_ISLNK(new->mode) ? th_symlink_store(update->txn, inode, new->target) : 0;

	if (!err)
		err = th_txn_ref(update->txn, th_fs_key_slice(&key), 1);
	if (!err)
		th_update_attr(update, inode);
	return err;
}

static int stage_name(struct th_update *update, struct th_inode *dir, struct th_inode *inode,
		      const struct th_namei_new *new)
{
	const struct th_attr *attr = &inode->attr;
	struct th_slice name = { attr->name, attr->name_size };
	int err = th_dir_add(update->txn, dir, name, inode->id, mode_type(attr->mode));

	if (!err)
		err = stage_inode(update, inode, new);
	if (!err)
		th_link_parent(update, dir, 1, S_ISDIR(attr->mode) ? 1 : 0);
	return err;
}

/* An inode without a name is an orphan from the beginning. */
static int stage_unnamed(struct th_update *update, struct th_inode *inode)
{
	th_update_attr(update, inode);
	return th_orphan_add(update->txn, inode);
}

/* name.size 0: no name. */
static int create_with(struct th_inode *dir, struct th_slice name, const struct th_namei_new *new,
		       const struct th_acl_inheritance *inherited, struct th_inode **ret)
{
	struct th_attr attr = new_attr(dir, name, new, inherited->mode);
	struct th_update update;
	struct th_inode *inode;
	int err = th_inode_new(dir->fs, &attr, &inode);

	if (err)
		return err;
	err = th_update_begin(&update, dir->fs);
	if (!err) {
		err = th_acl_inheritance_stage(inherited, update.txn, inode);
		if (!err)
			err = name.size ? stage_name(&update, dir, inode, new) : stage_unnamed(&update, inode);
		err = th_update_end(&update, err);
	}
	if (err) {
		inode->deleted = true;
		th_inode_put(inode);
		return err;
	}
	inode->linkable = !name.size;
	*ret = inode;
	return 0;
}

static int create_locked(struct th_inode *dir, struct th_slice name, const struct th_namei_new *new,
			 struct th_inode **ret)
{
	struct th_acl_inheritance inherited;
	int err = check_new_name(dir, name);

	if (!err)
		err = th_acl_inheritance_init(&inherited, dir, new->mode, new->umask);
	if (err)
		return err;
	err = create_with(dir, name, new, &inherited, ret);
	th_acl_inheritance_release(&inherited);
	return err;
}

int th_namei_create(struct th_inode *dir, struct th_slice name, const struct th_namei_new *new, struct th_inode **ret)
{
	int err = check_dir(dir);

	if (err)
		return err;
	if (new->target.size > TH_SYMLINK_MAX)
		return -ENAMETOOLONG;
	return TH_RETRY_LOCKED(dir, create_locked(dir, name, new, ret));
}

static int create_unnamed_locked(struct th_inode *dir, const struct th_namei_new *new, struct th_inode **ret)
{
	struct th_acl_inheritance inherited;
	/* A removed directory is -EPERM here, not -ENOENT: no name is looked up in it. */
	int err = dir->attr.flags & FS_IMMUTABLE_FL || !dir->attr.nlink ? -EPERM : 0;

	if (!err)
		err = th_acl_inheritance_init(&inherited, dir, new->mode, new->umask);
	if (err)
		return err;
	err = create_with(dir, (struct th_slice){ "", 0 }, new, &inherited, ret);
	th_acl_inheritance_release(&inherited);
	return err;
}

int th_namei_create_unnamed(struct th_inode *dir, const struct th_namei_new *new, struct th_inode **ret)
{
	int err = check_dir(dir);

	if (err)
		return err;
	return TH_RETRY_LOCKED(dir, create_unnamed_locked(dir, new, ret));
}

static int link_locked(struct th_inode *inode, struct th_inode *dir, struct th_slice name)
{
	struct th_update update;
	int err = check_new_name(dir, name);

	if (!err)
		err = check_inode(inode);
	if (err)
		return err;
	if (!inode->attr.nlink && !inode->linkable)
		return -ENOENT;
	if (inode->attr.nlink >= TH_LINK_MAX)
		return -EMLINK;
	err = th_update_begin(&update, dir->fs);
	if (err)
		return err;
	err = th_dir_add(update.txn, dir, name, inode->id, mode_type(inode->attr.mode));
	if (!err)
		err = th_link_add(&update, inode, dir->id, name);
	if (!err)
		th_link_parent(&update, dir, 1, 0);
	err = th_update_end(&update, err);
	if (!err)
		inode->linkable = false;
	/* Writeback may have skipped it while it had no name. */
	if (!err && th_writeback_needed(inode))
		th_dirty_add(inode);
	return err;
}

/* Data of an inode without a name is not written back, so together with the name it is a delayed change. */
static int try_link(struct th_inode *inode, struct th_inode *dir, struct th_slice name)
{
	th_moment_enter(dir->fs);
	pthread_rwlock_wrlock(&dir->lock);
	pthread_rwlock_wrlock(&inode->lock);
	int err = TH_NOWAIT(link_locked(inode, dir, name));

	pthread_rwlock_unlock(&inode->lock);
	pthread_rwlock_unlock(&dir->lock);
	th_moment_leave(dir->fs);
	return err;
}

int th_namei_link(struct th_inode *inode, struct th_inode *dir, struct th_slice name)
{
	int err = check_dir(dir);

	if (err)
		return err;
	if (inode->snapshot || th_inode_is_snapdir(inode))
		return -EXDEV;
	if (th_inode_is_dir(inode))
		return -EPERM;
	return TH_RETRY(try_link(inode, dir, name));
}

/* --- unlink and rmdir --- */

/* dir->lock and inode->lock held. */
static int remove_locked(struct th_inode *dir, struct th_slice name, struct th_inode *inode)
{
	struct th_update update;
	bool is_dir = th_inode_is_dir(inode);
	int err = check_inode(inode);

	if (!err && is_dir)
		err = th_dir_check_empty(inode);
	if (!err)
		err = th_update_begin(&update, dir->fs);
	if (err)
		return err;
	err = th_dir_remove(update.txn, dir, name);
	if (!err)
		err = th_link_remove(&update, inode, dir->id, name);
	if (!err)
		th_link_parent(&update, dir, -1, is_dir ? -1 : 0);
	return th_update_end(&update, err);
}

static int remove_found(struct th_inode *dir, struct th_slice name, struct th_inode *inode)
{
	pthread_rwlock_wrlock(&inode->lock);
	int err = TH_NOWAIT(remove_locked(dir, name, inode));

	pthread_rwlock_unlock(&inode->lock);
	return err;
}

static int try_remove(struct th_inode *dir, struct th_slice name, bool directory)
{
	struct th_inode *inode = NULL;
	struct th_dirent entry;
	int err;

	pthread_rwlock_wrlock(&dir->lock);
	err = check_old_name(dir, name);
	if (!err)
		err = TH_NOWAIT(th_dir_find(dir, name, &entry));
	if (err == -ENOENT && th_snapdir_is_name(dir, name))
		err = -EPERM;
	if (!err && directory != (entry.type == DT_DIR))
		err = directory ? -ENOTDIR : -EISDIR;
	if (!err)
		err = th_inode_get(dir->fs, NULL, entry.id, &inode);
	/* Only a manipulated image has a directory that contains itself, or an entry of another type than its inode. */
	if (!err && (th_inode_is_dir(inode) != directory || inode == dir))
		err = -EUCLEAN;
	if (!err)
		err = remove_found(dir, name, inode);
	pthread_rwlock_unlock(&dir->lock);
	th_inode_put(inode);
	return err;
}

static int remove_name(struct th_inode *dir, struct th_slice name, bool directory)
{
	int err = check_dir(dir);

	return err ? err : TH_RETRY(try_remove(dir, name, directory));
}

int th_namei_unlink(struct th_inode *dir, struct th_slice name)
{
	return remove_name(dir, name, false);
}

int th_namei_rmdir(struct th_inode *dir, struct th_slice name)
{
	return remove_name(dir, name, true);
}
