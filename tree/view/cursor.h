/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors from inside: the calls that transactions, diffs and the checker need beside the public ones. */
#ifndef TH_TREE_VIEW_CURSOR_H
#define TH_TREE_VIEW_CURSOR_H

#include "tree/view/view.h"

/* As th_cursor_open(), through a transaction's layers (NULL: none), which must outlive the cursor. */
int th_cursor_new(struct th_view *view, const struct th_layers *layers, const struct th_range *range,
		  struct th_cursor **ret);
/* Sets a function that is called for each node on each path that the cursor descends, with the view's lock held. */
void th_cursor_watch(struct th_cursor *cursor, th_node_visit *visit, void *arg);
/* Moves the cursor to the beginning of another range, of whole keys (to.data NULL: open).  The caller is going to read
 * all of the range, so its batches are large from the beginning. */
void th_cursor_set_range(struct th_cursor *cursor, struct th_slice from, struct th_slice to);

#endif
