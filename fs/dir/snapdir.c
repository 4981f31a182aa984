/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dir/snapdir.h"

#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/snapshot/snapshot.h"

bool th_snapdir_is_name(const struct th_inode *dir, struct th_slice name)
{
	const struct th_fs_options *options = &dir->fs->options;

	if (dir->snapshot || th_inode_is_snapdir(dir) || options->snapdir == TH_SNAPDIR_DISABLED)
		return false;
	if (options->snapdir_root_only && dir != dir->fs->root)
		return false;
	return name.size == strlen(options->snapdir_name) && !memcmp(name.data, options->snapdir_name, name.size);
}

/* Returns whether the directory has an entry of this name, which takes the place of the virtual directory. */
static bool has_own(const struct th_inode *dir)
{
	const char *name = dir->fs->options.snapdir_name;
	struct th_dirent entry;

	return !th_dir_find(dir, (struct th_slice){ name, strlen(name) }, &entry);
}

bool th_snapdir_exists(const struct th_inode *dir)
{
	const struct th_fs_options *options = &dir->fs->options;

	if (dir->snapshot || th_inode_is_snapdir(dir) || options->snapdir == TH_SNAPDIR_DISABLED)
		return false;
	return (!options->snapdir_root_only || dir == dir->fs->root) && !has_own(dir);
}

bool th_snapdir_is_listed(const struct th_inode *dir)
{
	enum th_snapdir_mode mode = dir->fs->options.snapdir;

	if (mode != TH_SNAPDIR_VISIBLE && (mode != TH_SNAPDIR_ROOT || dir != dir->fs->root))
		return false;
	return th_snapdir_exists(dir);
}

/* --- attributes --- */

/* The kernel checks these against the caller before it sends a request.  So the owner shown is the one that may change
 * snapshots besides root (snapshot/permission.h). */
static void show_owner(struct th_inode *snapdir, const struct th_attr *root)
{
	const struct th_fs_options *options = &snapdir->fs->options;
	bool changeable = options->snapdir == TH_SNAPDIR_HIDDEN && options->snapshots != TH_SNAPSHOTS_NONE;

	snapdir->attr.mode = S_IFDIR | (changeable ? 0755 : 0555);
	snapdir->attr.uid = options->snapshots == TH_SNAPSHOTS_OWNER ? root->uid : options->mounted_by;
	snapdir->attr.gid = root->gid;
}

int th_snapdir_refresh(struct th_inode *snapdir)
{
	struct th_inode *root = snapdir->fs->root;
	uint64_t changed_ns = atomic_load(&snapdir->fs->snapshots_changed_ns);
	struct th_snapshot *list;
	size_t count;
	int err = th_snapshot_list(snapdir->fs->store, &list, &count);

	if (err)
		return err;
	pthread_rwlock_rdlock(&root->lock);
	struct th_attr attr = root->attr;

	pthread_rwlock_unlock(&root->lock);
	pthread_rwlock_wrlock(&snapdir->lock);
	show_owner(snapdir, &attr);
	snapdir->attr.nlink = 2 + (uint32_t)count;
	snapdir->attr.size = count;
	if (count && list[count - 1].created_ns > changed_ns)
		changed_ns = list[count - 1].created_ns;
	snapdir->attr.mtime = changed_ns ? th_time_of_ns(changed_ns) : attr.btime;
	snapdir->attr.ctime = snapdir->attr.mtime;
	snapdir->attr.atime = snapdir->attr.mtime;
	pthread_rwlock_unlock(&snapdir->lock);
	free(list);
	return 0;
}

/* --- lookup --- */

/* A directory without a name was an orphan when the snapshot was taken: it is not shown. */
static bool has_name(const struct th_attr *attr, uint64_t id)
{
	return S_ISDIR(attr->mode) && (attr->parent || id == TH_ROOT_ID);
}

/* Finds the parent of a directory in a snapshot. */
static int find_parent(struct th_fs *fs, struct th_entered_snapshot *snapshot, uint64_t id, uint64_t *ret)
{
	struct th_inode *dir;
	int err = th_inode_get(fs, snapshot, id, &dir);

	if (err)
		return err;
	*ret = dir->attr.parent; /* needs no lock: in a snapshot it never changes */
	if (!has_name(&dir->attr, id))
		err = -ENOENT;
	th_inode_put(dir);
	return err;
}

int th_snapdir_depth(struct th_fs *fs, struct th_entered_snapshot *snapshot, uint64_t id, unsigned *ret)
{
	unsigned depth = 0;

	for (; id != TH_ROOT_ID && depth <= TH_NODE_DEPTH_MAX; depth++) {
		int err = find_parent(fs, snapshot, id, &id);

		if (err)
			return err;
	}
	*ret = depth;
	return 0;
}

static int enter_at(struct th_fs *fs, struct th_entered_snapshot *snapshot, uint64_t id, struct th_inode **ret)
{
	unsigned depth;
	int err = th_snapdir_depth(fs, snapshot, id, &depth);

	if (!err)
		err = th_inode_get_entered(fs, snapshot, depth, id, ret);
	if (!err && th_node_id_parse((*ret)->node).depth)
		(*ret)->entrance = true;
	return err;
}

