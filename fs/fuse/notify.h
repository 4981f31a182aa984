/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the kernel drop cached data that is no longer true.
 *
 * A thread of its own sends these notifications.  A handler must not, except where noted: the kernel may hold a lock,
 * for which the notification waits, until another handler has replied.
 *
 * All functions are called without locks held, on any thread.
 */
#ifndef TH_FS_FUSE_NOTIFY_H
#define TH_FS_FUSE_NOTIFY_H

#include "fs/fuse/session.h"

struct th_inode;

/* Starts the thread and makes the filesystem report changed snapshots to it.  fuse->fs and fuse->session are set.
 * Returns 0 or -errno. */
int th_fuse_notifier_start(struct th_fuse *fuse);
/* Ends the thread; pending notifications are dropped.  No handler runs any more.  Does nothing if it was not
 * started. */
void th_fuse_notifier_stop(struct th_fuse *fuse);

/* Drops the inode's cached attributes, after a request that the kernel does not expect to change any.  A handler calls
 * this before it replies: for attributes the kernel takes no lock. */
void th_fuse_notify_attr(struct th_fuse *fuse, const struct th_inode *inode);
/* Replies to a direct write of `size` bytes at `off`, once the kernel has dropped its cached pages of this range. */
void th_fuse_notify_write(fuse_req_t req, fuse_ino_t ino, off_t off, size_t size);
/* Drops the inode's cached attributes and pages, soon. */
void th_fuse_notify_pages(struct th_fuse *fuse, fuse_ino_t ino);
/* Asks the kernel to drop unused inodes of a deleted snapshot, after a file in it was closed. */
void th_fuse_notify_release(struct th_fuse *fuse, const struct th_inode *inode);

/* The reply to come lets the kernel cache attributes or a listing of this virtual directory.  Called before the
 * directory is read, so that a change in between is not missed. */
void th_fuse_snapdir_cached(struct th_fuse *fuse, const struct th_inode *snapdir);
/* Drops all that the kernel has cached of virtual directories.  Handlers may call this, too. */
void th_fuse_snapdirs_changed(struct th_fuse *fuse);

#endif
