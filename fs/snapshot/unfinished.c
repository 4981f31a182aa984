/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/snapshot/unfinished.h"

#include <errno.h>
#include <string.h>

#include "fs/format/key.h"

static int decode(const void *data, size_t size, struct th_unfinished *ret)
{
	static const uint8_t zeros[sizeof(((struct th_receive_disk *)0)->reserved)];
	const struct th_receive_disk *disk = data;
	size_t name_size = size - sizeof(*disk);

	if (size < sizeof(*disk) || name_size > TH_BRANCH_NAME_MAX || disk->created > 1 ||
	    memcmp(disk->reserved, zeros, sizeof(zeros)))
		return -EUCLEAN;
	*ret = (struct th_unfinished){
		.inode = th_get_le64(disk->inode),
		.block = th_get_le64(disk->block),
		.created = disk->created,
	};
	memcpy(ret->identity, disk->identity, sizeof(ret->identity));
	memcpy(ret->base, disk->base, sizeof(ret->base));
	memcpy(ret->current, disk + 1, name_size);
	return memchr(ret->current, 0, name_size) ? -EUCLEAN : 0;
}

int th_unfinished_read(struct th_view *view, struct th_unfinished *ret)
{
	struct th_fs_key key = th_fs_key_receive();
	struct th_value value;
	int err = th_get(view, th_fs_key_slice(&key), &value);

	if (err)
		return err;
	err = decode(value.data, value.size, ret);
	th_value_release(&value);
	return err;
}

int th_unfinished_put(struct th_txn *txn, const struct th_unfinished *unfinished)
{
	struct th_fs_key key = th_fs_key_receive();
	size_t name_size = strlen(unfinished->current);
	struct {
		struct th_receive_disk disk;
		char name[TH_BRANCH_NAME_MAX];
	} value = { 0 };

	memcpy(value.disk.identity, unfinished->identity, sizeof(value.disk.identity));
	memcpy(value.disk.base, unfinished->base, sizeof(value.disk.base));
	value.disk.inode = th_le64(unfinished->inode);
	value.disk.block = th_le64(unfinished->block);
	value.disk.created = unfinished->created;
	memcpy(value.name, unfinished->current, name_size);
	return th_txn_put(txn, th_fs_key_slice(&key), (struct th_slice){ &value, sizeof(value.disk) + name_size });
}

int th_unfinished_delete(struct th_txn *txn)
{
	struct th_fs_key record = th_fs_key_receive(), ids = th_fs_key_kind(0, TH_FS_KEY_RECEIVED_ID);
	uint8_t space[TH_FS_KEY_MAX];
	int err = th_txn_delete(txn, th_fs_key_slice(&record));

	return err ? err : th_txn_delete_range(txn, th_range_prefix(th_fs_key_slice(&ids), space));
}
