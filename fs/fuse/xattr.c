/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/xattr.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/xattr.h"
#include "fs/format/acl.h"
#include "fs/fuse/caller.h"
#include "fs/fuse/handlers.h"
#include "fs/fuse/reply.h"
#include "fs/inode/inode.h"

/* Replies with the bytes, or with their number if size, the room that the caller has, is 0. */
static void reply_bytes(fuse_req_t req, const void *data, size_t data_size, size_t size)
{
	if (!size)
		fuse_reply_xattr(req, data_size);
	else if (data_size > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, data, data_size);
}

/* Returns the error for a file without the attribute.  ls(1) asks for the SELinux label of every file until a
 * filesystem answers that it supports none: without SELinux this saves all of these requests but the first. */
static int absent_error(const struct th_fuse *fuse, const char *name)
{
	return fuse->selinux || strcmp(name, XATTR_NAME_SELINUX) != 0 ? -ENODATA : -EOPNOTSUPP;
}

void th_fuse_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct th_inode *inode = th_fuse_inode(req, ino);
	struct th_value value;

	if (!inode)
		return;
	int err = th_xattr_get(inode, name, &value);

	if (err == -ENODATA)
		err = absent_error(th_fuse_of(req), name);
	if (err) {
		th_fuse_error(req, err);
	} else {
		reply_bytes(req, value.data, value.size, size);
		th_value_release(&value);
	}
	th_inode_put(inode);
}

/* As in chmod(2): a caller that is not in the file's group can neither set nor keep its set-gid bit. */
static int set_access_list(fuse_req_t req, struct th_inode *inode, struct th_slice value, int flags)
{
	pthread_rwlock_rdlock(&inode->lock);
	bool setgid = inode->attr.mode & S_ISGID;
	gid_t gid = inode->attr.gid;

	pthread_rwlock_unlock(&inode->lock);
	if (setgid && !th_fuse_caller_has_group(req, gid))
		flags |= TH_XATTR_KILL_SGID;
	return th_xattr_set(inode, TH_ACL_ACCESS, value, flags);
}

void th_fuse_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct th_inode *inode = th_fuse_inode(req, ino);
	struct th_slice slice = { value, size };

	if (!inode)
		return;
	int err = !strcmp(name, TH_ACL_ACCESS) ? set_access_list(req, inode, slice, flags)
					       : th_xattr_set(inode, name, slice, flags);

	th_inode_put(inode);
	th_fuse_error(req, err);
}

void th_fuse_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct th_inode *inode = th_fuse_inode(req, ino);
	size_t list_size;
	char *list;

	if (!inode)
		return;
	int err = th_xattr_list(inode, fuse_req_ctx(req)->uid == 0, &list, &list_size);

	th_inode_put(inode);
	if (err) {
		th_fuse_error(req, err);
		return;
	}
	reply_bytes(req, list, list_size, size);
	free(list);
}

void th_fuse_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct th_inode *inode = th_fuse_inode(req, ino);

	if (!inode)
		return;
	int err = th_xattr_remove(inode, name);

	th_inode_put(inode);
	th_fuse_error(req, err);
}
