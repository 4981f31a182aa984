/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks the whole tree and writes it to the transcript name by name.  The side with snapshots takes one at that moment,
 * which must equal the tree just read, and must still equal it after later changes and snapshots.
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
	unsigned count; /* of walks; every other one reads files without the kernel's cache */
};

void walk_run(struct actor *actor);
/* Verifies the remaining snapshots, and deletes them. */
void walk_finish(struct actor *actor);

#endif
