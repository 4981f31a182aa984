/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block references: a table of the blocks that have more than one reference inside one tree, and how many more.
 *
 * It has disjoint runs, and only blocks that are shared now, so a store without shared blocks never reads it.  A
 * reference is taken off where the blocks would be freed otherwise: when the live tree drops them, or when the last
 * snapshot that needs them is reclaimed.  So each reference counts with its own birth, as in ZFS's block reference
 * table.
 *
 * The table lies in the meta tree; changes are made within a checkpoint, with checkpoint_lock held.
 */
#ifndef TH_TREE_CATALOGUE_BLOCK_REFS_H
#define TH_TREE_CATALOGUE_BLOCK_REFS_H

#include "tree/state/state.h"

/* Frees blocks that have lost their last reference.  Returns 0 or -errno. */
typedef int th_block_refs_free(struct th_store *store, uint64_t addr, uint32_t blocks);
/* Takes one run of the table; count: references beyond the first.  Returns 0 to go on. */
typedef int th_block_refs_visit(uint64_t addr, uint32_t blocks, uint32_t count, void *arg);

/* Adds one reference to blocks.  Returns 0 or a read error. */
int th_block_refs_add(struct th_store *store, uint64_t addr, uint32_t blocks);
/* Takes one reference off blocks, and calls free_part for each part that has no other.  Returns 0, the error of
 * free_part, or a read error. */
int th_block_refs_drop(struct th_store *store, uint64_t addr, uint32_t blocks, th_block_refs_free *free_part);
/* Calls visit() for those parts of [addr, addr + blocks) that the table has, in the order of addresses.  Changes
 * nothing.  Returns as th_block_refs_each(). */
int th_block_refs_inside(struct th_store *store, uint64_t addr, uint32_t blocks, th_block_refs_visit *visit, void *arg);
/* Counts the shared blocks when a store is opened (shared_blocks).  Returns 0, -EUCLEAN, or a read error. */
int th_block_refs_load(struct th_store *store);
/* Calls each() for every run, in the order of addresses.  Returns 0, the first result of each() that is not 0, or a
 * read error. */
int th_block_refs_each(struct th_store *store, th_block_refs_visit *each, void *arg);

#endif
