/* SPDX-License-Identifier: Apache-2.0 */
/* Pointers to persistent nodes, in memory and on disk. */
#ifndef TH_TREE_NODE_NODE_PTR_H
#define TH_TREE_NODE_NODE_PTR_H

#include <stdbool.h>

#include "journal/base/format.h"

#define TH_NODE_MAX 65536 /* bytes of a packed node; it is stored in whole blocks */
#define TH_HEIGHT_MAX 16
#define TH_COPIES_MAX 2 /* of a node */

struct th_ptr {
	uint64_t addr; /* block; 0: none */
	uint64_t mirror; /* block of the second copy; 0: there is one copy */
	uint64_t birth; /* generation that wrote it: decides when it can be reclaimed */
	uint64_t seq; /* newest message at or below it: lets a diff skip the subtree */
	uint64_t checksum; /* XXH3 of its blocks */
	uint64_t records; /* in the leaves at or below it, those that pending messages delete included */
	uint64_t deletes; /* records that messages pending at or below it may delete: th_message_deletes() */
	uint16_t blocks;
	uint16_t prefix_size;
	uint8_t level; /* 0: leaf */
	uint8_t chunks; /* some value at or below it is large */
	uint8_t scattered; /* addr is the address of a map of its runs: scatter.h */
	uint8_t mirror_scattered; /* so is mirror */
};

struct th_ptr_disk {
	struct th_le64 addr;
	struct th_le64 mirror; /* the second copy; 0: none */
	struct th_le64 birth, seq, checksum, records, deletes;
	struct th_le16 blocks, prefix_size;
	uint8_t level, flags;
	struct th_le16 reserved;
};
static_assert(sizeof(struct th_ptr_disk) == 64, "format.md: node pointer");

#define TH_NODE_CHUNKS 1u /* flag of a node and of its pointer: see th_ptr.chunks */
#define TH_NODE_SCATTERED 2u /* flag of a pointer: see th_ptr.scattered */
#define TH_NODE_MIRROR_SCATTERED 4u /* flag of a pointer: see th_ptr.mirror_scattered */

void th_ptr_pack(const struct th_ptr *ptr, struct th_ptr_disk *ret);
/* Returns 0, or -EUCLEAN if a field is out of its range. */
int th_ptr_unpack(const struct th_ptr_disk *disk, struct th_ptr *ret);

/* Returns how many copies of the node there are: 1 or 2. */
static inline unsigned th_ptr_copies(const struct th_ptr *ptr)
{
	return ptr->mirror ? 2 : 1;
}

/* Returns a pointer that names only this copy of the node, as the first one. */
struct th_ptr th_ptr_copy(const struct th_ptr *ptr, unsigned copy);

#endif
