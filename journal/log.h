/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intent log, which makes fsync fast: a ring of blocks at a fixed place, written in place.
 *
 * The payload of a record is the tree's.  A header frames it with the log's identity, a sequence number that grows by
 * one, the checksum of the previous record, and its own checksum; zeros fill its last block.  The identity is made of
 * the store's UUID and the mount count, so that records of an earlier mount never match.  A record may wrap around the
 * end of the ring.  Replay starts at the position in the superblock and ends at the first record that does not match.
 *
 *   J1  A record is durable when a th_disk_flush() that started after the append completed has completed.
 *   J2  A position is trimmed only when a checkpoint with everything before that position is durable.
 *   J3  A record is appended only when the record before it is durable.
 *
 * After a crash the log ends with a torn record or with free space, and nothing of this log follows (J3).  A whole
 * record with the same identity and a later number somewhere after the end is therefore stranded: the record at the end
 * was durable, and has been damaged since.
 *
 * The ring may have a second copy elsewhere, which gets the same records.  Replay takes a record from the second copy
 * if the first does not match; only a record that is damaged in both ends the log.
 *
 * One thread at a time appends, and J3 holds, as its caller ensures (tree/checkpoint/sync.c).  The other functions may
 * be called from any thread at the same time.
 */
#ifndef TH_JOURNAL_LOG_H
#define TH_JOURNAL_LOG_H

#include <stdbool.h>

#include "journal/base/format.h"
#include "journal/disk/disk.h"

/* Bytes of payload.  A reader allocates as many as a header claims, so an image must not choose them. */
#define TH_LOG_RECORD_MAX (64u << 20)

struct th_log;

struct th_log_position {
	uint64_t block; /* within the ring, from 0 */
	uint64_t sequence; /* of the record at this position */
	uint64_t checksum; /* of the record before it; 0 before the first */
};

/* The blocks of the ring.  mirror: first block of the second copy; 0: there is none. */
struct th_log_area {
	uint64_t first, blocks, mirror;
};

struct th_log_position_disk {
	struct th_le64 block, sequence, checksum;
};
static_assert(sizeof(struct th_log_position_disk) == 24, "format.md: log position");

/* Makes a log on an area of the disk, whose records have `identity`.  Appending continues at
 * `at`; the whole ring is free.  The disk must outlive the log, which the caller owns.
 * Returns 0, -EINVAL if the ring is not on the disk or `at` not in the ring, or -ENOMEM. */
int th_log_new(struct th_disk *disk, struct th_log_area area, uint64_t identity, struct th_log_position at,
	       struct th_log **ret);
/* Frees it.  NULL is ignored. */
void th_log_free(struct th_log *log);

/* Writes one record, whose payload is the parts one after another.  They may have any size and alignment and are
 * copied.  The record is written, not flushed, on return.
 * Returns 0, -ENOSPC if the ring has no room before a th_log_trim(), -EFBIG if the record is larger than the ring or
 * TH_LOG_RECORD_MAX,
 * -ENOMEM or a write error; after an error the position is as before. */
int th_log_append(struct th_log *log, const struct iovec *parts, int nparts);
/* Returns the position of the next record. */
struct th_log_position th_log_head(const struct th_log *log);
/* Allows records before `tail` to be overwritten.  A tail older than the last one is ignored. */
void th_log_trim(struct th_log *log, struct th_log_position tail);
/* Returns the bytes of payload that fit into one record now. */
size_t th_log_room(const struct th_log *log);

/* The end of a log, as a replay found it. */
struct th_log_end {
	struct th_log_position at; /* after the last record for which visit() returned 0 */
	uint64_t stranded; /* whole records further on: the one at `at` is damaged.  0: the log is whole */
};

/* Is called for each record of a replay, with its payload of `size` bytes, valid during the call.  `last`: it is the
 * newest record, and no record follows it, stranded ones included.  Returns 0 to continue, 1 if this record counts as
 * the end of the log, or -errno. */
typedef int th_log_visit(const void *payload, size_t size, bool last, void *arg);

/* Reads the records of `identity` from `at` on and calls visit() for each, up to the first that matches in no copy;
 * then looks for stranded records in the rest of the ring, where unreadable blocks count as free.  A record whose first
 * copy is damaged is reported, unless it is the last one, which a crash may have torn.
 * Returns 0 at the end of the log, -EUCLEAN if the ring is not on the disk or `at` not in the ring, a negative value of
 * visit(), -ENOMEM or a read error. */
int th_log_replay(struct th_disk *disk, struct th_log_area area, uint64_t identity, struct th_log_position at,
		  th_log_visit *visit, void *arg, struct th_log_end *ret_end);

#endif
