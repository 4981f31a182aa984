/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages: written blocks of one file that wait in memory, ordered by block number.
 *
 * A file may be 8 EiB of holes with a page at either end, and a streaming writer adds hundreds a second, so this is a
 * radix tree: 64 slots a node, as high as the largest block number needs, nodes freed when they empty.  A file with
 * nothing but block 0, as most are, has no node at all.
 *
 * Not locked: the inode's lock guards it.
 */
#ifndef TH_FS_FORMAT_PAGE_TREE_H
#define TH_FS_FORMAT_PAGE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal/disk/disk.h"

struct th_file_page {
	uint8_t data[TH_BLOCK_SIZE];
	bool fresh; /* for the owner */
};

/* All zero is empty. */
struct th_page_tree {
	void *root; /* height 0: the page of block 0; else a node */
	unsigned height;
	size_t count;
};

/* A page for th_page_tree_add, not initialised; NULL without memory. */
struct th_file_page *th_page_tree_alloc(void);
void th_page_tree_free(struct th_file_page *page);

/* The page of a block, or NULL. */
struct th_file_page *th_page_tree_get(const struct th_page_tree *pages, uint64_t block);
/* The first page at `block` or after it, or NULL. */
struct th_file_page *th_page_tree_next(const struct th_page_tree *pages, uint64_t block, uint64_t *ret_block);
/* Adds a page for a block that has none, taking it over on success.  -ENOMEM. */
int th_page_tree_add(struct th_page_tree *pages, uint64_t block, struct th_file_page *page);
/* Removes a page and hands it to the caller; NULL if there was none. */
struct th_file_page *th_page_tree_take(struct th_page_tree *pages, uint64_t block);

#endif
