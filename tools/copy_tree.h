/* SPDX-License-Identifier: Apache-2.0 */
/* The request to copy a tree inside a filesystem, and its errors. */
#ifndef TH_TOOLS_COPY_TREE_H
#define TH_TOOLS_COPY_TREE_H

#include "tools/fs_path.h"
#include "tools/target.h"

struct th_copy_names {
	const char *from; /* snapshot; NULL: the present */
	const char *source, *destination; /* from the root of the mount or image */
	const char *aside; /* the name that a present file gets; NULL: there must be none */
};

/* Copies.  *ret: the answer.  Returns 0 or -errno; reports nothing. */
int th_copy_tree_ask(struct th_target *target, const struct th_copy_names *names, struct th_control_copy *ret);
/* Reports an error of th_copy_tree_ask().  Returns TH_EXIT_FAILED. */
int th_copy_tree_report(struct th_target *target, const struct th_copy_names *names, int err);

#endif
