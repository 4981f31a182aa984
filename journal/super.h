/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Superblocks: a ring of eight one-block slots at the start of the image, and a second ring at its end.
 *
 * A checkpoint writes slot (generation mod 8) of both rings.  The newest slot whose checksum and content are valid is
 * the state of the store.  Each slot has its own checksum, so a torn one is not valid, and the one before it counts.
 */
#ifndef TH_JOURNAL_SUPER_H
#define TH_JOURNAL_SUPER_H

#include <stdbool.h>

#include "journal/log.h"
#include "journal/space/blocklist.h"

#define TH_SUPER_SLOTS 8
#define TH_SUPER_ROOT_SIZE 64 /* room for one packed root pointer of a tree; its format is the tree's */
#define TH_SUPER_CARRIED_BYTES 3420
#define TH_LABEL_MAX 63 /* bytes */
#define TH_FORMAT_VERSION 1

/* How far a scrub of the store is.  A restart continues there. */
struct th_super_scrub {
	uint64_t generation; /* newest one when it began: later blocks need no scrub; 0: none is under way */
	uint64_t begun_ns; /* of the one under way, or else of the last one; 0: there was none */
	uint64_t ended_ns; /* of the last complete one; 0: there was none */
	uint64_t snapshot; /* snapshots with ids up to this one are done */
	uint64_t head; /* number of the tree under way, after the snapshots */
	uint64_t walking; /* id of the snapshot under way; 0: a tree after the snapshots is */
	uint64_t at; /* keys of the tree under way whose first eight bytes are less than this are done */
	uint64_t bytes; /* read so far */
	uint32_t damaged, healed; /* problems found so far that are left; those that are healed */
	uint8_t paused;
};

struct th_super {
	uint8_t uuid[16];
	char label[TH_LABEL_MAX + 1];
	uint64_t compat, ro_compat,
		incompat; /* feature bits; none is defined yet; unknown ones are refused, except in compat */
	uint64_t blocks; /* size of the image */
	uint64_t log_first, log_blocks; /* the ring of the intent log */
	uint64_t log_mirror; /* first block of its second copy; 0: there is none */
	uint64_t generation; /* number of this checkpoint */
	uint64_t sequence; /* number of the newest message in it */
	uint64_t mount_count;
	uint64_t next_snapshot_id;
	uint64_t created_ns, checkpoint_ns; /* since the epoch, UTC */
	uint8_t clean; /* 1: closed properly, there is no log to replay; else 0 */
	uint8_t copies; /* of each node, 1 or 2 */
	struct th_log_position log_tail; /* replay starts here */
	struct th_blocklist space_log;
	struct th_blocklist dead, strays; /* of the current branch; see tree/catalogue/dead_list.c */
	uint8_t live_root[TH_SUPER_ROOT_SIZE], meta_root[TH_SUPER_ROOT_SIZE];
	uint64_t counters[8]; /* the tree's: docs/format.md, "Branch" */
	struct th_super_scrub scrub;
	uint16_t carried_size; /* bytes of `carried` in use; the tree defines them: see tree/catalogue/meta.h */
	uint8_t carried[TH_SUPER_CARRIED_BYTES];
};

/* Returns the blocks of the intent log. */
static inline struct th_log_area th_super_log(const struct th_super *super)
{
	return (struct th_log_area){ super->log_first, super->log_blocks, super->log_mirror };
}

/* The block after the first ring, which is the heartbeat's (heartbeat.h); the first one after that; and the blocks of
 * the end ring. */
#define TH_HEARTBEAT_BLOCK ((uint64_t)TH_SUPER_SLOTS)
#define TH_SUPER_FIRST_FREE (TH_HEARTBEAT_BLOCK + 1)
#define TH_SUPER_TAIL_BLOCKS ((uint64_t)TH_SUPER_SLOTS)

/* Writes both copies of the slot of super->generation, without a flush.  Returns 0, -EINVAL for fields that no reader
 * would accept, -ENOMEM or a write error. */
int th_super_write(struct th_disk *disk, const struct th_super *super);
/* Copies the first ring to the end of a disk that grew to `blocks` blocks, and flushes: should the first ring get lost
 * before the next checkpoint, the superblock is still found, now at the end of the disk.  Returns 0, -EINVAL if the
 * disk is smaller, -ENOMEM, or a read or write error. */
int th_super_copy(struct th_disk *disk, uint64_t blocks);
/* Reads the newest valid superblock.  Returns 0, -EMEDIUMTYPE if this is no Thunderhead image, -EUCLEAN if it is one
 * but no slot is valid or the disk is smaller than the image, -EPROTONOSUPPORT for an unknown version or feature,
 * -ENOMEM or a read error. */
int th_super_read(struct th_disk *disk, struct th_super *ret);
/* Lists the valid superblocks of both rings, one of each generation, the newest first.  The caller frees *ret.  Returns
 * 0, even if there are none, -ENOMEM, or a read error if neither ring can be read. */
int th_super_list(struct th_disk *disk, struct th_super **ret, size_t *ret_count);
/* Copies of superblocks that are damaged: not as the same slot of the other ring, which has a newer or the only valid
 * one, or valid in neither ring.  A crash leaves at most one damaged slot. */
struct th_super_rings {
	unsigned slots; /* numbers of slots of which a copy is damaged */
	unsigned damaged; /* copies */
	unsigned mended; /* of these, copies that were rewritten from the other ring */
};

/* Compares the two rings of a store whose newest superblock is *newest, and where disk->heals rewrites damaged slots,
 * with a flush; a write error is not reported.  No other thread writes superblocks.  Returns 0 or -ENOMEM. */
int th_super_mend(struct th_disk *disk, const struct th_super *newest, struct th_super_rings *ret);
/* Zeroes both rings, and the end ring of an older, smaller image, without a flush.  For mkfs: slots of an older store
 * may have higher generations.  Returns 0, -EINVAL if the disk is too small for two rings, -ENOMEM or a write error. */
int th_super_erase(struct th_disk *disk);
/* Returns whether any slot is valid or of an unknown version.  A slot that cannot be read counts as neither.  For mkfs,
 * which overwrites an image only by force. */
bool th_super_present(struct th_disk *disk);

#endif
