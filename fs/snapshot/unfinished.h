/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a branch that is being received (fs/stream): the branch has a part of a snapshot, until the rest has
 * come.  A mount does not show such a branch.
 */
#ifndef TH_FS_SNAPSHOT_UNFINISHED_H
#define TH_FS_SNAPSHOT_UNFINISHED_H

#include "fs/inode/context.h"

struct th_unfinished {
	uint8_t identity[TH_SNAPSHOT_IDENTITY], base[TH_SNAPSHOT_IDENTITY]; /* base: zero: none */
	uint64_t inode, block; /* position in the stream */
	bool created; /* the branch was created for it */
	char current[TH_BRANCH_NAME_MAX + 1]; /* the branch that was the current one before; empty: this one */
};

/* Reads the record of a tree.  Returns 0, -ENOENT if it has none, -EUCLEAN if the record is malformed, or a read
 * error. */
int th_unfinished_read(struct th_view *view, struct th_unfinished *ret);
/* Stages the record.  Returns as th_txn_put. */
int th_unfinished_put(struct th_txn *txn, const struct th_unfinished *unfinished);
/* Stages the end: deletes the record and the ids that were received.  Returns as th_txn_delete. */
int th_unfinished_delete(struct th_txn *txn);

#endif
