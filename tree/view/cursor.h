/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors: what diff and checker need beside the public calls. */
#ifndef TH_TREE_VIEW_CURSOR_H
#define TH_TREE_VIEW_CURSOR_H

#include "tree/view/view.h"

/* layers: a transaction's own writes to be seen first, or NULL; they must outlive the cursor. */
int th_cursor_new(struct th_view *view, const struct th_layers *layers, const struct th_range *range,
		  struct th_cursor **ret);
/* visit: told of every node on every path that the cursor descends. */
void th_cursor_watch(struct th_cursor *cursor, th_node_visit *visit, void *arg);
/* Another range, of whole keys (to.data NULL: open), which is going to be read from one end to the other. */
void th_cursor_set_range(struct th_cursor *cursor, struct th_slice from, struct th_slice to);

#endif
