/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning and the end of every request handler: finding the inode, and replying.
 *
 * The kernel counts how often an inode was named to it, and so does th_inode_lookup.  A reply that names an inode
 * counts it before it is sent; the handler takes that back (th_inode_forget) if the reply cannot be delivered.
 */
#ifndef TH_FS_FUSE_REPLY_H
#define TH_FS_FUSE_REPLY_H

#include "fs/fuse/session.h"

struct th_inode;

/* Returns the inode that the kernel calls `ino`, with a reference that the caller ends by th_inode_put; or NULL after
 * having replied ESTALE. */
struct th_inode *th_fuse_inode(fuse_req_t req, fuse_ino_t ino);
/* Replies with the result of a call: 0 or -errno.  Here, and nowhere else, an error changes its sign, and the store's
 * errors for damage become EIO. */
void th_fuse_error(fuse_req_t req, int err);
/* Fills in *ret for a reply that names the inode, and counts it.  Takes the inode's lock. */
void th_fuse_entry(struct th_inode *inode, struct fuse_entry_param *ret);

#endif
