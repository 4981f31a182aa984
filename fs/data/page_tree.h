/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of one file, written blocks that writeback has not stored yet, by block number.
 *
 * A file may have 8 EiB of holes with a page at each end, and a streaming writer adds hundreds of pages a second.  So
 * this is a radix tree: 64 slots in a node, as many levels as the largest block number needs.  Empty nodes are freed.
 * The tree of a file that has only block 0, the usual case, has no node.
 *
 * Has no lock of its own: inode->lock guards it.
 */
#ifndef TH_FS_DATA_PAGE_TREE_H
#define TH_FS_DATA_PAGE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal/disk/disk.h"

struct th_file_page {
	uint8_t data[TH_BLOCK_SIZE];
	bool fresh; /* not used here, free for the caller */
};

/* All zero: empty. */
struct th_page_tree {
	void *root; /* height 0: the page of block 0, otherwise a node */
	unsigned height;
	size_t count;
};

/* Allocates an uninitialised page.  Returns NULL without memory. */
struct th_file_page *th_page_tree_alloc(void);
void th_page_tree_free(struct th_file_page *page);

/* Returns the page of a block, or NULL.  The tree keeps it. */
struct th_file_page *th_page_tree_get(const struct th_page_tree *pages, uint64_t block);
/* Returns the first page at or after `block` and its block number, or NULL. */
struct th_file_page *th_page_tree_next(const struct th_page_tree *pages, uint64_t block, uint64_t *ret_block);
/* Adds a page for a block that has none.  Takes ownership on success.  Returns 0 or -ENOMEM. */
int th_page_tree_add(struct th_page_tree *pages, uint64_t block, struct th_file_page *page);
/* Removes the page of a block and returns it; the caller owns it.  Returns NULL if there was none. */
struct th_file_page *th_page_tree_take(struct th_page_tree *pages, uint64_t block);

#endif
