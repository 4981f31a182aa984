/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is looked at before an operation and after it: what became of it is said, and whether its times moved.  Times
 * of the present cannot be compared, but what moves them can.
 */
#ifndef TH_TESTS_MOUNT_ORACLE_WATCH_H
#define TH_TESTS_MOUNT_ORACLE_WATCH_H

#include "tests/mount/oracle/pick.h"

struct watch {
	int fd;
	bool own; /* the watch's, to be closed */
	bool known; /* there is something */
	struct stat before;
};

/* Begins to watch an open file; the directory that a name is in; what a name is of.  The latter two hold the inode. */
void watch_file(struct watch *watch, int fd);
void watch_parent(struct watch *watch, const struct place *place);
void watch_place(struct watch *watch, const struct place *place, int flags);
/* Ends it. */
void watch_say(struct actor *actor, struct watch *watch);

#endif
