/* SPDX-License-Identifier: Apache-2.0 */
/* The names of files whose records are lost with damaged nodes. */
#ifndef TH_FS_RESCUE_LOST_NAMES_H
#define TH_FS_RESCUE_LOST_NAMES_H

#include "tree/thunderhead.h"

/* Passes a line to report(arg, line) for each name in a view whose inode cannot be read, with its path, and for each
 * range of inodes with unreadable records.  tree: what the lines call the view.  Scans the whole view.  Returns 0,
 * -ENOMEM, or an error after which no key can be read. */
int th_lost_names(struct th_view *view, const char *tree, void (*report)(void *arg, const char *line), void *arg);

#endif
