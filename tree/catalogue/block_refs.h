/* SPDX-License-Identifier: Apache-2.0 */
/* The table of shared blocks. */
#ifndef TH_TREE_CATALOGUE_BLOCK_REFS_H
#define TH_TREE_CATALOGUE_BLOCK_REFS_H

#include "tree/state/state.h"

/* One more reference to blocks. */
int th_block_refs_add(struct th_store *store, uint64_t addr, uint32_t blocks);
/* Takes one reference off what is shared of the run; calls free_part for what is not. */
int th_block_refs_drop(struct th_store *store, uint64_t addr, uint32_t blocks,
		       int (*free_part)(struct th_store *store, uint64_t addr, uint32_t blocks));
/* Counts what is shared, at open. */
int th_block_refs_load(struct th_store *store);
/* Calls each() for every shared run with the number of references beyond the first. */
int th_block_refs_each(struct th_store *store, int (*each)(uint64_t addr, uint32_t blocks, uint32_t count, void *arg),
		       void *arg);

#endif
