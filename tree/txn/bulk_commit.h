/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grafting: how a transaction that was spilled becomes part of the live tree.
 *
 *      live tree        fork                              live tree
 *          o              o'   private: its own new           o'
 *         / \     ->     / \   nodes, and the rest of  ->    / \
 *        o   o          o   o' the live tree's              o   o'
 *
 * Merging such a transaction message by message would make its nodes dirty all at once.  Instead the live tree is
 * settled by a commit, and forked: the messages, in the order of keys, go into the fork, whose nodes are written to the
 * image whenever many are dirty.  In the end the fork becomes the live tree, and a commit names it.
 *
 * Meanwhile nobody merges or commits; readers have the tree as it was.  Until the fork becomes the live tree, its
 * blocks are merely taken (S1): whatever fails before is undone by forgetting it, and so does a crash.  The log has no
 * record of the transaction: it is durable with that commit.
 */
#ifndef TH_TREE_TXN_BULK_COMMIT_H
#define TH_TREE_TXN_BULK_COMMIT_H

#include "tree/txn/txn.h"

/* Durable when it returns 0; the transaction is not freed, nor are its layers.  After -ENOSPC, -EIO, -ENOMEM, -EBADMSG,
 * -EUCLEAN nothing was done, unless the store was made to refuse writes. */
int th_bulk_commit(struct th_txn *txn);

#endif
