/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/reply.h"

#include <errno.h>
#include <pthread.h>

#include "fs/dir/snapdir.h"
#include "fs/inode/inode.h"

struct th_inode *th_fuse_inode(fuse_req_t req, fuse_ino_t ino)
{
	struct th_inode *inode = th_inode_find(th_fuse_of(req)->fs, ino);

	if (!inode)
		fuse_reply_err(req, ESTALE);
	return inode;
}

void th_fuse_error(fuse_req_t req, int err)
{
	fuse_reply_err(req, err == -EUCLEAN || err == -EBADMSG ? EIO : -err);
}

void th_fuse_entry(struct th_inode *inode, struct fuse_entry_param *ret)
{
	if (th_inode_is_snapdir(inode))
		th_snapdir_refresh(inode); /* after an error the former attributes are shown */
	*ret = (struct fuse_entry_param){
		.ino = th_inode_nodeid(inode),
		/* The kernel knows its root before the first reply, with generation 0. */
		.generation = inode == inode->fs->root ? 0 : inode->fs->generation,
		/* A virtual directory may change here before the kernel knows its inode, when it cannot be notified:
		 * so the kernel must ask for the attributes that it will cache. */
		.attr_timeout = th_inode_is_snapdir(inode) ? 0 : TH_FUSE_VALID_SECONDS,
		.entry_timeout = TH_FUSE_VALID_SECONDS,
	};
	pthread_rwlock_rdlock(&inode->lock);
	th_inode_stat(inode, &ret->attr);
	pthread_rwlock_unlock(&inode->lock);
	th_inode_lookup(inode);
}
