/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>

#include "fs/data/file.h"
#include "fs/data/file_pages.h"
#include "fs/data/writeback.h"
#include "fs/dir/dir.h"
#include "fs/dir/link.h"
#include "fs/dir/namei.h"
#include "fs/dir/snapdir.h"
#include "fs/inode/retry.h"
#include "fs/inode/update.h"

/* One side of a move: a name and its inode. */
struct side {
	struct th_inode *dir;
	struct th_slice name;
	struct th_dirent entry;
	struct th_inode *inode; /* NULL: the name does not exist */
};

struct move {
	struct side from, to;
	struct th_inode *whiteout; /* gets the old name; NULL: no inode does */
	unsigned flags;
	bool across; /* between two directories */
	bool held; /* L1 is held */
	struct th_inode *written; /* a file that was written back before the directories were locked; NULL: none was */
};

/* --- ancestors; L1 is held, so that no directory moves --- */

/* Ancestors that is_above follows before it fails with -ELOOP: a damaged image may have a cycle of parents.  Real trees
 * are never that deep; in one that is, some renames between directories fail. */
#define DEPTH_MAX (1u << 24)

/* Returns 1 if `id` is the directory or an ancestor of it, 0 if not, or -errno. */
static int is_above(struct th_inode *dir, uint64_t id)
{
	struct th_inode *at = th_inode_ref(dir);
	unsigned depth = 0;
	int err = 0;

	while (at->id != id && at->id != TH_ROOT_ID) {
		uint64_t parent_id = at->parent;
		struct th_inode *parent;

		if (!parent_id) /* a directory that was removed, also by another thread just now, has no ancestor */
			break;
		err = ++depth > DEPTH_MAX ? -ELOOP : th_inode_get(dir->fs, NULL, parent_id, &parent);
		if (err)
			break;
		th_inode_put(at);
		at = parent;
	}
	bool above = at->id == id;

	th_inode_put(at);
	return err ? err : above;
}

/* Locks the two directories in the order of L2. */
static int lock_dirs(struct move *move)
{
	struct th_inode *first = move->from.dir, *second = move->to.dir;

	if (move->across) {
		int second_above = is_above(first, second->id);
		int first_above = second_above ? 0 : is_above(second, first->id);

		if (second_above < 0 || first_above < 0)
			return second_above < 0 ? second_above : first_above;
		if (second_above || (!first_above && second->id < first->id)) {
			first = move->to.dir;
			second = move->from.dir;
		}
	}
	pthread_rwlock_wrlock(&first->lock);
	if (second != first)
		pthread_rwlock_wrlock(&second->lock);
	return 0;
}

static void unlock_dirs(struct move *move)
{
	pthread_rwlock_unlock(&move->from.dir->lock);
	if (move->across)
		pthread_rwlock_unlock(&move->to.dir->lock);
}

/* Locks the moved and the replaced inode in the order of L3: directories first, then by id. */
static void lock_inodes(struct move *move)
{
	struct th_inode *first = move->from.inode, *second = move->to.inode;

	if (second &&
	    (th_inode_is_dir(first) != th_inode_is_dir(second) ? th_inode_is_dir(second) : second->id < first->id)) {
		first = move->to.inode;
		second = move->from.inode;
	}
	pthread_rwlock_wrlock(&first->lock);
	if (second)
		pthread_rwlock_wrlock(&second->lock);
}

static void unlock_inodes(struct move *move)
{
	pthread_rwlock_unlock(&move->from.inode->lock);
	if (move->to.inode)
		pthread_rwlock_unlock(&move->to.inode->lock);
}

/* --- checks --- */

static int check_dirs(const struct move *move)
{
	for (int i = 0; i < 2; i++) {
		const struct side *side = i ? &move->to : &move->from;
		/* An append-only directory accepts new names, but keeps the names that it has. */
		uint32_t fixed = !i || side->inode ? FS_IMMUTABLE_FL | FS_APPEND_FL : FS_IMMUTABLE_FL;

		if (side->dir->attr.flags & fixed)
			return -EPERM;
	}
	return move->to.dir->attr.nlink ? 0 : -ENOENT;
}

/* Refuses to move a directory into itself, and to replace or exchange a directory that contains the moved inode. */
static int check_cycles(const struct move *move)
{
	if (move->across && th_inode_is_dir(move->from.inode)) {
		int above = is_above(move->to.dir, move->from.inode->id);

		if (above)
			return above < 0 ? above : -EINVAL;
	}
	if (move->across && move->to.inode && th_inode_is_dir(move->to.inode)) {
		int above = is_above(move->from.dir, move->to.inode->id);

		if (above)
			return above < 0 ? above : move->flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	}
	return 0;
}

