/* SPDX-License-Identifier: Apache-2.0 */
/* The state of the space, shared by space.c, which hands out blocks, and space_log.c, which logs them on disk.
 * space_trim.c discards free ones.  Internal to journal/space. */
#ifndef TH_JOURNAL_SPACE_SPACE_STATE_H
#define TH_JOURNAL_SPACE_SPACE_STATE_H

#include <pthread.h>

#include "journal/space/space.h"
#include "journal/space/space_map.h"

struct th_space_run {
	uint64_t addr;
	uint32_t blocks;
};

/* The copies of a page of the log. */
struct th_space_page {
	uint64_t addr;
	uint64_t mirror; /* 0: there is one copy */
};

/* Runs in the order they were noted, adjacent ones merged. */
struct th_space_runs {
	struct th_space_run *runs; /* owned */
	size_t count, room;
	uint64_t blocks; /* in all of them */
};

/* The runs that one checkpoint allocates and frees.  A block may be in both: then it was allocated first. */
struct th_space_changes {
	struct th_space_runs allocated, freed;
};

struct th_space {
	pthread_mutex_t lock; /* guards everything */
	struct th_space_map in_use; /* taken, allocated or waiting */
	struct th_space_map logged; /* allocated in the last checkpoint or load */
	struct th_space_changes sets[2]; /* by enum th_space_set */
	/* S3: runs freed by the checkpoint being written or just written, and by the one before it. */
	struct th_space_runs freed_now, freed_before;
	unsigned pins;
	unsigned copies; /* of metadata */
	uint64_t waiting, reserved, pledged, emergency;
	uint64_t cursors[2]; /* of data and of TH_SPACE_META: where the search for a run without a hint starts */
	uint64_t high; /* no block from here on was ever taken or loaded, but for second copies */
	pthread_cond_t trimmed; /* `trimming` or `takers` became less */
	unsigned takers; /* threads that wait for a discard to end; no other begins before they have their run */
	uint64_t trimming; /* blocks in use only because they are being discarded (space_trim.c) */
	bool trims; /* blocks that become free are to be discarded */
	/* Whole units with blocks that became free: since the last turn, and those of the turn before, which are due.
	 * due_at and due_from, the next run and block of these, belong to th_space_trim_freed(). */
	struct th_space_runs freed_units, due_units;
	size_t due_at;
	uint64_t due_from;
	int broken; /* -ENOMEM: a run could not be noted; the next checkpoint fails */

	/* The log's pages, oldest first, so that condensing need not read them. */
	struct th_space_page *log_pages; /* owned */
	size_t nlog_pages, log_pages_room;
	uint64_t condense_at; /* pages of the log below which condensing is not considered */
};

/* Extends the run by an adjacent one.  Returns false if that is not adjacent. */
bool th_space_run_merge(struct th_space_run *run, uint64_t addr, uint32_t blocks);
/* Adds a run.  Returns 0 or -ENOMEM. */
int th_space_runs_add(struct th_space_runs *runs, uint64_t addr, uint32_t blocks);
void th_space_runs_release(struct th_space_runs *runs);
/* Notes blocks that became free, for th_space_trim_freed().  Requires the lock. */
void th_space_trim_note(struct th_space *space, uint64_t addr, uint32_t blocks);
/* Raises `high` to the end of a run in use.  Requires the lock. */
void th_space_reached(struct th_space *space, uint64_t addr, uint64_t end);

#endif