static int enter(struct th_inode *snapdir, uint64_t snapshot_id, struct th_inode **ret)
{
	struct th_fs *fs = snapdir->fs;
	struct th_entered_snapshot *snapshot;
	int err = th_entered_snapshot_get(fs, snapshot_id, &snapshot);

	if (err)
		return err;
	err = enter_at(fs, snapshot, snapdir->id, ret);
	th_entered_snapshot_put(fs, snapshot); /* the inode has its own reference */
	return err;
}

/* Copies a name to a string of TH_SNAPSHOT_NAME_MAX + 1 bytes, as the store's functions expect it. */
static int name_string(struct th_slice name, char *string)
{
	if (name.size > TH_SNAPSHOT_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(string, name.data, name.size);
	string[name.size] = 0;
	return strlen(string) == name.size ? 0 : -EINVAL;
}

int th_snapdir_lookup(struct th_inode *snapdir, struct th_slice name, struct th_inode **ret)
{
	char string[TH_SNAPSHOT_NAME_MAX + 1];
	struct th_snapshot snapshot;
	int err = name_string(name, string);

	if (!err)
		err = th_snapshot_find(snapdir->fs->store, string, &snapshot);
	return err ? err : enter(snapdir, snapshot.id, ret);
}

/* Returns 1 if the snapshot contains the directory, 0 if not, or -errno. */
static int is_in(struct th_inode *snapdir, uint64_t snapshot_id)
{
	struct th_fs_key key = th_fs_key_inode(snapdir->id);
	struct th_value value;
	struct th_attr attr;
	struct th_view *view;

	if (snapdir->id == TH_ROOT_ID)
		return 1;
	int err = th_view_snapshot(snapdir->fs->store, snapshot_id, &view);

	if (err)
		return err;
	err = th_get(view, th_fs_key_slice(&key), &value);
	if (!err) {
		err = th_inode_decode(value.data, value.size, value.refs, &attr);
		if (!err && !has_name(&attr, snapdir->id))
			err = -ENOENT;
		th_value_release(&value);
	}
	th_view_close(view);
	return err == -ENOENT ? 0 : err ? err : 1;
}

int th_snapdir_walk(struct th_inode *snapdir, uint64_t cookie, th_dir_each *each, void *arg)
{
	struct th_snapshot *list;
	size_t count;
	int ret = th_snapshot_list(snapdir->fs->store, &list, &count);

	if (ret)
		return ret;
	for (size_t i = 0; i < count && !ret; i++) {
		struct th_dirent entry = { .id = list[i].id, .type = DT_DIR };
		uint64_t next = list[i].id << 8;

		if (next <= cookie)
			continue;
		int in = is_in(snapdir, list[i].id);

		/* A snapshot that is deleted during the walk, or cannot be read, must not hide the others. */
		if (in > 0)
			ret = each(arg, (struct th_slice){ list[i].name, strlen(list[i].name) }, &entry, next);
	}
	free(list);
	return ret;
}

/* --- changes --- */

/* A program that deletes or copies a tree acts on each name that is listed, so a listed name must not stand for a
 * change of snapshots. */
static int check_changeable(const struct th_inode *snapdir)
{
	return snapdir->fs->options.snapdir == TH_SNAPDIR_HIDDEN ? 0 : -EPERM;
}

int th_snapdir_mkdir(struct th_inode *snapdir, struct th_slice name, struct th_inode **ret)
{
	char string[TH_SNAPSHOT_NAME_MAX + 1];
	struct th_snapshot snapshot;
	int err = check_changeable(snapdir);

	if (!err)
		err = name_string(name, string);
	if (!err)
		err = th_fs_snapshot_create(snapdir->fs, string, &snapshot);
	return err ? err : enter(snapdir, snapshot.id, ret);
}

/* Checks that the directory shows this snapshot, and copies the name to `string`. */
static int check_shown(struct th_inode *snapdir, struct th_slice name, char *string)
{
	struct th_inode *shown;
	int err = th_snapdir_lookup(snapdir, name, &shown);

	if (err)
		return err;
	th_inode_put(shown);
	return name_string(name, string);
}

int th_snapdir_rmdir(struct th_inode *snapdir, struct th_slice name)
{
	char string[TH_SNAPSHOT_NAME_MAX + 1];
	int err = check_changeable(snapdir);

	if (!err)
		err = check_shown(snapdir, name, string);
	return err ? err : th_fs_snapshot_delete_in(snapdir->fs, string, snapdir->id);
}

int th_snapdir_rename(struct th_inode *snapdir, struct th_slice from, struct th_slice to, unsigned flags)
{
	char from_string[TH_SNAPSHOT_NAME_MAX + 1], to_string[TH_SNAPSHOT_NAME_MAX + 1];
	int err = check_changeable(snapdir);

	if (!err && flags & ~(unsigned)RENAME_NOREPLACE)
		err = -EINVAL;
	if (!err)
		err = check_shown(snapdir, from, from_string);
	if (!err)
		err = name_string(to, to_string);
	if (!err && !strcmp(from_string, to_string))
		return flags & RENAME_NOREPLACE ? -EEXIST : 0;
	return err ? err : th_fs_snapshot_rename_in(snapdir->fs, from_string, to_string, snapdir->id);
}
