/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dir/acl_inherit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/xattr.h"
#include "fs/format/acl.h"

static int init_access(struct th_acl_inheritance *inherited)
{
	size_t size = inherited->list.size;

	inherited->access = malloc(size);
	if (!inherited->access)
		return -ENOMEM;
	memcpy(inherited->access, inherited->list.data, size);
	inherited->mode = th_acl_inherit(inherited->access, size, inherited->mode);
	if (th_acl_is_minimal((struct th_slice){ inherited->access, size })) {
		free(inherited->access);
		inherited->access = NULL;
	}
	return 0;
}

int th_acl_inheritance_init(struct th_acl_inheritance *inherited, struct th_inode *dir, uint32_t mode, uint32_t umask)
{
	*inherited = (struct th_acl_inheritance){ .mode = mode };
	if (S_ISLNK(mode))
		return 0;
	int err = th_xattr_find(dir, TH_ACL_DEFAULT, &inherited->list);

	if (err == -ENODATA) {
		inherited->mode &= ~(umask & 0777);
		return 0;
	}
	if (!err)
		err = init_access(inherited);
	if (err)
		th_acl_inheritance_release(inherited);
	return err;
}

int th_acl_inheritance_stage(const struct th_acl_inheritance *inherited, struct th_txn *txn, struct th_inode *inode)
{
	struct th_slice list = { inherited->list.data, inherited->list.size };
	struct th_slice access = { inherited->access, inherited->list.size };
	int err = 0;

	if (access.data)
		err = th_xattr_stage(txn, inode, TH_ACL_ACCESS, &access);
	if (!err && list.data && th_inode_is_dir(inode))
		err = th_xattr_stage(txn, inode, TH_ACL_DEFAULT, &list);
	if (!err && (access.data || (list.data && th_inode_is_dir(inode))))
		inode->xattr_state = TH_XATTR_SOME;
	return err;
}

void th_acl_inheritance_release(struct th_acl_inheritance *inherited)
{
	if (inherited->list.data)
		th_value_release(&inherited->list);
	free(inherited->access);
	*inherited = (struct th_acl_inheritance){ 0 };
}
