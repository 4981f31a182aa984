/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block list: a persistent, append-only list of block runs.  The space log and every dead list is one.
 *
 * A list is a chain of one-block pages, newest first, each verified by the checksum that its successor (or the list's
 * root) holds for it.  Pages are never written in place: appending copies a newest page that has room, so that the
 * root of the last commit stays whole.  A list may hold another list as a member; that makes joining two lists cheap
 * (the construction is that of the ZFS bpobj and its sub-objects).
 *
 * Lists take their pages from the space and give them back to it, noted in the set of the commit being written.
 */
#ifndef TH_JOURNAL_SPACE_BLOCKLIST_H
#define TH_JOURNAL_SPACE_BLOCKLIST_H

#include "journal/base/format.h"
#include "journal/disk/disk.h"

struct th_space;

/* The root of a list, as kept in memory and (packed by th_blocklist_pack) inside a superblock or catalogue entry. */
struct th_blocklist {
	uint64_t head; /* newest page, 0 if the list is empty */
	uint64_t head_checksum; /* XXH3 of that page */
	uint64_t entries; /* runs, members' included */
	uint64_t blocks; /* blocks in those runs */
	uint64_t max_birth; /* no run in it is younger */
	uint64_t pages; /* pages it occupies, members' included */
};

struct th_blocklist_disk {
	struct th_le64 head, head_checksum, entries, blocks, max_birth, pages;
};
static_assert(sizeof(struct th_blocklist_disk) == 48, "format.md: block list root");

/* One run.  What tag means is the owner's business: the space log keeps alloc or free in it. */
struct th_blockrun {
	uint64_t addr;
	uint64_t birth;
	uint32_t blocks;
	uint32_t tag;
};

void th_blocklist_pack(const struct th_blocklist *list, struct th_blocklist_disk *ret);
/* -EUCLEAN if the fields contradict one another. */
int th_blocklist_unpack(const struct th_blocklist_disk *disk, struct th_blocklist *ret);

/* The last transfer of a list that was appended to, under way.  All zero: there is none. */
struct th_blocklist_write {
	struct th_future future;
	struct iovec iov;
};

/* Appends runs.  Pages are written before it returns, but not flushed; with `behind`, the newest of them may be under
 * way yet, and until th_blocklist_wait the list must not be read or changed.
 *
 * Neither this, nor joining, nor filtering fails because of a page that cannot be read, which the disk tells of: it
 * stays in the list, and with it what it names and what is before it. */
int th_blocklist_append(struct th_blocklist *list, struct th_disk *disk, struct th_space *space,
			const struct th_blockrun *runs, size_t nruns, struct th_blocklist_write *behind);
int th_blocklist_wait(struct th_blocklist_write *behind);
/* Makes `member` a part of `list`, and `member` empty. */
int th_blocklist_join(struct th_blocklist *list, struct th_disk *disk, struct th_space *space,
		      struct th_blocklist *member);
/* Calls each() for every run, oldest first; a non-zero answer ends the walk and is returned.  -EBADMSG, -EUCLEAN for a
 * damaged page.  each_page, if given, is told every page's address as well (for the checker). */
int th_blocklist_each(const struct th_blocklist *list, struct th_disk *disk,
		      int (*each)(const struct th_blockrun *run, void *arg), int (*each_page)(uint64_t addr, void *arg),
		      void *arg);
/* Splits off every run with birth > than (0: all that were born, so that it empties the list): calls each() for it and
 * keeps the rest in the list (rewritten where it changed; members whose max_birth is not greater are kept as they are,
 * unread).  About *budget entries are looked at, which are taken off it; where it ends before the list does, max_birth
 * is still > than, and the next call goes on.  So it is, too, with some of *budget left, where there is a page that
 * cannot be read.  each() comes last, and its answer, if it is not 0, is returned; before, an error leaves the list as
 * it was. */
int th_blocklist_filter(struct th_blocklist *list, struct th_disk *disk, struct th_space *space, uint64_t than,
			size_t *budget, int (*each)(const struct th_blockrun *run, void *arg), void *arg);

#endif
