/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the attributes of a file before and after an operation, and writes the new ones and which times moved to the
 * transcript.  Current times differ between two filesystems, but the same operations must move them.
 */
#ifndef TH_TESTS_MOUNT_ORACLE_WATCH_H
#define TH_TESTS_MOUNT_ORACLE_WATCH_H

#include "tests/mount/oracle/pick.h"

struct watch {
	int fd;
	bool own; /* the watch closes fd */
	bool known; /* fstat() succeeded */
	struct stat before;
};

/* Begins to watch an open file, the directory of a name, or the file of a name.  The latter two keep the inode in
 * use. */
void watch_file(struct watch *watch, int fd);
void watch_parent(struct watch *watch, const struct place *place);
void watch_place(struct watch *watch, const struct place *place, int flags);
/* Ends the watch, and writes to the transcript. */
void watch_say(struct actor *actor, struct watch *watch);

#endif