static int check_types(const struct move *move)
{
	if (!move->to.inode || (move->flags & RENAME_EXCHANGE))
		return 0;
	bool is_dir = th_inode_is_dir(move->from.inode);

	if (is_dir != th_inode_is_dir(move->to.inode))
		return is_dir ? -ENOTDIR : -EISDIR;
	return 0;
}

/* The inodes are locked. */
static int check_inodes(const struct move *move)
{
	const uint32_t fixed = FS_IMMUTABLE_FL | FS_APPEND_FL;

	if (move->from.inode->attr.flags & fixed)
		return -EPERM;
	if (!move->to.inode)
		return 0;
	if (move->to.inode->attr.flags & fixed)
		return -EPERM;
	if ((move->flags & RENAME_EXCHANGE) || !th_inode_is_dir(move->to.inode))
		return 0;
	return th_dir_check_empty(move->to.inode);
}

/* --- staging --- */

static int stage_exchange(struct th_update *update, struct move *move)
{
	struct side *from = &move->from, *to = &move->to;
	int subdirs = (int)th_inode_is_dir(to->inode) - (int)th_inode_is_dir(from->inode);
	int err = th_dir_replace(update->txn, from->dir, from->name, from->entry, to->entry.id, to->entry.type);

	if (!err)
		err = th_dir_replace(update->txn, to->dir, to->name, to->entry, from->entry.id, from->entry.type);
	if (!err)
		err = th_link_move(update, from->inode, from->dir->id, from->name, to->dir->id, to->name);
	if (!err)
		err = th_link_move(update, to->inode, to->dir->id, to->name, from->dir->id, from->name);
	th_link_parent(update, from->dir, 0, subdirs);
	th_link_parent(update, to->dir, 0, -subdirs);
	return err;
}

/* --- whiteouts: character devices 0:0, with which overlay filesystems mark a name of a lower layer as removed --- */

static int whiteout_new(struct move *move)
{
	const struct side *from = &move->from;
	struct th_time now = th_time_now();
	struct th_attr attr = {
		.mode = S_IFCHR,
		.uid = from->dir->attr.uid,
		.gid = from->dir->attr.gid,
		.nlink = 1,
		.atime = now,
		.mtime = now,
		.ctime = now,
		.btime = now,
		.parent = from->dir->id,
		.name = from->name.data,
		.name_size = (uint16_t)from->name.size,
	};

	return move->flags & RENAME_WHITEOUT ? th_inode_new(from->dir->fs, &attr, &move->whiteout) : 0;
}

static int whiteout_stage(struct th_update *update, const struct move *move)
{
	const struct side *from = &move->from;
	struct th_fs_key key = th_fs_key_inode(move->whiteout->id);
	int err = th_dir_replace(update->txn, from->dir, from->name, from->entry, move->whiteout->id, DT_CHR);

	if (!err)
		err = th_txn_ref(update->txn, th_fs_key_slice(&key), 1);
	if (!err)
		th_update_attr(update, move->whiteout);
	return err;
}

/* Puts the whiteout, and discards it if the move failed (err). */
static void whiteout_put(struct move *move, int err)
{
	if (err && move->whiteout)
		move->whiteout->deleted = true;
	th_inode_put(move->whiteout);
	move->whiteout = NULL;
}

static int stage_move(struct th_update *update, struct move *move)
{
	struct side *from = &move->from, *to = &move->to;
	int subdir = th_inode_is_dir(from->inode);
	int err = move->whiteout ? whiteout_stage(update, move) : th_dir_remove(update->txn, from->dir, from->name);

	if (!err && to->inode) {
		err = th_dir_replace(update->txn, to->dir, to->name, to->entry, from->entry.id, from->entry.type);
		if (!err)
			err = th_link_remove(update, to->inode, to->dir->id, to->name);
		th_link_parent(update, to->dir, -1, -subdir);
	} else if (!err) {
		err = th_dir_add(update->txn, to->dir, to->name, from->entry.id, from->entry.type);
	}
	if (!err)
		err = th_link_move(update, from->inode, from->dir->id, from->name, to->dir->id, to->name);
	th_link_parent(update, from->dir, move->whiteout ? 0 : -1, -subdir);
	th_link_parent(update, to->dir, 1, subdir);
	return err;
}

/* --- data before the name --- */

/* Dirty pages (1 MiB) with which a file is written back while the directories are not locked.  With fewer, other users
 * of the directories wait for a write that is short; with more, for a longer one. */
#define WRITTEN_FIRST 256

/* The file has many dirty pages: th_namei_rename writes them back and tries again. */
#define NEEDS_WRITEBACK (-EAGAIN)

/* Programs replace a file by a new one without fsync, and expect the content of one of the two after a crash.  So the
 * dirty data of a file is in the store before the name of another file leads to it, whatever checkpoint comes between.
 * A file that cannot be written back does not replace another.  The inodes are locked. */
