/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attr/atime.h"

#include <linux/fs.h>

#include "fs/inode/dirty_list.h"

/* Relative mode updates an atime that is older than this, so that programs see which files are in use at all.  mount(8)
 * has the same value. */
#define RELATIVE_SECONDS (24 * 60 * 60)

static bool not_after(struct th_time a, struct th_time b)
{
	return a.seconds < b.seconds || (a.seconds == b.seconds && a.nanoseconds <= b.nanoseconds);
}

/* Implements the option relatime of mount(8). */
static bool relative_due(const struct th_attr *attr, struct th_time now)
{
	struct th_time day_old = { now.seconds - RELATIVE_SECONDS, now.nanoseconds };

	return not_after(attr->atime, attr->mtime) || not_after(attr->atime, attr->ctime) ||
	       not_after(attr->atime, day_old);
}

static bool never_due(const struct th_inode *inode)
{
	const struct th_fs_options *options = &inode->fs->options;

	if (options->atime == TH_ATIME_NEVER || (options->no_dir_atime && th_inode_is_dir(inode)))
		return true;
	return inode->snapshot || th_inode_is_snapdir(inode) || th_fs_writable(inode->fs) < 0;
}

/* inode->lock held. */
static bool is_due(const struct th_inode *inode, struct th_time now)
{
	if (inode->deleted || (inode->attr.flags & FS_NOATIME_FL))
		return false;
	return inode->fs->options.atime == TH_ATIME_STRICT || relative_due(&inode->attr, now);
}

void th_atime_touch(struct th_inode *inode)
{
	struct th_time now = th_time_now();

	if (never_due(inode))
		return;
	pthread_rwlock_rdlock(&inode->lock);
	bool due = is_due(inode, now);

	pthread_rwlock_unlock(&inode->lock);
	if (!due)
		return;
	pthread_rwlock_wrlock(&inode->lock);
	if (is_due(inode, now)) {
		inode->attr.atime = now;
		th_inode_mark_atime_dirty(inode);
	}
	pthread_rwlock_unlock(&inode->lock);
}
