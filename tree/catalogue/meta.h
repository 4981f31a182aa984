/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meta tree, and the messages to it that the superblock carries.
 *
 * A commit changes few entries of the meta tree, most often none or one: the snapshot it is.  The superblock, which is
 * written with every commit, has room for some twenty such messages.  As long as they fit, the meta tree is not written
 * at all: its root on disk stays what it was, and its content is that root's with the carried messages on top.  A
 * later message for a key takes the place of an earlier one.  When one does not fit, the commit writes the tree, and
 * carries nothing.
 *
 * It is the hitchhiker's idea once more, with the superblock as the node above the root.
 */
#ifndef TH_TREE_CATALOGUE_META_H
#define TH_TREE_CATALOGUE_META_H

#include "tree/state/state.h"

/* Within a commit: puts an entry, or with value.data NULL removes it. */
int th_meta_put(struct th_store *store, struct th_slice key, struct th_slice value);
/* Brings what the superblock carries into the tree, whose root is loaded.  -EUCLEAN: it is malformed. */
int th_meta_load(struct th_store *store);
/* Calls each() for every entry of a kind (enum th_meta_kind) in the order of the keys, until it returns a negative
 * error. */
int th_meta_each(struct th_store *store, uint8_t kind,
		 int (*each)(struct th_store *store, const struct th_cursor_entry *entry));

/* Calls each() for every message, value.data NULL for a removal; ends with its first result that is not 0.
 * -EUCLEAN: malformed from here on. */
int th_carried_each(const struct th_super *super, int (*each)(void *arg, struct th_slice key, struct th_slice value),
		    void *arg);
/* Is there a message for the key? */
bool th_carried_has(const struct th_super *super, struct th_slice key);

#endif
