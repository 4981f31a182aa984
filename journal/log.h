/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intent log: what makes fsync fast.  A ring of blocks at a fixed place, written in place.
 *
 * A record is whatever the tree wants replayed.  It is framed by a header with the log's identity (the store's UUID and
 * the mount count, so that an older life's records never fit), a sequence number that grows by one, the checksum of the
 * record before it, and its own checksum; and padded to whole blocks.  It may wrap around.  Replay starts where the
 * superblock says and goes on to the first record that does not fit: that is the end, and not an error.
 *
 *   L1  A record is durable when th_disk_flush, started after the append completed, has completed.
 *   L2  A position is trimmed only when a commit that holds everything before it is durable.
 *
 * One thread at a time may append; the caller (tree/sync.c) sees to it.
 */
#ifndef TH_JOURNAL_LOG_H
#define TH_JOURNAL_LOG_H

#include <stdbool.h>

#include "journal/base/format.h"
#include "journal/disk/disk.h"

struct th_log;

struct th_log_position {
	uint64_t block; /* within the ring, from 0 */
	uint64_t sequence; /* of the next record */
	uint64_t checksum; /* of the record before it */
};

struct th_log_position_disk {
	struct th_le64 block, sequence, checksum;
};
static_assert(sizeof(struct th_log_position_disk) == 24, "format.md: log position");

/* A log over [first, first + blocks) of the disk whose records carry `identity`, to be continued at `at`, with
 * everything from `at` on free. */
int th_log_new(struct th_disk *disk, uint64_t first, uint64_t blocks, uint64_t identity, struct th_log_position at,
	       struct th_log **ret);
void th_log_free(struct th_log *log);

/* Writes one record made of the given parts (of any size and alignment; copied).  Returns when it is written, not
 * flushed. -ENOSPC: the ring has no room until th_log_trim; -EFBIG: larger than the ring can ever hold. */
int th_log_append(struct th_log *log, const struct iovec *parts, int nparts);
/* Where the next record will go. */
struct th_log_position th_log_head(const struct th_log *log);
/* Everything before `tail` may be overwritten. */
void th_log_trim(struct th_log *log, struct th_log_position tail);
/* Bytes of payload that still fit into one record now. */
size_t th_log_room(const struct th_log *log);

/* Reads records of `identity` from `at` on and calls each(payload, size, is_last_readable).  A non-zero answer ends the
 * walk and that record counts as not fitting if it is 1 (end of log); negative is an error.  *ret_end is behind the
 * last record taken. */
int th_log_replay(struct th_disk *disk, uint64_t first, uint64_t blocks, uint64_t identity, struct th_log_position at,
		  int (*each)(const void *payload, size_t size, bool last, void *arg), void *arg,
		  struct th_log_position *ret_end);

#endif
