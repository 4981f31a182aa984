/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at the whole tree, written down name by name.  The side that has snapshots takes one at that moment, which
 * must be the tree as it was just read, and be it still when some more have been taken and much has been changed.
 */
#ifndef TH_TESTS_MOUNT_ORACLE_WALK_H
#define TH_TESTS_MOUNT_ORACLE_WALK_H

#include "tests/mount/tree.h"

#define WALK_SNAPSHOTS 4

struct actor;

struct walk {
	struct walk_snapshot {
		char name[32]; /* empty: none */
		struct tree tree;
	} kept[WALK_SNAPSHOTS]; /* a ring */
	unsigned next;
	unsigned count; /* of looks; every other one passes by what the kernel has kept of files */
};

void walk_run(struct actor *actor);
/* Looks at the snapshots that are left, and deletes them. */
void walk_finish(struct actor *actor);

#endif
