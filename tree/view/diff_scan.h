/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Candidates: keys that may differ between two views.
 *
 * Whatever differs was brought by a message that is newer than the common past of the two views: of one branch, the
 * older of them.  So both trees are walked for such messages only: a child whose pointer says that nothing at or below
 * it is newer is passed by unread; a pending message that is newer names its key, or range; a leaf that got one may
 * differ anywhere, so its whole range is looked at.
 *
 * One walk gathers a batch of them, from either end of what is left to look at.
 */
#ifndef TH_TREE_VIEW_DIFF_SCAN_H
#define TH_TREE_VIEW_DIFF_SCAN_H

#include "tree/view/view.h"

/* A key that may differ, or a range of them. */
struct th_diff_candidate {
	struct th_slice from, to; /* to: of a range, and data NULL if it is open */
	bool point;
	struct th_get *get[2]; /* what the diff has begun to read */
	uint8_t bytes[];
};

struct th_diff_scan {
	struct th_view *view[2]; /* whole trees */
	uint64_t since; /* messages above this are news */
	th_node_visit *visit; /* told of every node, with the view's lock held */
	void *visit_arg;
	struct th_diff_candidate **list;
	size_t count, capacity;
};

/* Fills the list, which is empty, with the first candidates of the span, or with the last ones if `backward`; as a rule
 * not many more than `want` of each tree.  They are ascending and disjoint.  The span is cut to the part that they are
 * all the candidates of; it must live as long as they do. */
int th_diff_scan_gather(struct th_diff_scan *candidates, struct th_span *span, bool backward, size_t want);
/* Empties the list. */
void th_diff_scan_clear(struct th_diff_scan *candidates);
void th_diff_scan_release(struct th_diff_scan *candidates);

#endif
