/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applies the records of a stream to the live tree, in transactions that also note how far they have come.
 *
 * Records come from outside.  Each is checked, and so is their order; whether all of them together are a filesystem is
 * checked at the end (th_fs_check_changes).  Applying a record twice is the same as once, so a stream that is resumed
 * may begin before the place that was reached.
 */
#ifndef TH_FS_STREAM_APPLY_H
#define TH_FS_STREAM_APPLY_H

#include "fs/inode/context.h"
#include "fs/snapshot/unfinished.h"
#include "fs/stream/record.h"

/* Data that waits for its blocks on the disk: they are allocated together, when a transaction is committed. */
struct th_apply_data {
	uint8_t *bytes;
	uint32_t blocks;
	struct th_apply_part {
		uint64_t id, block;
		uint32_t count;
	} * parts;
	size_t nparts, capacity;
	uint64_t hint; /* of th_chunk_alloc */
};

#define TH_APPLY_DATA_BLOCKS 2048u /* 8 MiB: enough for large transfers */
#define TH_APPLY_ID_SLOTS 8192u

struct th_apply {
	struct th_fs *fs;
	struct th_view *base; /* NULL: the stream has all of the snapshot */
	struct th_unfinished *unfinished; /* the caller's: the position is updated with each commit */
	struct th_position start; /* the records before it were applied earlier */
	struct th_txn *txn;
	unsigned staged; /* records in this transaction */
	bool allocated; /* it has blocks that no reader can share yet */
	/* The inode of the last INODE or GONE record: its number in the stream, and here. */
	uint64_t number, id;
	enum th_apply_state { TH_APPLY_NONE, TH_APPLY_SKIPPED, TH_APPLY_OPEN, TH_APPLY_GONE } state;
	struct th_attr attr; /* its name is in `name` */
	char name[TH_NAME_MAX];
	uint64_t next_block; /* the first one for which a record may still come */
	struct th_apply_data data;
	struct {
		uint64_t number, id;
	} ids[TH_APPLY_ID_SLOTS];
	const char *why; /* the reason for -EUCLEAN */
};

/* Begins at unfinished->inode, ->block.  On an error, too, the caller releases it.  Returns 0 or as th_txn_begin. */
int th_apply_init(struct th_apply *apply, struct th_fs *fs, struct th_view *base, struct th_unfinished *unfinished);
/* Applies a record.  Returns 0, -EUCLEAN with the reason in apply->why, or an error of the store. */
int th_apply_record(struct th_apply *apply, const struct th_record *record);
/* Commits what was applied, with its position.  Returns 0 or an error of the store. */
int th_apply_commit(struct th_apply *apply);
/* Drops what was not committed. */
void th_apply_release(struct th_apply *apply);

/* --- for apply_data.c --- */

/* Finds the id here of a number in the stream.  Returns 0, -ENOENT if it is not known, or a read error. */
int th_apply_find_id(struct th_apply *apply, uint64_t number, uint64_t *ret);
/* Sets apply->why.  Returns -EUCLEAN. */
int th_apply_refuse(struct th_apply *apply, const char *why);

#endif
