/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors: what diff and checker need beside the public calls. */
#ifndef TH_CURSOR_H
#define TH_CURSOR_H

#include "tree/layer.h"

/* Told of every node on every path that the cursor descends. */
typedef void th_node_visit(void *arg, const struct th_node *node);

/* layers: a transaction's own writes to be seen first, or NULL; they must outlive the cursor. */
int th_cursor_new(struct th_view *view, const struct th_layers *layers, const struct th_range *range,
		  struct th_cursor **ret);
void th_cursor_watch(struct th_cursor *cursor, th_node_visit *visit, void *arg);
/* Ends the range elsewhere; the cursor then has to be sought anew. */
void th_cursor_set_end(struct th_cursor *cursor, struct th_slice to);

/* The part of a lookup that takes the view's lock, and what comes when the lookup is over: the value, or -ENOENT. */
void th_view_begin(struct th_view *view, struct th_slice key, struct th_lookup *lookup, struct th_step *next);
int th_view_finish(struct th_view *view, struct th_lookup *lookup, struct th_value *ret);
/* Point lookup through layers, or NULL. */
int th_view_get(struct th_view *view, const struct th_layers *layers, struct th_slice key, struct th_value *ret);

#endif
