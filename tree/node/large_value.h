/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of large values, and lists of runs.
 *
 * A value above TH_INLINE_MAX bytes lies outside the tree, in runs of blocks of its own.  Its entry holds a descriptor
 * of these runs instead and has the flag TH_ENTRY_CHUNK.  Exactly one entry or message of a tree refers to such a run.
 * So composing or applying a message that replaces the entry is enough to free the runs: they are added to the tree's
 * list, and nothing needs to be read to overwrite a large value.
 *
 * tree/io/chunk.h reads and writes the values themselves.
 */
#ifndef TH_TREE_NODE_LARGE_VALUE_H
#define TH_TREE_NODE_LARGE_VALUE_H

#include "journal/base/format.h"
#include "tree/chunk.h"

/* A list of runs.  Usually it holds the runs of large values that lost their last mention in the tree being changed;
 * its owner frees them, or keeps them for a snapshot. */
struct th_drops {
	struct th_run *runs;
	size_t count, capacity;
};

/* Adds a run, or all runs of another list.  Returns 0 or -ENOMEM: then the list is unchanged. */
int th_drops_add(struct th_drops *drops, const struct th_run *run);
int th_drops_append(struct th_drops *drops, const struct th_drops *more);
/* Frees the list, not the blocks. */
void th_drops_release(struct th_drops *drops);

#define TH_LARGE_VALUE_RUNS_MAX 128

struct th_large_value_disk {
	struct th_le32 size; /* of the value, bytes */
	struct th_le16 runs;
	struct th_le16 reserved;
	struct th_le64 checksum; /* XXH3 of the value */
	/* runs x struct th_large_value_run_disk */
};
static_assert(sizeof(struct th_large_value_disk) == 16, "format.md: chunk descriptor");

struct th_large_value_run_disk {
	struct th_le64 addr, birth;
	struct th_le32 blocks;
};
static_assert(sizeof(struct th_large_value_run_disk) == 20, "format.md: chunk descriptor run");

#define TH_LARGE_VALUE_DISK_MAX                                                                                        \
	(sizeof(struct th_large_value_disk) + TH_LARGE_VALUE_RUNS_MAX * sizeof(struct th_large_value_run_disk))
static_assert(TH_LARGE_VALUE_DISK_MAX <= TH_INLINE_MAX, "a descriptor fits an entry");

/* A descriptor in host form. */
struct th_large_value {
	uint32_t size; /* bytes */
	uint64_t checksum;
	unsigned runs;
	struct th_run run[TH_LARGE_VALUE_RUNS_MAX];
};

/* Decodes a descriptor.  Returns 0, or -EUCLEAN if the bytes are not one.  Whether the runs lie on the disk is not
 * checked. */
int th_large_value_unpack(struct th_slice descriptor, struct th_large_value *ret);
/* Encodes a descriptor into `to`, at most TH_LARGE_VALUE_DISK_MAX bytes.  Returns their number. */
size_t th_large_value_pack(const struct th_large_value *value, void *to);
/* Adds the runs of a descriptor to the list.  Returns 0, -EUCLEAN if the bytes are not a descriptor, or -ENOMEM. */
int th_large_value_drop(struct th_slice descriptor, struct th_drops *drops);

#endif
