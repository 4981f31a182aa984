/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diff scan: collects the keys that may differ between two views, the candidates.
 *
 * Every difference was made by a message that is newer than the common past of the two views; on one branch that is the
 * older view.  So both trees are walked for newer messages only.  A child whose pointer has no newer sequence number is
 * skipped unread.  A newer message in an overlay names its key or range.  A leaf that received a newer message may
 * differ anywhere, so its whole range is a candidate.
 *
 * One walk collects a batch of candidates, from either end of the span that is left.
 */
#ifndef TH_TREE_VIEW_DIFF_SCAN_H
#define TH_TREE_VIEW_DIFF_SCAN_H

#include "tree/view/view.h"

/* A key that may differ, or a range of such keys. */
struct th_diff_candidate {
	struct th_slice from, to; /* to: of a range only; data NULL: open */
	bool point;
	struct th_get *get[2]; /* reads that the diff has begun, one in each view */
	uint8_t bytes[];
};

struct th_diff_scan {
	struct th_view *view[2]; /* whole trees */
	uint64_t since; /* only messages with a higher sequence number are looked at */
	th_node_visit *visit; /* called for every node, with the view's lock held */
	void *visit_arg;
	struct th_diff_candidate **list; /* ascending and disjoint */
	size_t count, capacity;
};

/* Fills the list, which must be empty, with the first candidates of the span, or the last ones if `backward`.  want:
 * how many of each tree; usually not many more are found.  *span is reduced to the part that the list has all
 * candidates of; it must live as long as they do.  Returns 0 or the error of reading a node: then the list is empty. */
int th_diff_scan_gather(struct th_diff_scan *scan, struct th_span *span, bool backward, size_t want);
/* Empties the list. */
void th_diff_scan_clear(struct th_diff_scan *scan);
void th_diff_scan_release(struct th_diff_scan *scan);

#endif
