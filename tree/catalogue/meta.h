/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meta tree, and the messages to it that the superblock carries.
 *
 * A checkpoint changes few entries of the meta tree, mostly none or one: the snapshot that it is.  The superblock,
 * which every checkpoint writes, has room for some of them (about 16 new snapshots).  As long as they fit, the meta
 * tree is not written: its root on disk stays the same, and its content is that root with the carried messages on top.
 * A later message for a key replaces an earlier one.  When one does not fit, the checkpoint writes the tree and carries
 * nothing.
 *
 * The superblock is to the meta tree as a node's overlay is to its children.
 *
 * Changes need checkpoint_lock.
 */
#ifndef TH_TREE_CATALOGUE_META_H
#define TH_TREE_CATALOGUE_META_H

#include "tree/state/state.h"

/* Takes one entry of the meta tree.  Returns 0 or -errno. */
typedef int th_meta_visit(struct th_store *store, const struct th_cursor_entry *entry);
/* Takes one carried message; value.data NULL: it removes the key.  Returns 0 to go on. */
typedef int th_carried_visit(void *arg, struct th_slice key, struct th_slice value);

/* Puts an entry, or removes it if value.data is NULL, within a checkpoint.  Returns 0 or -ENOMEM. */
int th_meta_put(struct th_store *store, struct th_slice key, struct th_slice value);
/* Applies the messages that the superblock carries to the tree, whose root is loaded.  Returns 0, -EUCLEAN if they are
 * malformed, or -ENOMEM. */
int th_meta_load(struct th_store *store);
/* Calls each() for every entry of a kind (enum th_meta_kind) in key order.  On a store that is only read, entries that
 * cannot be read, or that each() refuses as damaged, are skipped (TH_LOST_CATALOGUE).  Returns 0, the first error of
 * each(), or a read error. */
int th_meta_each(struct th_store *store, uint8_t kind, th_meta_visit *each);

/* Calls each() for every carried message.  Returns 0, the first result of each() that is not 0, or -EUCLEAN where a
 * message is malformed. */
int th_carried_each(const struct th_super *super, th_carried_visit *each, void *arg);
/* Returns true if there is a message for the key. */
bool th_carried_has(const struct th_super *super, struct th_slice key);

#endif
