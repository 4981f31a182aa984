/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request handlers: one for each kind of FUSE request, called by libfuse through the table in session.c.
 *
 * A handler finds its inodes, calls the filesystem and replies exactly once (reply.h).  It runs on any worker thread
 * and takes no lock that it holds while it replies.
 */
#ifndef TH_FS_FUSE_HANDLERS_H
#define TH_FS_FUSE_HANDLERS_H

#include "fs/fuse/session.h"

/* names.c */
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

/* attr.c */
void th_fuse_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void th_fuse_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *stat, int set, struct fuse_file_info *fi);
void th_fuse_statfs(fuse_req_t req, fuse_ino_t ino);

/* xattr.c */
void th_fuse_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void th_fuse_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void th_fuse_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void th_fuse_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* ioctl.c */
void th_fuse_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
		   const void *in, size_t in_size, size_t out_size);

/* file.c */
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

/* dir.c */
void th_fuse_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void th_fuse_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void th_fuse_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);

#endif
