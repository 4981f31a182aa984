/* SPDX-License-Identifier: Apache-2.0 */
/* The space as its two files see it: space.c hands blocks out, space_log.c keeps them on disk.  Internal to journal/.
 */
#ifndef TH_JOURNAL_SPACE_SPACE_STATE_H
#define TH_JOURNAL_SPACE_SPACE_STATE_H

#include <pthread.h>

#include "journal/space/space.h"
#include "journal/space/space_map.h"

struct th_space_run {
	uint64_t addr;
	uint32_t blocks;
};

/* Runs in the order they were noted, neighbours merged. */
struct th_space_runs {
	struct th_space_run *runs;
	size_t count, room;
	uint64_t blocks;
};

/* What one commit allocates and frees.  A block may be in both: then it was allocated first. */
struct th_space_changes {
	struct th_space_runs allocated, freed;
};

struct th_space {
	pthread_mutex_t lock; /* guards everything */
	struct th_space_map in_use; /* taken, allocated or waiting */
	struct th_space_map logged; /* allocated, as the last commit or load has it */
	struct th_space_changes sets[2]; /* by enum th_space_set */
	/* S3: what the commit being written, or just written, freed, and the one before it. */
	struct th_space_runs freed_now, freed_before;
	unsigned holds;
	uint64_t waiting, reserved, emergency;
	uint64_t cursors[2]; /* of data and of TH_SPACE_META: where one without a hint goes on */
	uint64_t high; /* nothing at or behind it was ever taken or loaded */
	int broken; /* -ENOMEM: something could not be noted; the next commit must fail */

	/* The log's pages, oldest first, so that condensing need not read them. */
	uint64_t *log_pages;
	size_t nlog_pages, log_pages_room;
	uint64_t condense_at; /* look whether it is worth it when the log has so many pages */
};

/* Makes the run longer by its neighbour; false if it is none. */
bool th_space_run_merge(struct th_space_run *run, uint64_t addr, uint32_t blocks);
/* False: out of memory. */
bool th_space_runs_add(struct th_space_runs *runs, uint64_t addr, uint32_t blocks);
void th_space_runs_release(struct th_space_runs *runs);
/* With the lock held: the end of a run that was found in use. */
void th_space_reached(struct th_space *space, uint64_t end);

#endif
