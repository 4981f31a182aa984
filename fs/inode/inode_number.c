/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode/inode_number.h"

#include <assert.h>

#include "tree/thunderhead.h"

#define SNAPSHOT_BITS 23
#define DEPTH_BITS 8
#define SMALL_ID_BITS 32
#define ENTERED (UINT64_C(1) << 63) /* a node id with a depth */

/* In inode numbers, in the place of a snapshot's id: the tree that the mount shows, for ids of 2^31 and more. */
#define LARGE_ID_SNAPSHOT 0x7ffffeu

static_assert(TH_SNAPSHOT_ID_MAX < LARGE_ID_SNAPSHOT, "ids of snapshots are distinct from the special ones");
static_assert(TH_SNAPDIR_SNAPSHOT == (1u << SNAPSHOT_BITS) - 1, "the special ids are the largest ones");
static_assert(SNAPSHOT_BITS + TH_ID_BITS == 63 && SNAPSHOT_BITS + DEPTH_BITS + SMALL_ID_BITS == 63, "64 bits");
static_assert(TH_NODE_DEPTH_MAX == (1 << DEPTH_BITS) - 1, "depth");

uint64_t th_node_id(struct th_node_parts parts)
{
	if (!parts.depth || parts.depth > TH_NODE_DEPTH_MAX || parts.id >> SMALL_ID_BITS)
		return parts.snapshot << TH_ID_BITS | parts.id;
	return ENTERED | parts.snapshot << (DEPTH_BITS + SMALL_ID_BITS) | (uint64_t)parts.depth << SMALL_ID_BITS |
	       parts.id;
}

struct th_node_parts th_node_id_parse(uint64_t node)
{
	uint64_t snapshot = (node & ~ENTERED) >> TH_ID_BITS;

	if (!(node & ENTERED))
		return (struct th_node_parts){ snapshot, 0, node & TH_ID_MAX };
	return (struct th_node_parts){ snapshot, (unsigned)(node >> SMALL_ID_BITS) & TH_NODE_DEPTH_MAX,
				       node & UINT32_MAX };
}

/* The bits of a 32-bit number after the first three: more for the id, or more for the snapshot.  Snapshots are taken
 * all the time, and the ids of old ones are not used again: so the first 16,382 of them are covered, if files are
 * few. */
static const struct {
	unsigned snapshot_bits, id_bits;
} splits[] = { { 6, 23 }, { 9, 20 }, { 12, 17 }, { 14, 15 } };

#define SPLIT_BITS 29
#define SMALL_NUMBER (UINT64_C(1) << 31)

/* Returns a number of 32 bits, or 0 if it does not fit. */
static uint64_t small_number(uint64_t snapshot, uint64_t id)
{
	for (unsigned i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
		if (!(snapshot >> splits[i].snapshot_bits) && !(id >> splits[i].id_bits))
			return SMALL_NUMBER | (uint64_t)i << SPLIT_BITS | snapshot << splits[i].id_bits | id;
	}
	return 0;
}

/* Maps 64 bits to 32 with the highest bit set: no file of the live tree with an id below 2^31 has such a number. */
static uint64_t fold(uint64_t number)
{
	return SMALL_NUMBER | (number * UINT64_C(0x9e3779b97f4a7c15)) >> 33;
}

uint64_t th_inode_number(uint64_t snapshot, uint64_t id, bool narrow)
{
	if (!snapshot && id < SMALL_NUMBER)
		return id;
	uint64_t small = snapshot ? small_number(snapshot == TH_SNAPDIR_SNAPSHOT ? 0 : snapshot, id) : 0;

	if (small)
		return small;
	uint64_t large = (snapshot ? snapshot : LARGE_ID_SNAPSHOT) << TH_ID_BITS | id;

	return narrow ? fold(large) : large;
}
