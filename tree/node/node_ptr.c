/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/node_ptr.h"

#include <errno.h>

#include "tree/node/node.h"

void th_ptr_pack(const struct th_ptr *ptr, struct th_ptr_disk *ret)
{
	*ret = (struct th_ptr_disk){
		.addr = th_le64(ptr->addr),
		.birth = th_le64(ptr->birth),
		.seq = th_le64(ptr->seq),
		.checksum = th_le64(ptr->checksum),
		.records = th_le64(ptr->records),
		.deletes = th_le64(ptr->deletes),
		.blocks = th_le16(ptr->blocks),
		.prefix_size = th_le16(ptr->prefix_size),
		.level = ptr->level,
		.flags = (uint8_t)((ptr->chunks ? TH_NODE_CHUNKS : 0) | (ptr->scattered ? TH_NODE_SCATTERED : 0)),
	};
}

int th_ptr_unpack(const struct th_ptr_disk *disk, struct th_ptr *ret)
{
	*ret = (struct th_ptr){
		.addr = th_get_le64(disk->addr),
		.birth = th_get_le64(disk->birth),
		.seq = th_get_le64(disk->seq),
		.checksum = th_get_le64(disk->checksum),
		.records = th_get_le64(disk->records),
		.deletes = th_get_le64(disk->deletes),
		.blocks = th_get_le16(disk->blocks),
		.prefix_size = th_get_le16(disk->prefix_size),
		.level = disk->level,
		.chunks = (disk->flags & TH_NODE_CHUNKS) != 0,
		.scattered = (disk->flags & TH_NODE_SCATTERED) != 0,
	};
	if (ret->addr == 0 || ret->blocks == 0 || ret->blocks > TH_NODE_MAX / TH_BLOCK_SIZE ||
	    ret->prefix_size > TH_KEY_MAX || ret->level >= TH_HEIGHT_MAX ||
	    (disk->flags & ~(TH_NODE_CHUNKS | TH_NODE_SCATTERED)) || th_get_le64(disk->mirror) ||
	    th_get_le16(disk->reserved))
		return -EUCLEAN;
	return 0;
}
