/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of the meta tree: docs/format.md, "Meta tree".  Numbers in keys are big-endian. */
#ifndef TH_META_FORMAT_H
#define TH_META_FORMAT_H

#include "journal/blocklist.h"
#include "tree/node.h"

enum th_meta_kind {
	TH_META_SHARE = 'R', /* R addr: struct th_share_disk */
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

struct th_share_disk {
	struct th_le32 blocks;
	struct th_le32 count; /* references beyond the first */
};
static_assert(sizeof(struct th_share_disk) == 8, "format.md: share");

struct th_snapshot_disk {
	struct th_le64 generation, sequence, created_ns;
	struct th_ptr_disk root;
	struct th_blocklist_disk dead;
	uint8_t deleting; /* 1: has no name any more, its space is to be freed */
	uint8_t reserved[7];
	/* name */
};
static_assert(sizeof(struct th_snapshot_disk) == 128, "format.md: snapshot");

#endif
