/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode/update.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int th_update_begin(struct th_update *update, struct th_fs *fs)
{
	int err = th_fs_writable(fs);

	if (err)
		return err;
	update->nitems = 0;
	update->now = th_time_now();
	return th_txn_begin(fs->store, &update->txn);
}

struct th_attr *th_update_attr(struct th_update *update, struct th_inode *inode)
{
	struct th_update_item *item = update->items;

	for (; item < update->items + update->nitems; item++) {
		if (item->inode == inode)
			return &item->attr;
	}
	assert(update->nitems < TH_UPDATE_INODES);
	update->nitems++;
	item->inode = inode;
	item->attr = inode->attr;
	return &item->attr;
}

static void drop_name(const struct th_update_item *item)
{
	if (item->attr.name != item->inode->attr.name)
		free((char *)item->attr.name);
}

int th_update_name(struct th_update *update, struct th_inode *inode, uint64_t parent, struct th_slice name)
{
	struct th_attr *attr = th_update_attr(update, inode);
	char *copy = NULL;

	if (name.size) {
		copy = malloc(name.size);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, name.data, name.size);
	}
	if (attr->name != inode->attr.name)
		free((char *)attr->name);
	attr->parent = parent;
	attr->name = copy;
	attr->name_size = (uint16_t)name.size;
	return 0;
}

int th_update_end(struct th_update *update, int err)
{
	struct th_update_item *items = update->items;

	for (unsigned i = 0; i < update->nitems && !err; i++)
		err = th_inode_store(update->txn, items[i].inode, &items[i].attr);
	if (err)
		th_txn_rollback(update->txn);
	else
		err = th_txn_commit(update->txn);
	for (unsigned i = 0; i < update->nitems; i++) {
		if (err)
			drop_name(&items[i]);
		else
			th_inode_publish(items[i].inode, &items[i].attr);
	}
	return err;
}
