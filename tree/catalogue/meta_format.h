/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of the meta tree: docs/format.md, "Meta tree".  Numbers in keys are big-endian. */
#ifndef TH_TREE_CATALOGUE_META_FORMAT_H
#define TH_TREE_CATALOGUE_META_FORMAT_H

#include "journal/space/blocklist.h"
#include "tree/node/node.h"

enum th_meta_kind {
	TH_META_ABANDONED = 'A', /* A id: struct th_abandoned_disk and a key */
	TH_META_BRANCH = 'B', /* B id: struct th_branch_disk and the name */
	TH_META_HOLD = 'H', /* H id: struct th_hold_disk and the tag */
	TH_META_SHARE = 'R', /* R addr: struct th_block_refs_disk */
	TH_META_SNAPSHOT = 'S', /* S id: struct th_snapshot_disk and the name */
};

struct th_meta_key {
	uint8_t kind;
	uint8_t number[8];
};
static_assert(sizeof(struct th_meta_key) == 9, "format.md: meta key");

static inline struct th_meta_key th_meta_key(enum th_meta_kind kind, uint64_t number)
{
	struct th_meta_key key = { .kind = (uint8_t)kind };

	for (int i = 0; i < 8; i++)
		key.number[i] = (uint8_t)(number >> (56 - 8 * i));
	return key;
}

static inline uint64_t th_meta_number(const void *key)
{
	const struct th_meta_key *k = key;
	uint64_t number = 0;

	for (int i = 0; i < 8; i++)
		number = number << 8 | k->number[i];
	return number;
}

/* A message to the tree in the superblock; key and value follow. */
enum th_carried_kind { TH_CARRIED_REMOVE, TH_CARRIED_PUT };

struct th_carried_disk {
	uint8_t kind;
	uint8_t key_size;
	struct th_le16 value_size;
};
static_assert(sizeof(struct th_carried_disk) == 4, "format.md: carried message");

struct th_block_refs_disk {
	struct th_le32 blocks;
	struct th_le32 count; /* references beyond the first */
};
static_assert(sizeof(struct th_block_refs_disk) == 8, "format.md: block references");

struct th_snapshot_disk {
	struct th_le64 generation, sequence, created_ns;
	struct th_le64 branch; /* its id */
	struct th_ptr_disk root;
	struct th_blocklist_disk dead, strays;
	uint8_t deleting; /* 1: it has no name any more, and its space is to be reclaimed */
	uint8_t reserved[7];
	uint8_t identity[16]; /* of its content, in all stores that have a copy of it */
	/* name */
};
static_assert(sizeof(struct th_snapshot_disk) == 232, "format.md: snapshot");

struct th_hold_disk {
	struct th_le64 snapshot; /* its id */
	struct th_le64 created_ns;
	/* tag */
};
static_assert(sizeof(struct th_hold_disk) == 16, "format.md: hold");

struct th_branch_disk {
	struct th_le64 origin; /* id of the snapshot that it begins from; 0: none */
	struct th_le64 created_ns;
	struct th_le64 sequence; /* newest message in its head */
	struct th_ptr_disk root; /* of its head; root, sequence and lists are zero if the superblock has the head */
	struct th_blocklist_disk dead, strays;
	uint8_t detached; /* 1: it has only snapshots */
	uint8_t reserved[7];
	/* name */
};
static_assert(sizeof(struct th_branch_disk) == 208, "format.md: branch");

/* A head that is being freed in key order. */
struct th_abandoned_disk {
	struct th_le64 than; /* generation: blocks that were born later are its own */
	struct th_ptr_disk root;
	struct th_blocklist_disk dead, strays; /* the rest of them */
	/* the key below which all nodes are freed */
};
static_assert(sizeof(struct th_abandoned_disk) == 184, "format.md: abandoned head");

#endif
