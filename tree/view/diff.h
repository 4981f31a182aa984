/* SPDX-License-Identifier: Apache-2.0 */
/* Diffs, for their constructor: th_diff_open() asks the catalogue, which is in a folder above. */
#ifndef TH_TREE_VIEW_DIFF_H
#define TH_TREE_VIEW_DIFF_H

#include "tree/view/view.h"

/* Opens a diff of two views that are not live and have the same prefix.  since: sequence number of the newest message
 * in their common past; only newer messages are looked at.  Returns 0, -EINVAL if a bound of the range is too long, or
 * -ENOMEM. */
int th_diff_new(struct th_view *from, struct th_view *to, const struct th_range *range, uint64_t since,
		struct th_diff **ret);

#endif
