/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One page of a block list as it lies on disk, and the writer that makes pages.  Internal to journal/.
 *
 * A page holds the whole root of the list that it extends.  So the rest of a list is again a list, and every page's
 * numbers can be checked against what is in it and what is before it: `pages` shrinks with every step down, towards the
 * page before as towards a member, and no walk can run in circles.
 */
#ifndef TH_JOURNAL_SPACE_BLOCKLIST_PAGE_H
#define TH_JOURNAL_SPACE_BLOCKLIST_PAGE_H

#include <stdbool.h>

#include "journal/space/blocklist.h"
#include "journal/space/space.h"

#define TH_BLOCKLIST_MAGIC UINT32_C(0x74736c62) /* "blst" */
#define TH_BLOCKLIST_PAGE_RUNS 168
#define TH_BLOCKLIST_PAGE_MEMBERS 84

enum th_blocklist_kind { TH_BLOCKLIST_RUNS = 1, TH_BLOCKLIST_MEMBERS = 2 };

struct th_blockrun_disk {
	struct th_le64 addr, birth;
	struct th_le32 blocks, tag;
};
static_assert(sizeof(struct th_blockrun_disk) == 24, "format.md: block list run");

/* docs/format.md, "Block list". */
struct th_blocklist_page {
	struct th_le32 magic;
	struct th_le16 kind, count;
	struct th_le64 reserved;
	struct th_blocklist_disk prev; /* the list without this page */
	union {
		struct th_blockrun_disk runs[TH_BLOCKLIST_PAGE_RUNS];
		struct th_blocklist_disk members[TH_BLOCKLIST_PAGE_MEMBERS];
	};
};
static_assert(offsetof(struct th_blocklist_page, runs) == 64, "format.md: block list");
static_assert(sizeof(struct th_blocklist_page) == TH_BLOCK_SIZE, "format.md: block list");

/* Reads and verifies the newest page of a list that is not empty. */
int th_blocklist_page_read(struct th_disk *disk, const struct th_blocklist *list, struct th_blocklist_page *ret);
enum th_blocklist_kind th_blocklist_page_kind(const struct th_blocklist_page *page);
unsigned th_blocklist_page_count(const struct th_blocklist_page *page);
/* The list without this page.  The page was read or is being written: it can't fail. */
struct th_blocklist th_blocklist_page_prev(const struct th_blocklist_page *page);
struct th_blockrun th_blocklist_page_run(const struct th_blocklist_page *page, unsigned i);
struct th_blocklist th_blocklist_page_member(const struct th_blocklist_page *page, unsigned i);

/* Adds b's numbers to a's.  -EOVERFLOW. */
int th_blocklist_sum(struct th_blocklist *a, const struct th_blocklist *b);

/* --- the writer --- */

#define TH_BLOCKLIST_BATCH 16

/* Addresses that pages may be written to. */
struct th_blocklist_supply {
	uint64_t addr;
	uint32_t blocks;
};

/*
 * Appends runs and members to a list.  Pages are gathered and written a batch at a time, in consecutive blocks where
 * the supply allows it.  With a space, pages are taken from it as needed and noted in the commit set; without one, they
 * must have been supplied.  Nothing that exists is changed; on an error the list that the writer began with is whole.
 */
struct th_blocklist_writer {
	struct th_disk *disk;
	struct th_space *space;
	struct th_blocklist list; /* everything sealed */
	struct th_blocklist_page *page; /* being filled; extends list */
	struct th_blocklist own; /* what is in that page */
	uint64_t replaced; /* the page that the open one began as a copy of; 0: none */
	uint64_t expect; /* pages that will probably be needed still */

	struct th_blocklist_supply supply; /* not used yet */
	const struct th_blocklist_supply *more; /* and what comes after it */
	size_t nmore;

	char *batch;
	uint64_t batch_addr;
	uint32_t batch_pages;
	struct th_blocklist_write *behind; /* takes over the last batch; NULL: it is waited for */
};

/* space is NULL if the pages are supplied: in `more`, before the first page is full. */
int th_blocklist_writer_init(struct th_blocklist_writer *writer, struct th_disk *disk, struct th_space *space,
			     const struct th_blocklist *list);
/* Also after a failed init. */
void th_blocklist_writer_release(struct th_blocklist_writer *writer);
/* Goes on in a copy of the newest page, if that is of this kind and has room: writer->replaced is its address.  If it
 * cannot be read the writer is as it was, and begins a page of its own. */
int th_blocklist_writer_reopen(struct th_blocklist_writer *writer, enum th_blocklist_kind kind);
/* Pages that so many more runs take up, the open one included. */
uint64_t th_blocklist_writer_pages(const struct th_blocklist_writer *writer, uint64_t runs);
int th_blocklist_writer_run(struct th_blocklist_writer *writer, const struct th_blockrun *run);
int th_blocklist_writer_member(struct th_blocklist_writer *writer, const struct th_blocklist *member);
/* Writes everything; the new root. */
int th_blocklist_writer_finish(struct th_blocklist_writer *writer, struct th_blocklist *ret);

#endif
