/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/page_tree.h"

#include <errno.h>
#include <stdlib.h>

#define NODE_BITS 6
#define NODE_SLOTS (1u << NODE_BITS)
#define HEIGHT_MAX ((64 + NODE_BITS - 1) / NODE_BITS)

struct pages_node {
	uint64_t used; /* a bit for each slot that is not NULL */
	void *slots[NODE_SLOTS]; /* pages on the lowest level, otherwise nodes */
};

struct th_file_page *th_page_tree_alloc(void)
{
	return malloc(sizeof(struct th_file_page));
}

void th_page_tree_free(struct th_file_page *page)
{
	free(page);
}

/* Returns the slot of a node on this level (1 is the lowest) that leads to the block. */
static unsigned pages_slot(uint64_t block, unsigned level)
{
	return block >> ((level - 1) * NODE_BITS) & (NODE_SLOTS - 1);
}

static bool pages_reaches(unsigned height, uint64_t block)
{
	return height >= HEIGHT_MAX || block >> (height * NODE_BITS) == 0;
}

struct th_file_page *th_page_tree_get(const struct th_page_tree *pages, uint64_t block)
{
	void *at = pages->root;

	if (!pages_reaches(pages->height, block))
		return NULL;
	for (unsigned level = pages->height; level && at; level--)
		at = ((struct pages_node *)at)->slots[pages_slot(block, level)];
	return at;
}

/* Finds the first page at or after `block` below a node whose first block is `base`. */
static struct th_file_page *pages_next_below(void *at, unsigned level, uint64_t base, uint64_t block,
					     uint64_t *ret_block)
{
	struct pages_node *node = at;
	unsigned slot;

	if (!level) {
		*ret_block = base;
		return at;
	}
	slot = block > base ? pages_slot(block, level) : 0;
	for (uint64_t left = node->used & (UINT64_MAX << slot); left; left &= left - 1) {
		unsigned i = __builtin_ctzll(left);
		uint64_t start = base + ((uint64_t)i << ((level - 1) * NODE_BITS));
		struct th_file_page *page = pages_next_below(node->slots[i], level - 1, start, block, ret_block);

		if (page)
			return page;
	}
	return NULL;
}

struct th_file_page *th_page_tree_next(const struct th_page_tree *pages, uint64_t block, uint64_t *ret_block)
{
	if (!pages->root || !pages_reaches(pages->height, block))
		return NULL;
	return pages_next_below(pages->root, pages->height, 0, block, ret_block);
}

/* Adds levels at the root until the tree covers the block. */
static int pages_grow(struct th_page_tree *pages, uint64_t block)
{
	while (!pages_reaches(pages->height, block)) {
		struct pages_node *node;

		if (pages->root) {
			node = calloc(1, sizeof(*node));
			if (!node)
				return -ENOMEM;
			node->slots[0] = pages->root;
			node->used = 1;
			pages->root = node;
		}
		pages->height++;
	}
	return 0;
}

static int pages_add_below(void **at, unsigned level, uint64_t block, struct th_file_page *page)
{
	struct pages_node *node = *at;
	int err;

	if (!level) {
		*at = page;
		return 0;
	}
	if (!node)
		node = calloc(1, sizeof(*node));
	if (!node)
		return -ENOMEM;
	err = pages_add_below(&node->slots[pages_slot(block, level)], level - 1, block, page);
	if (!err)
		node->used |= UINT64_C(1) << pages_slot(block, level);
	if (node->used)
		*at = node;
	else
		free(node);
	return err;
}

int th_page_tree_add(struct th_page_tree *pages, uint64_t block, struct th_file_page *page)
{
	int err = pages_grow(pages, block);

	if (!err)
		err = pages_add_below(&pages->root, pages->height, block, page);
	if (!err)
		pages->count++;
	if (!pages->root)
		pages->height = 0;
	return err;
}

/* Removes a page and the nodes that become empty. */
static struct th_file_page *pages_take_below(void **at, unsigned level, uint64_t block)
{
	struct pages_node *node = *at;
	struct th_file_page *page;
	unsigned slot;

	if (!node || !level) {
		page = *at;
		*at = NULL;
		return page;
	}
	slot = pages_slot(block, level);
	page = pages_take_below(&node->slots[slot], level - 1, block);
	if (!node->slots[slot])
		node->used &= ~(UINT64_C(1) << slot);
	if (!node->used) {
		*at = NULL;
		free(node);
	}
	return page;
}

struct th_file_page *th_page_tree_take(struct th_page_tree *pages, uint64_t block)
{
	struct th_file_page *page;

	if (!pages_reaches(pages->height, block))
		return NULL;
	page = pages_take_below(&pages->root, pages->height, block);
	if (page)
		pages->count--;
	if (!pages->root)
		pages->height = 0;
	return page;
}
