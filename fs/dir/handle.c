/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dir/handle.h"

#include <errno.h>

#include "fs/dir/namei.h"
#include "fs/dir/snapdir.h"

/* Returns whether the inode has a name; in a snapshot also, whether that was not deleted. */
static bool is_shown(struct th_inode *inode)
{
	if (th_inode_is_snapdir(inode))
		return true;
	pthread_rwlock_rdlock(&inode->lock);
	bool shown = inode->attr.nlink && (!inode->snapshot || !inode->snapshot->deleted);

	pthread_rwlock_unlock(&inode->lock);
	return shown;
}

static int find_snapdir(struct th_fs *fs, uint64_t id, struct th_inode **ret)
{
	struct th_inode *dir;
	int err = th_inode_get(fs, NULL, id, &dir);

	if (err)
		return err;
	bool exists = th_inode_is_dir(dir) && is_shown(dir) && th_snapdir_exists(dir);

	th_inode_put(dir);
	return exists ? th_inode_get_snapdir(fs, id, ret) : -ENOENT;
}

/* Finds a directory of a snapshot that was entered at a depth.  It is that deep, or deeper. */
static int find_entered(struct th_fs *fs, struct th_entered_snapshot *snapshot, struct th_node_parts parts,
			struct th_inode **ret)
{
	unsigned depth;
	int err = th_snapdir_depth(fs, snapshot, parts.id, &depth);

	if (!err && depth < parts.depth)
		err = -ENOENT;
	if (!err)
		err = th_inode_get_entered(fs, snapshot, parts.depth, parts.id, ret);
	if (!err && depth == parts.depth)
		(*ret)->entrance = true;
	return err;
}

static int find_in_snapshot(struct th_fs *fs, struct th_node_parts parts, struct th_inode **ret)
{
	struct th_entered_snapshot *snapshot;
	int err = th_entered_snapshot_get(fs, parts.snapshot, &snapshot);

	if (err)
		return err;
	err = parts.depth ? find_entered(fs, snapshot, parts, ret) : th_inode_get(fs, snapshot, parts.id, ret);
	th_entered_snapshot_put(fs, snapshot); /* the inode has its own reference */
	return err;
}

static int find(struct th_fs *fs, uint64_t node, struct th_inode **ret)
{
	struct th_node_parts parts = th_node_id_parse(node);

	*ret = th_inode_find(fs, node);
	if (*ret)
		return 0;
	if (!parts.snapshot)
		return th_inode_get(fs, fs->base, parts.id, ret);
	if (fs->base || fs->options.snapdir == TH_SNAPDIR_DISABLED)
		return -ENOENT;
	return parts.snapshot == TH_SNAPDIR_SNAPSHOT ? find_snapdir(fs, parts.id, ret)
						     : find_in_snapshot(fs, parts, ret);
}

/* Directories followed upwards before a circle is assumed, which only a damaged image has.  Real trees are never that
 * deep; handles of what is deeper are stale. */
#define DEPTH_MAX (1u << 24)

/* Returns 0 if the root of a mount with subdir= is above the inode, in the live tree or in the inode's snapshot.  Of a
 * file with several names only the primary one counts. */
static int check_below_root(struct th_inode *inode)
{
	struct th_fs *fs = inode->fs;
	struct th_inode *at;
	uint64_t id = inode->id;

	for (unsigned depth = 0; id != fs->root->id; depth++) {
		int err = id == TH_ROOT_ID || depth > DEPTH_MAX ? -ENOENT : th_inode_get(fs, inode->snapshot, id, &at);

		if (err)
			return err;
		id = at->parent;
		th_inode_put(at);
		if (!id)
			return -ENOENT;
	}
	return 0;
}

int th_handle_find(struct th_fs *fs, uint64_t node, struct th_inode **ret)
{
	int err = find(fs, node, ret);

	if (!err) {
		if (!is_shown(*ret))
			err = -ENOENT;
		else if (fs->root->id != TH_ROOT_ID)
			err = check_below_root(*ret);
		if (err)
			th_inode_put(*ret);
	}
	return err == -ENOENT ? -ESTALE : err;
}
