/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/node_ptr.h"

#include <errno.h>

#include "tree/node/node.h"

#define KNOWN_FLAGS (TH_NODE_CHUNKS | TH_NODE_SCATTERED | TH_NODE_MIRROR_SCATTERED)

static uint8_t flags_of(const struct th_ptr *ptr)
{
	return (uint8_t)((ptr->chunks ? TH_NODE_CHUNKS : 0) | (ptr->scattered ? TH_NODE_SCATTERED : 0) |
			 (ptr->mirror_scattered ? TH_NODE_MIRROR_SCATTERED : 0));
}

void th_ptr_pack(const struct th_ptr *ptr, struct th_ptr_disk *ret)
{
	*ret = (struct th_ptr_disk){
		.addr = th_le64(ptr->addr),
		.mirror = th_le64(ptr->mirror),
		.birth = th_le64(ptr->birth),
		.seq = th_le64(ptr->seq),
		.checksum = th_le64(ptr->checksum),
		.records = th_le64(ptr->records),
		.deletes = th_le64(ptr->deletes),
		.blocks = th_le16(ptr->blocks),
		.prefix_size = th_le16(ptr->prefix_size),
		.level = ptr->level,
		.flags = flags_of(ptr),
	};
}

int th_ptr_unpack(const struct th_ptr_disk *disk, struct th_ptr *ret)
{
	*ret = (struct th_ptr){
		.addr = th_get_le64(disk->addr),
		.mirror = th_get_le64(disk->mirror),
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
		.mirror_scattered = (disk->flags & TH_NODE_MIRROR_SCATTERED) != 0,
	};
	if (ret->addr == 0 || ret->blocks == 0 || ret->blocks > TH_NODE_MAX / TH_BLOCK_SIZE ||
	    ret->prefix_size > TH_KEY_MAX || ret->level >= TH_HEIGHT_MAX || (disk->flags & ~KNOWN_FLAGS) ||
	    th_get_le16(disk->reserved))
		return -EUCLEAN;
	if (ret->mirror == ret->addr || (ret->mirror_scattered && !ret->mirror))
		return -EUCLEAN;
	return 0;
}

struct th_ptr th_ptr_copy(const struct th_ptr *ptr, unsigned copy)
{
	struct th_ptr one = *ptr;

	if (copy > 0) {
		one.addr = ptr->mirror;
		one.scattered = ptr->mirror_scattered;
	}
	one.mirror = 0;
	one.mirror_scattered = 0;
	return one;
}
