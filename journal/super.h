/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Superblocks: a ring of eight at the start of the image and a second ring at its end, one block each.
 *
 * A commit writes slot (generation mod 8) of both rings.  The newest slot whose checksum, identity and geometry are
 * right is the state of the store.  A slot is one block and carries its own XXH3; a torn one is simply not the
 * newest valid one.
 */
#ifndef TH_JOURNAL_SUPER_H
#define TH_JOURNAL_SUPER_H

#include <stdbool.h>

#include "journal/log.h"
#include "journal/space/blocklist.h"

#define TH_SUPER_SLOTS 8
#define TH_SUPER_ROOT_SIZE 64 /* room for one packed root pointer of a tree; its format is the tree's */
#define TH_SUPER_CARRIED_BYTES 3532
#define TH_LABEL_MAX 63
#define TH_FORMAT_VERSION 1

struct th_super {
	uint8_t uuid[16];
	char label[TH_LABEL_MAX + 1];
	uint64_t compat, ro_compat, incompat; /* feature bits; none defined yet, unknown ones are refused at the door */
	uint64_t blocks; /* size of the image */
	uint64_t log_first, log_blocks; /* the intent log's ring */
	uint64_t generation; /* of this commit */
	uint64_t sequence; /* newest message in it */
	uint64_t mount_count;
	uint64_t next_snapshot_id;
	uint64_t created_ns, checkpoint_ns; /* since the epoch, UTC */
	uint8_t clean; /* unmounted in an orderly way: there is no log to replay */
	struct th_log_position log_tail;
	struct th_blocklist space_log;
	struct th_blocklist dead, strays; /* the live dead list; see tree/dead.c */
	uint8_t live_root[TH_SUPER_ROOT_SIZE], meta_root[TH_SUPER_ROOT_SIZE];
	uint64_t counters[8]; /* for the tree: see tree/state/state.h */
	uint16_t carried_size; /* bytes of `carried` that mean something; what, the tree knows: see tree/meta.h */
	uint8_t carried[TH_SUPER_CARRIED_BYTES];
};

/* First block that no superblock occupies, and how many blocks the end ring takes. */
#define TH_SUPER_FIRST_FREE ((uint64_t)TH_SUPER_SLOTS)
#define TH_SUPER_TAIL_BLOCKS ((uint64_t)TH_SUPER_SLOTS)

/* Writes both copies of the slot of super->generation.  Not flushed.  -EINVAL: fields that no reader would accept. */
int th_super_write(struct th_disk *disk, const struct th_super *super);
/* Reads the newest valid one.  -EMEDIUMTYPE: no Thunderhead image; -EUCLEAN: one, but no slot is whole, or the image is
 * shorter than it says; -EPROTONOSUPPORT: a feature or version that this program does not know. */
int th_super_read(struct th_disk *disk, struct th_super *ret);
/* Zeroes every slot of both rings, and of an older image's end ring, if there was one.  Not flushed.  For mkfs: what an
 * older store left behind may carry higher generations. */
int th_super_erase(struct th_disk *disk);
/* Would th_super_read find any valid slot?  For mkfs, which refuses to overwrite without being told to. */
bool th_super_present(struct th_disk *disk);

#endif
