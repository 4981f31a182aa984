/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors: what diff and checker need beside the public calls. */
#ifndef TH_CURSOR_H
#define TH_CURSOR_H

#include "tree/view.h"

/* Told of every node on every path that the cursor descends. */
typedef void th_node_visit(void *arg, const struct th_node *node);

/* layers: a transaction's own writes to be seen first, or NULL; they must outlive the cursor. */
int th_cursor_new(struct th_view *view, const struct th_layers *layers, const struct th_range *range,
		  struct th_cursor **ret);
void th_cursor_watch(struct th_cursor *cursor, th_node_visit *visit, void *arg);
/* Ends the range elsewhere, at a whole key; the cursor then has to be sought anew. */
void th_cursor_set_end(struct th_cursor *cursor, struct th_slice to);

#endif
