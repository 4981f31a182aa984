/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space: which blocks are in use.  A map in memory, logged on disk.
 *
 * Each checkpoint appends the runs it allocated and freed to a block list, the space log.  Loading replays the log, so
 * freeing a block never needs the structure that it belonged to.  A log more than twice as long as the plain list of
 * runs in use is condensed: replaced by that list.
 *
 * The life of a block:
 *
 *   free --take--> taken --note_alloc--> allocated --note_free--> freed --two checkpoints--> free
 *                      \--give--> free
 *
 *   S1  A block that was only taken is in no set: after a crash it is free again.
 *
 *   S2  A set is written by exactly one checkpoint.  The live set collects the notes of transactions.
 *       th_space_freeze() turns it into the checkpoint set, to which the checkpoint adds its own nodes and pages.
 *
 *   S3  A freed block is handed out again only when the checkpoint that freed it and the next one are durable, so that
 *       the two newest superblocks always refer to whole trees.  Freed blocks also wait while a frozen view is open.
 *
 *   S4  The free blocks suffice for all nodes that are not written yet.  The store pledges the blocks of such nodes
 *       (th_space_pledge) before a change makes them dirty.
 *
 * Counts of free blocks: a few per cent are kept as an emergency reserve, so that deletions and checkpoints work on a
 * full image.  TH_SPACE_META may use it, and half of it th_space_reserve_emergency().  th_space_reserve() sets blocks
 * aside for data that is written later (delayed allocation).
 *
 * Addresses and lengths count blocks of TH_BLOCK_SIZE.  Any thread may call any function here, except where stated.
 */
#ifndef TH_JOURNAL_SPACE_SPACE_H
#define TH_JOURNAL_SPACE_SPACE_H

#include <stdbool.h>
#include <stddef.h>

#include "journal/space/blocklist.h"

struct th_space;

/* Blocks (64 KiB) that are discarded together after checkpoints freed them.  A smaller number gives back more of the
 * space between used blocks, at more discards, each of which costs the layer below some 20 microseconds and fragments
 * its map.  Thin volumes and image formats allocate no less than 64 KiB, so most of them can do nothing with less. */
#define TH_SPACE_TRIM_UNIT 16

enum th_space_class {
	TH_SPACE_USER, /* data without a reservation */
	TH_SPACE_RESERVED, /* data; uses up reserved blocks */
	TH_SPACE_META, /* nodes and pages; may use reserved blocks and the emergency reserve */
	TH_SPACE_MIRROR, /* second copies: as TH_SPACE_META, and where the hint is, though it was never used */
};
enum th_space_set { TH_SPACE_LIVE, TH_SPACE_CHECKPOINT };

/* Counts of blocks. */
struct th_space_stat {
	uint64_t blocks; /* total */
	uint64_t free; /* neither taken, allocated nor waiting */
	uint64_t waiting; /* freed, not reusable yet (S3) */
	uint64_t reserved;
	uint64_t emergency; /* the emergency reserve */
	uint64_t available; /* to TH_SPACE_USER: free or waiting, and not reserved, pledged or kept */
};

/* Makes a map of the blocks [0, blocks), all free.  The caller then claims the fixed areas (superblocks, intent log),
 * and owns *ret.  Returns 0, -EINVAL if blocks is 0 or too many, or -ENOMEM. */
int th_space_new(uint64_t blocks, struct th_space **ret);
/* Sets the number of copies of nodes and pages, 1 (as at first) or 2.  Two need a larger emergency reserve. */
void th_space_set_copies(struct th_space *space, unsigned copies);
unsigned th_space_copies(struct th_space *space);
/* Returns the block from which on a second copy is to be, if the first is at `addr`: half a disk further, so that
 * damage to a stretch of the disk leaves one of them.  A hint for th_space_take(). */
uint64_t th_space_far(struct th_space *space, uint64_t addr);
/* Frees it.  NULL is ignored. */
void th_space_free(struct th_space *space);

/* Makes the map larger, of which the last `tail` blocks are claimed; all other new blocks are free.  To be called when
 * the superblock with the new size is durable: before, a crash could leave a log that names blocks outside the map.
 * Returns 0, -EINVAL if it is not larger by `tail` blocks or more, or -ENOMEM, which leaves the size as it was. */
int th_space_grow(struct th_space *space, uint64_t blocks, uint64_t tail);

/* Takes a run of `min` to `want` blocks, at or after *hint if possible, and moves *hint to the end of the run, so that
 * the runs of one writer are consecutive.  hint may be NULL and *hint 0: no preference.
 * Returns 0, -ENOSPC, -EINVAL if min is 0 or above want, or -ENOMEM. */
int th_space_take(struct th_space *space, enum th_space_class class, uint32_t want, uint32_t min, uint64_t *hint,
		  uint64_t *ret_addr, uint32_t *ret_blocks);