static int write_back(struct move *move)
{
	struct th_inode *files[] = { move->from.inode, move->flags & RENAME_EXCHANGE ? move->to.inode : NULL };
	int err = 0;

	if (!move->to.inode)
		return 0;
	for (int i = 0; i < 2 && !err; i++) {
		if (!files[i] || !S_ISREG(files[i]->type))
			continue;
		if (th_file_pages_count(files[i]) > WRITTEN_FIRST && files[i] != move->written) {
			th_inode_put(move->written);
			move->written = th_inode_ref(files[i]);
			return NEEDS_WRITEBACK;
		}
		err = th_writeback_inode(files[i], TH_WRITEBACK_NOWAIT);
	}
	return err;
}

static int do_move(struct move *move)
{
	struct th_update update;
	int err = check_inodes(move);

	if (!err)
		err = whiteout_new(move);
	if (!err)
		err = th_update_begin(&update, move->from.dir->fs);
	if (!err) {
		err = move->flags & RENAME_EXCHANGE ? stage_exchange(&update, move) : stage_move(&update, move);
		err = th_update_end(&update, err);
	}
	whiteout_put(move, err);
	return err;
}

static int find_side(struct side *side)
{
	int err = TH_NOWAIT(th_dir_find(side->dir, side->name, &side->entry));

	if (err == -ENOENT && th_snapdir_is_name(side->dir, side->name))
		return -EPERM;
	if (!err)
		err = th_inode_get(side->dir->fs, NULL, side->entry.id, &side->inode);
	return !err && side->inode == side->dir ? -EUCLEAN : err;
}

/* The directories are locked. */
static int find_sides(struct move *move)
{
	int err = find_side(&move->from);

	if (err)
		return err;
	err = find_side(&move->to);
	if (err == -ENOENT && !(move->flags & RENAME_EXCHANGE))
		err = 0;
	if (!err && move->to.inode && (move->flags & RENAME_NOREPLACE))
		err = -EEXIST;
	return err;
}

/* A directory replaces another, which needs L1, and L1 comes before the locks that are held.  try_rename handles it. */
#define NEEDS_RENAME_LOCK (-EDEADLK)

/* Returns 0, NEEDS_RENAME_LOCK, or another -errno. */
static int move_locked(struct move *move)
{
	int err = find_sides(move);

	if (!err)
		err = check_dirs(move);
	if (!err && !move->held && move->to.inode && th_inode_is_dir(move->from.inode) &&
	    th_inode_is_dir(move->to.inode))
		err = NEEDS_RENAME_LOCK;
	if (err)
		return err;
	if (move->to.inode == move->from.inode)
		return 0; /* two names of one inode, or one name: nothing to do */
	err = check_cycles(move);
	if (!err)
		err = check_types(move);
	if (err)
		return err;
	lock_inodes(move);
	err = write_back(move);
	if (!err)
		err = TH_NOWAIT(do_move(move));
	unlock_inodes(move);
	return err;
}

static int check_request(const struct move *move)
{
	const unsigned known = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;

	if ((move->flags & ~known) || ((move->flags & RENAME_EXCHANGE) && move->flags != RENAME_EXCHANGE))
		return -EINVAL;
	for (int i = 0; i < 2; i++) {
		const struct side *side = i ? &move->to : &move->from;

		if (side->dir->snapshot || th_inode_is_snapdir(side->dir) || th_fs_writable(side->dir->fs))
			return -EROFS;
		if (!th_inode_is_dir(side->dir))
			return -ENOTDIR;
		int err = th_dir_check_name(side->name);

		if (err)
			return err;
	}
	return 0;
}

static int try_move(struct move *move)
{
	int err = lock_dirs(move);

	if (!err) {
		err = move_locked(move);
		unlock_dirs(move);
	}
	th_inode_put(move->from.inode);
	th_inode_put(move->to.inode);
	move->from.inode = move->to.inode = NULL;
	return err;
}

/* One attempt, under L1 if it is needed. */
static int try_rename(struct th_fs *fs, struct move *move)
{
	int err = 0;

	move->held = false;
	if (!move->across)
		err = try_move(move);
	if (move->across || err == NEEDS_RENAME_LOCK) {
		pthread_mutex_lock(&fs->rename_lock);
		move->held = true;
		err = try_move(move);
		pthread_mutex_unlock(&fs->rename_lock);
	}
	return err;
}

int th_namei_rename(struct th_inode *from_dir, struct th_slice from, struct th_inode *to_dir, struct th_slice to,
		    unsigned flags)
{
	struct move move = {
		.from = { .dir = from_dir, .name = from },
		.to = { .dir = to_dir, .name = to },
		.flags = flags,
		.across = from_dir != to_dir,
	};
	int err = check_request(&move);

	if (err)
		return err;
	do {
		err = TH_RETRY(try_rename(from_dir->fs, &move));
	} while (err == NEEDS_WRITEBACK && !(err = th_file_writeback(move.written)));
	th_inode_put(move.written);
	return err;
}
