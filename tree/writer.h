/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the transient nodes below a frozen root: children before parents, into blocks that follow one another where
 * space allows, in large transfers of which several are under way.
 */
#ifndef TH_WRITER_H
#define TH_WRITER_H

#include "tree/store.h"

struct th_writer;

int th_writer_new(struct th_store *store, uint64_t generation, struct th_writer **ret);
/* Writes what below root has no address yet; *ret is the root's pointer.  The transfers are under way. */
int th_writer_tree(struct th_writer *writer, struct th_node *root, struct th_ptr *ret);
/* Waits for all transfers. */
int th_writer_finish(struct th_writer *writer);
/* After the superblock: nodes let go of what is on the heap and enter the cache. */
void th_writer_settle(struct th_writer *writer, struct th_tree *tree);
void th_writer_free(struct th_writer *writer);

#endif
