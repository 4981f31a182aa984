/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which snapshots a user means: by a name, a range or a pattern.
 *
 *   daily-7        the snapshot of this name, whatever characters it has
 *   a..b           the snapshots from a to b, both included, of one branch; "a.." is all from a on, "..b" all up to b
 *   daily-*        each whose name matches: *, ?, [a-z], as in a shell; also of other branches
 *
 * These are pure functions on a list of snapshots.
 */
#ifndef TH_FS_SNAPSHOT_SELECT_H
#define TH_FS_SNAPSHOT_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One snapshot of a list, whose order is that of their ids: the oldest one first. */
struct th_select {
	const char *name; /* not owned */
	uint64_t branch; /* id */
	uint64_t created_ns; /* since 1970, UTC */
	bool selected; /* in the answer */
	bool by_name; /* in the answer: the user gave its name, and not only a pattern or a range */
};

/* Returns true if a term can be anything but a name. */
bool th_select_is_special(const char *term);

/* Selects the snapshots that a term means, besides those that are selected already.
 *
 * Returns 0; -ENOENT if there is none, or an end of a range does not exist; -EXDEV if the ends are of different
 * branches;
 * -ERANGE if the first one is newer than the second.  On an error nothing is selected. */
int th_select_term(struct th_select *list, size_t count, const char *term);
/* Selects all. */
void th_select_all(struct th_select *list, size_t count);
/* Drops those from the selection that were created at this time or later. */
void th_select_older(struct th_select *list, size_t count, uint64_t than_ns);

#endif
