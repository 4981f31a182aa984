/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/caller.h"

#include <sys/stat.h>

#include "fs/inode/inode.h"

#define GROUPS_MAX 256

bool th_fuse_caller_has_group(fuse_req_t req, gid_t gid)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	gid_t groups[GROUPS_MAX];
	bool found = ctx->uid == 0 || ctx->gid == gid;
	int count = found ? 0 : fuse_req_getgroups(req, GROUPS_MAX, groups);

	for (int i = 0; i < count && i < GROUPS_MAX && !found; i++)
		found = groups[i] == gid;
	return found;
}

bool th_fuse_caller_is_outsider(fuse_req_t req, struct th_inode *inode)
{
	pthread_rwlock_rdlock(&inode->lock);
	bool matters = !S_ISDIR(inode->attr.mode) && (inode->attr.mode & (S_ISGID | S_IXGRP)) == S_ISGID;
	gid_t gid = inode->attr.gid;

	pthread_rwlock_unlock(&inode->lock);
	return matters && !th_fuse_caller_has_group(req, gid);
}
