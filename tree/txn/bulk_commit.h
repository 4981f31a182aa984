/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk commit: how a transaction that was spilled becomes part of the live tree.
 *
 *      live tree        fork                              live tree
 *          o              o'   private: its own new           o'
 *         / \     ->     / \   nodes, and the rest of  ->    / \
 *        o   o          o   o' the live tree's              o   o'
 *
 * Applying such a transaction message by message would make all nodes that it changes dirty at once.  Instead a
 * checkpoint cleans the live tree, which is then forked.  The messages go into the fork in ascending order of keys, and
 * the fork's nodes are written to the image whenever many are dirty.  At the end the fork becomes the live tree, and
 * the checkpoint names it.
 *
 * All other merges and checkpoints wait until that is done; readers see the old tree.  Until the fork becomes the live
 * tree, its blocks are in no space set (S1): an error drops the fork and a crash loses it, and nothing has changed.
 * The log has no record of the transaction, which is durable with the checkpoint.
 */
#ifndef TH_TREE_TXN_BULK_COMMIT_H
#define TH_TREE_TXN_BULK_COMMIT_H

#include "tree/txn/txn.h"

/* Commits a transaction, whose layers may be spills.  The caller frees it, and its layers, in any case.  Returns 0 when
 * it is durable; -ENOSPC, -EIO, -ENOMEM, -EBADMSG or -EUCLEAN if nothing was changed, or if the store has failed and
 * refuses writes. */
int th_bulk_commit(struct th_txn *txn);

#endif
