/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space: which blocks are in use.  A map in memory, logged on disk.
 *
 * Each commit appends the runs it allocated and freed to a block list, the space log; when the log has grown to twice
 * what the plain map would need, it is condensed: written anew as the list of runs in use.  Loading replays it. Freeing
 * a block therefore never needs the structure it is freed from.
 *
 * The life of a block:
 *
 *   free --take--> taken --note_alloc--> allocated --note_free--> freed --two commits--> free
 *             \--give--> free
 *
 *   S1  A block that was merely taken is in no set: after a crash it is free again.
 *
 *   S2  A set is written by exactly one commit.  The live set collects what merges note; th_space_freeze turns it into
 *       the commit set, to which the commit adds its own nodes and pages.
 *
 *   S3  A freed block is handed out again only when the commit that freed it and the one after it are durable, so that
 *       the two newest superblocks always name whole trees.
 *
 * Free counts: a few per cent are kept in reserve; only TH_SPACE_META may take from it, so that deleting and flushing
 * work on a full image.  th_space_reserve sets blocks aside for data that is written later (delayed allocation).
 * All functions may be called from any thread.
 */
#ifndef TH_JOURNAL_SPACE_SPACE_H
#define TH_JOURNAL_SPACE_SPACE_H

#include <stdbool.h>
#include <stddef.h>

#include "journal/space/blocklist.h"

struct th_space;

enum th_space_class { TH_SPACE_USER, TH_SPACE_RESERVED, TH_SPACE_META };
enum th_space_set { TH_SPACE_LIVE, TH_SPACE_CHECKPOINT };

struct th_space_stat {
	uint64_t blocks; /* in all */
	uint64_t free; /* neither taken, allocated nor waiting */
	uint64_t waiting; /* freed, not yet reusable (S3) */
	uint64_t reserved;
	uint64_t emergency; /* kept for TH_SPACE_META */
};

/* A map over the blocks [0, blocks), all free.  The caller then claims what is fixed (superblocks, log). */
int th_space_new(uint64_t blocks, struct th_space **ret);
void th_space_free(struct th_space *space);

/* Takes a run of at most `want` and at least `min` blocks, near and after *hint where it can; *hint (may be NULL, 0: no
 * wish) is moved behind the run, so that one writer's runs follow one another.  TH_SPACE_RESERVED uses up reserved
 * blocks.  -ENOSPC. */
int th_space_take(struct th_space *space, enum th_space_class class, uint32_t want, uint32_t min, uint64_t *hint,
		  uint64_t *ret_addr, uint32_t *ret_blocks);
/* Gives back what was taken and never noted. */
void th_space_give(struct th_space *space, uint64_t addr, uint32_t blocks);

void th_space_note_alloc(struct th_space *space, enum th_space_set set, uint64_t addr, uint32_t blocks);
void th_space_note_free(struct th_space *space, enum th_space_set set, uint64_t addr, uint32_t blocks);

/* Sets blocks aside out of the unreserved part; -ENOSPC.  th_space_unreserve returns what was not used. */
int th_space_reserve(struct th_space *space, uint32_t blocks);
void th_space_unreserve(struct th_space *space, uint32_t blocks);

/* Marks a run as in use: fixed areas at the start, and runs named by a replayed log (which are also noted in the live
 * set by the caller).  -EUCLEAN if it is outside the map or in use already. */
int th_space_claim(struct th_space *space, uint64_t addr, uint64_t blocks);
/* Is every block of the run inside the map and in use?  For the checker and for replay. */
bool th_space_in_use(struct th_space *space, uint64_t addr, uint64_t blocks);

/* Loads the map from a space log.  Fixed areas must have been claimed before. */
int th_space_load(struct th_space *space, struct th_disk *disk, const struct th_blocklist *log);
/* The live set becomes the commit set.  There must be none under way. */
void th_space_freeze(struct th_space *space);
/* Writes the commit set to the log (condensing now and then); the pages of the log note themselves.  Nothing may be
 * noted in the commit set after it. */
int th_space_checkpoint(struct th_space *space, struct th_disk *disk, struct th_blocklist *log);
/* The superblock naming that log is durable: what the commit before freed becomes free, unless it is held. */
void th_space_checkpointed(struct th_space *space);
/* Until th_space_unpin, as often called, no freed block is handed out again: somebody still reads a state that is not
 * kept on disk.  The frees themselves are logged as ever. */
void th_space_pin(struct th_space *space);
void th_space_unpin(struct th_space *space);

void th_space_stat(struct th_space *space, struct th_space_stat *ret);
/* Calls each() for every maximal run that the logged map (the state of the last th_space_checkpoint or load) has in use. */
int th_space_each_used(struct th_space *space, int (*each)(uint64_t addr, uint64_t blocks, void *arg), void *arg);

#endif
