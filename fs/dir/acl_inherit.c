/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dir/acl_inherit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/xattr.h"
#include "fs/format/acl.h"

static int init_access(struct th_acl_inheritance *heritage)
{
	size_t size = heritage->list.size;

	heritage->access = malloc(size);
	if (!heritage->access)
		return -ENOMEM;
	memcpy(heritage->access, heritage->list.data, size);
	heritage->mode = th_acl_inherit(heritage->access, size, heritage->mode);
	if (th_acl_is_minimal((struct th_slice){ heritage->access, size })) {
		free(heritage->access);
		heritage->access = NULL;
	}
	return 0;
}

int th_acl_inheritance_init(struct th_acl_inheritance *heritage, struct th_inode *dir, uint32_t mode, uint32_t umask)
{
	*heritage = (struct th_acl_inheritance){ .mode = mode };
	if (S_ISLNK(mode))
		return 0;
	int err = th_xattr_find(dir, TH_ACL_DEFAULT, &heritage->list);

	if (err == -ENODATA) {
		heritage->mode &= ~(umask & 0777);
		return 0;
	}
	if (!err)
		err = init_access(heritage);
	if (err < 0)
		th_acl_inheritance_release(heritage);
	return err;
}

int th_acl_inheritance_stage(const struct th_acl_inheritance *heritage, struct th_txn *txn, struct th_inode *inode)
{
	struct th_slice list = { heritage->list.data, heritage->list.size };
	struct th_slice access = { heritage->access, heritage->list.size };
	int err = 0;

	if (access.data)
		err = th_xattr_stage(txn, inode, TH_ACL_ACCESS, &access);
	if (!err && list.data && th_inode_is_dir(inode))
		err = th_xattr_stage(txn, inode, TH_ACL_DEFAULT, &list);
	if (!err && (access.data || (list.data && th_inode_is_dir(inode))))
		inode->xattr_state = TH_XATTR_SOME;
	return err;
}

void th_acl_inheritance_release(struct th_acl_inheritance *heritage)
{
	if (heritage->list.data)
		th_value_release(&heritage->list);
	free(heritage->access);
	*heritage = (struct th_acl_inheritance){ 0 };
}