/* Returns taken blocks that were not noted. */
void th_space_give(struct th_space *space, uint64_t addr, uint32_t blocks);

/* Note a run in a set as allocated or freed.  They cannot fail: if there is no memory, the next checkpoint fails. */
void th_space_note_alloc(struct th_space *space, enum th_space_set set, uint64_t addr, uint32_t blocks);
void th_space_note_free(struct th_space *space, enum th_space_set set, uint64_t addr, uint32_t blocks);

/* Sets blocks aside from those free for TH_SPACE_USER.  Returns 0 or -ENOSPC. */
int th_space_reserve(struct th_space *space, uint32_t blocks);
/* The same, but may set aside up to half of the emergency reserve too.  Returns 0 or -ENOSPC. */
int th_space_reserve_emergency(struct th_space *space, uint32_t blocks);
/* Returns reserved blocks that were not used. */
void th_space_unreserve(struct th_space *space, uint32_t blocks);

/* Pledges blocks to nodes that are not written yet, in place of those pledged before (S4).  No reservation, and no
 * TH_SPACE_USER, gets them. */
void th_space_pledge(struct th_space *space, uint64_t blocks);
/* The same, unless fewer than `keep` free blocks would be left.  Returns 0 or -ENOSPC: then nothing has changed. */
int th_space_try_pledge(struct th_space *space, uint64_t blocks, uint64_t keep);

/* Marks a run as in use: a fixed area at the start, or a run named by a replayed intent log, which the caller also
 * notes in the live set.  Returns 0, -EUCLEAN if the run is outside the map or in use, or -ENOMEM. */
int th_space_claim(struct th_space *space, uint64_t addr, uint64_t blocks);
/* Returns whether every block of the run is inside the map and in use.  For the checker and for replay. */
bool th_space_in_use(struct th_space *space, uint64_t addr, uint64_t blocks);

/* Loads the map from a space log, after the fixed areas were claimed.  Returns 0, -EINVAL if the disk is smaller than
 * the map, -EBADMSG or -EUCLEAN for a damaged log (which is reported), a read error or -ENOMEM. */
int th_space_load(struct th_space *space, struct th_disk *disk, const struct th_blocklist *log);

/* --- the steps of a checkpoint, in this order; one thread at a time calls them --- */

/* Turns the live set into the checkpoint set, which must be empty. */
void th_space_freeze(struct th_space *space);
/* Appends the checkpoint set to the log, or condenses the log.  Notes the log's own pages itself.  The caller notes
 * nothing in the checkpoint set afterwards.
 * Returns 0, -EUCLEAN if the set contradicts the map (which is reported), -ENOSPC, -ENOMEM or a write error, which
 * leave *log as it was. */
int th_space_checkpoint(struct th_space *space, struct th_disk *disk, struct th_blocklist *log);
/* Makes blocks usable that the previous checkpoint freed, unless they are pinned.  Called when the superblock that
 * names the log of th_space_checkpoint() is durable. */
void th_space_checkpointed(struct th_space *space);

/* Pin and unpin freed blocks.  While there are more pins than unpins, no freed block is handed out again: a reader uses
 * a state of the tree that no superblock names.  Frees are logged as usual. */
void th_space_pin(struct th_space *space);
void th_space_unpin(struct th_space *space);

/* Starts (on) or ends noting blocks that checkpoints free, for th_space_trim_freed().  Off at first. */
void th_space_trim_enable(struct th_space *space, bool on);
/* Discards blocks that became free, in whole units, in up to `most` steps: each is a discard or finds nothing to do.
 * Its first call after all due units are done only makes the units due that were freed since; so blocks that are soon
 * reused are not discarded.  One thread at a time.  Takes the lock only between discards.
 * Returns 0, 1 if more units are due, or the error of th_disk_discard(). */
int th_space_trim_freed(struct th_space *space, struct th_disk *disk, unsigned most);
/* Discards all free runs of at least `least` blocks in [from, to), which is cut at the end of the map.  Adds up the
 * discarded blocks in *ret_blocks, also if it fails.  Returns 0 or the error of th_disk_discard(). */
int th_space_trim(struct th_space *space, struct th_disk *disk, uint64_t from, uint64_t to, uint64_t least,
		  uint64_t *ret_blocks);

void th_space_stat(struct th_space *space, struct th_space_stat *ret);

/* Takes a run of blocks in use.  Returns 0 to go on, or another value, which ends the walk and is returned by it. */
typedef int th_space_visit(uint64_t addr, uint64_t blocks, void *arg);

/* Calls visit(), without a lock, for every maximal run in use in the logged map: the state of the last
 * th_space_checkpoint() or th_space_load().  Returns 0 or the first non-zero value of visit(). */
int th_space_each_used(struct th_space *space, th_space_visit *visit, void *arg);

#endif
