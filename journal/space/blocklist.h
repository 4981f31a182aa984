/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block list: a persistent, append-only list of block runs.  The space log and every dead list is one.
 *
 * A list is a chain of one-block pages, newest first.  Each page is verified by the checksum in its successor, or in
 * the list's root.  Pages are never written in place: appending to a page that has room writes a new version of it, so
 * the root in the last checkpoint stays valid.  A page has a second copy if the space says so (th_space_copies()).  A
 * reader takes the first copy, and if that is damaged the second, which it then writes over the first where the disk
 * allows it (th_disk.heals).  A list may contain another list as a member, which makes joining two lists
 * cheap (as the sub-objects of a ZFS bpobj).
 *
 * Lists take their pages from the space and free them there, noted in the set of the checkpoint being written. A caller
 * serialises access to one list; different lists may be used by different threads.
 */
#ifndef TH_JOURNAL_SPACE_BLOCKLIST_H
#define TH_JOURNAL_SPACE_BLOCKLIST_H

#include "journal/base/format.h"
#include "journal/disk/disk.h"

struct th_space;

/* The root of a list in memory.  A superblock or catalogue entry has it packed by th_blocklist_pack().  All zero: the
 * empty list. */
struct th_blocklist {
	uint64_t head; /* newest page, 0 if the list is empty */
	uint64_t mirror; /* its second copy, 0 if there is one copy */
	uint64_t head_checksum; /* XXH3 of that page */
	uint64_t entries; /* runs, those of members included */
	uint64_t blocks; /* blocks in those runs */
	uint64_t max_birth; /* highest birth among them */
	uint64_t pages; /* pages that the list occupies, those of members included */
};

struct th_blocklist_disk {
	struct th_le64 head, mirror, head_checksum, entries, blocks, max_birth, pages;
};
static_assert(sizeof(struct th_blocklist_disk) == 56, "format.md: block list root");

/* One run of blocks.  The owner of the list defines the tag: in the space log, allocated or freed. */
struct th_blockrun {
	uint64_t addr;
	uint64_t birth;
	uint32_t blocks;
	uint32_t tag;
};

/* Are called for each run, or for each page with the list of which it is the newest.  Non-zero ends the walk, which
 * returns it. */
typedef int th_blocklist_visit(const struct th_blockrun *run, void *arg);
typedef int th_blocklist_visit_page(const struct th_blocklist *list, void *arg);

void th_blocklist_pack(const struct th_blocklist *list, struct th_blocklist_disk *ret);
/* Returns 0, or -EUCLEAN if the fields contradict each other. */
int th_blocklist_unpack(const struct th_blocklist_disk *disk, struct th_blocklist *ret);

/* The last write of an append while it is under way.  All zero: none.  The owner zeroes it before the first use. */
struct th_blocklist_write {
	struct th_future future[2]; /* of each copy */
	unsigned copies;
	struct iovec iov; /* owned */
};

/* Appends runs to the list.  Pages are written when it returns, but not flushed.  With `pending` (may be NULL), the
 * write of the newest pages may still be under way: until th_blocklist_wait() the list must not be read or changed.
 * Appending, joining and filtering do not fail because of a page that cannot be read, which the disk reports.  That
 * page stays in the list, with its entries and every older page.
 * Returns 0, -ENOSPC, -ENOMEM or a write error, which leave the list as it was. */
int th_blocklist_append(struct th_blocklist *list, struct th_disk *disk, struct th_space *space,
			const struct th_blockrun *runs, size_t nruns, struct th_blocklist_write *pending);
/* Waits for a pending write, if there is one, and zeroes it.  Returns its result. */
int th_blocklist_wait(struct th_blocklist_write *pending);
/* Adds all runs of `member` to `list` and empties `member`.  Returns as th_blocklist_append(). */
int th_blocklist_join(struct th_blocklist *list, struct th_disk *disk, struct th_space *space,
		      struct th_blocklist *member);
/* Calls visit() for every run, oldest first.  visit_page(), for the checker, is called for every page.  Either may be
 * NULL.  Returns 0, the first non-zero value that they return, -EBADMSG or -EUCLEAN for a damaged page, a read error or
 * -ENOMEM. */
int th_blocklist_each(const struct th_blocklist *list, struct th_disk *disk, th_blocklist_visit *visit,
		      th_blocklist_visit_page *visit_page, void *arg);
/* Removes every run with birth > keep_birth and calls visit() for it; 0 removes all runs, as births start at 1.  Pages
 * are rewritten where they change; members whose max_birth is not above keep_birth are kept without being read.
 *
 * Looks at about *budget entries and subtracts them from it.  If the budget ends first, max_birth is still above
 * keep_birth and the next call continues.  That is also so, with some of *budget left, if a page cannot be read.
 *
 * visit() is called only after everything else has succeeded.
 * Returns 0, the first non-zero value of visit(), or an error of th_blocklist_append(), which leaves the list as it
 * was. */
int th_blocklist_filter(struct th_blocklist *list, struct th_disk *disk, struct th_space *space, uint64_t keep_birth,
			size_t *budget, th_blocklist_visit *visit, void *arg);

#endif
