/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the FUSE handlers share.  A handler finds its inodes, calls the filesystem, and replies exactly once; errors
 * turn their sign in th_fuse_error and nowhere else.  Whatever inode a reply names has been counted by th_inode_lookup
 * before, and is uncounted if the reply does not arrive.
 */
#ifndef TH_FS_FUSE_SESSION_H
#define TH_FS_FUSE_SESSION_H

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>

#include "fs/control/control.h"
#include "fs/inode/inode.h"

/* Nobody but us changes anything, so what the kernel was told stays true until it asks for a change itself. */
#define TH_FUSE_VALID_SECONDS 86400.0

struct th_fuse_notifier;

struct th_fuse {
	struct th_fs *fs;
	struct th_control *control;
	struct fuse_session *session;
	const char *directory; /* where it is mounted */
	unsigned max_read; /* the mount option; 0: not given */
	bool opens_directories; /* the kernel must be told that a directory was opened: it is older than 5.1 */
	bool selinux; /* it is part of the kernel that runs */
	struct th_fuse_notifier *notifier;
	void (*ready)(struct th_fuse *fuse); /* called when the kernel has greeted us; NULL: nobody waits */
	int ready_fd; /* for ready */
};

extern const struct fuse_lowlevel_ops th_fuse_ops;

/* What we ask of the kernel, in answer to its INIT.  max_read: the mount option; 0: not given. */
void th_fuse_negotiate(struct fuse_conn_info *conn, const char *directory, unsigned max_read);

static inline struct th_fuse *th_fuse_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The inode the kernel calls ino, with a reference; NULL after having replied that there is none. */
struct th_inode *th_fuse_inode(fuse_req_t req, fuse_ino_t ino);
/* Replies with the result of a call: 0 or -errno. */
void th_fuse_error(fuse_req_t req, int r);
/* Fills in a reply about an inode, and counts it. */
void th_fuse_entry(struct th_inode *inode, struct fuse_entry_param *ret);

/* fuse_names.c */
void th_fuse_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void th_fuse_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void th_fuse_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void th_fuse_readlink(fuse_req_t req, fuse_ino_t ino);
void th_fuse_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void th_fuse_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void th_fuse_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void th_fuse_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void th_fuse_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void th_fuse_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void th_fuse_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void th_fuse_rename(fuse_req_t req, fuse_ino_t from_parent, const char *from, fuse_ino_t to_parent, const char *to,
		    unsigned flags);

/* fuse_attr.c */
/* Is who asks not in the group of this file, so that its set-gid bit has to go though the group may not execute it?
 * Takes the inode's lock. */
bool th_fuse_is_outsider(fuse_req_t req, struct th_inode *inode);
void th_fuse_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void th_fuse_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *stat, int set, struct fuse_file_info *fi);
void th_fuse_statfs(fuse_req_t req, fuse_ino_t ino);
void th_fuse_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void th_fuse_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void th_fuse_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void th_fuse_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void th_fuse_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
		   const void *in, size_t in_size, size_t out_size);

/* fuse_file.c */
void th_fuse_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void th_fuse_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void th_fuse_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void th_fuse_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void th_fuse_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi);
void th_fuse_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void th_fuse_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi);
void th_fuse_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void th_fuse_copy_file_range(fuse_req_t req, fuse_ino_t src, off_t src_off, struct fuse_file_info *src_fi,
			     fuse_ino_t dst, off_t dst_off, struct fuse_file_info *dst_fi, size_t len, int flags);

/* fuse_dir.c */
void th_fuse_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void th_fuse_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void th_fuse_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);

/* fuse_notify.c: a thread that tells the kernel what it should forget.  A handler must not: the kernel may hold a lock
 * until another handler has answered. */
int th_fuse_notifier_start(struct th_fuse *fuse);
void th_fuse_notifier_stop(struct th_fuse *fuse);
/* The inode's attributes have changed by a request that the kernel does not know to change any.  This alone a handler
 * may tell by itself, before it replies: the kernel takes no lock for it. */
void th_fuse_attr_changed(struct th_fuse *fuse, const struct th_inode *inode);
/* Replies to a write past the kernel's cache, once the kernel has dropped what it has cached of these bytes. */
void th_fuse_reply_written(fuse_req_t req, fuse_ino_t ino, off_t off, size_t size);
/* Somebody has closed this inode. */
void th_fuse_released(struct th_fuse *fuse, const struct th_inode *inode);
/* The kernel is about to be told something of a virtual directory that it will remember: to be called before that is
 * looked up. */
void th_fuse_snapdir_told(struct th_fuse *fuse, const struct th_inode *snapdir);
/* What it was told of them is no longer true.  Any handler may say so. */
void th_fuse_snapdirs_changed(struct th_fuse *fuse);

#endif
