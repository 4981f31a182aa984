/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One page of a block list on disk, and the writer that makes pages.  Internal to journal/space.
 *
 * A page contains the whole root of the list that it extends.  So the rest of a list is again a list, and the totals of
 * a root can be checked against its newest page and the root in that.  `pages` decreases with every step, to the
 * previous page as to a member, so no walk can run in circles.
 */
#ifndef TH_JOURNAL_SPACE_BLOCKLIST_PAGE_H
#define TH_JOURNAL_SPACE_BLOCKLIST_PAGE_H

#include <stdbool.h>

#include "journal/space/blocklist.h"
#include "journal/space/space.h"

#define TH_BLOCKLIST_MAGIC UINT32_C(0x74736c62) /* "blst" */
#define TH_BLOCKLIST_PAGE_RUNS 168
#define TH_BLOCKLIST_PAGE_MEMBERS 72

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
	struct th_blocklist_disk prev; /* the list without this page */
	union {
		struct th_blockrun_disk runs[TH_BLOCKLIST_PAGE_RUNS];
		struct th_blocklist_disk members[TH_BLOCKLIST_PAGE_MEMBERS];
	};
};
static_assert(offsetof(struct th_blocklist_page, runs) == 64, "format.md: block list");
static_assert(sizeof(struct th_blocklist_page) == TH_BLOCK_SIZE, "format.md: block list");

/* Reads and verifies the newest page of a list that is not empty: its first copy, or else its second, which then heals
 * the first.  Returns 0, -EBADMSG for a wrong checksum, -EUCLEAN for contradictory content (both are reported), or a
 * read error, if no copy is right. */
int th_blocklist_page_read(struct th_disk *disk, const struct th_blocklist *list, struct th_blocklist_page *ret);
enum th_blocklist_kind th_blocklist_page_kind(const struct th_blocklist_page *page);
unsigned th_blocklist_page_count(const struct th_blocklist_page *page);
/* Returns the list without this page.  The page was verified or is being written, so this cannot fail. */
struct th_blocklist th_blocklist_page_prev(const struct th_blocklist_page *page);
struct th_blockrun th_blocklist_page_run(const struct th_blocklist_page *page, unsigned i);
struct th_blocklist th_blocklist_page_member(const struct th_blocklist_page *page, unsigned i);

/* Adds the totals of b to those of a.  Returns 0 or -EOVERFLOW. */
int th_blocklist_sum(struct th_blocklist *a, const struct th_blocklist *b);

/* --- the writer --- */

#define TH_BLOCKLIST_BATCH 16 /* pages: 64 KiB in one write */

/* A run of addresses for pages. */
struct th_blocklist_supply {
	uint64_t addr;
	uint32_t blocks;
};

/* Unused addresses for one copy of pages. */
struct th_blocklist_supplies {
	struct th_blocklist_supply now; /* in use */
	const struct th_blocklist_supply *more; /* the next ones; the caller's */
	size_t nmore;
};

/*
 * Appends runs and members to a list.  Pages are collected and written a batch at a time, in consecutive blocks where
 * the supply allows it.  With a space, pages are taken from it as needed and noted in the checkpoint set; without one,
 * the caller supplies them, and as many blocks for second copies if there are to be any.  Existing pages are not
 * changed: after an error the list that the writer started with is still valid.
 */
struct th_blocklist_writer {
	struct th_disk *disk;
	struct th_space *space;
	struct th_blocklist list; /* the sealed pages */
	struct th_blocklist_page *page; /* owned; the open page, which extends list */
	struct th_blocklist own; /* totals of that page's entries */
	uint64_t replaced, replaced_mirror; /* copies of the page that the open one is a new version of; 0: none */
	uint64_t expect; /* estimate of the pages still needed; if wrong, pages are taken in more or smaller runs */

	struct th_blocklist_supplies first, second; /* of the two copies; no second: pages have one copy */

	char *batch; /* owned */
	uint64_t batch_addr, batch_mirror; /* batch_mirror 0: its pages have one copy */
	uint32_t batch_pages;
	struct th_blocklist_write *pending; /* takes the last batch while it is written; NULL: finish waits for it */
};

/* Starts a writer that extends *list.  space is NULL if the caller supplies pages: it sets more and nmore of the first
 * copies, and of the second if there are to be any, before the first page is full.  The caller releases the writer,
 * even after an error.  Returns 0 or -ENOMEM. */
int th_blocklist_writer_init(struct th_blocklist_writer *writer, struct th_disk *disk, struct th_space *space,
			     const struct th_blocklist *list);
/* Frees the writer's memory and gives unused pages back to the space. */
void th_blocklist_writer_release(struct th_blocklist_writer *writer);
/* Continues in a new version of the newest page, if that has this kind and room; writer->replaced is then its address.
 * Returns 0 or an error of th_blocklist_page_read(), after which the writer can be used and starts a new page. */
int th_blocklist_writer_reopen(struct th_blocklist_writer *writer, enum th_blocklist_kind kind);
/* Returns how many pages `runs` more runs need, the open one included. */
uint64_t th_blocklist_writer_pages(const struct th_blocklist_writer *writer, uint64_t runs);
/* Append one run or member.  Return 0, -EINVAL for an empty run, -EOVERFLOW, -ENOSPC or a write error. */
int th_blocklist_writer_run(struct th_blocklist_writer *writer, const struct th_blockrun *run);
int th_blocklist_writer_member(struct th_blocklist_writer *writer, const struct th_blocklist *member);
/* Writes all remaining pages and sets *ret to the new root.  Returns as th_blocklist_writer_run(). */
int th_blocklist_writer_finish(struct th_blocklist_writer *writer, struct th_blocklist *ret);

#endif
