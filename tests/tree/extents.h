/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that name runs of blocks, like a filesystem's, with a checksum for each block.  Reading the data of a view
 * then proves that no block was freed too early.  The checker, which gets the runs, proves that none was freed too
 * late.
 */
#ifndef TH_TESTS_TREE_EXTENTS_H
#define TH_TESTS_TREE_EXTENTS_H

#include "tests/tree/fixture.h"
#include "tree/chunk.h"

#define TH_EXTENTS_MAX 6

struct th_extent {
	struct th_run run;
	uint64_t checksums[TH_RUN_MAX];
};

struct th_extents {
	unsigned count;
	struct th_extent extents[TH_EXTENTS_MAX];
};

/* Writes the extents as a value, with only the checksums that are used, to `to`, sizeof(struct th_extents) bytes.
 * Returns the size of the value. */
size_t th_extents_pack(const struct th_extents *extents, uint8_t *to);
void th_extents_unpack(struct th_slice value, struct th_extents *ret);

/* Fills a new extent of at most `blocks` blocks with random data and writes it.  Returns 0 or the error of
 * th_chunk_alloc() or th_chunk_write(). */
int th_extent_write(struct th_txn *txn, struct th_random *random, uint32_t blocks, bool reserved, uint64_t *hint,
		    struct th_extent *ret);
/* Verifies the data of a part of the extent. */
void th_extent_read(struct th_store *store, const struct th_extent *extent, uint32_t skip, uint32_t blocks);
/* Reduces the extent to its blocks [from, to). */
void th_extent_cut(struct th_extent *extent, uint32_t from, uint32_t to);
/* Verifies all data that a value names. */
void th_extents_read(struct th_store *store, struct th_slice value);

/* For struct th_check_options.  Every longer key that begins with "file" has a value of this form. */
int th_extents_runs(struct th_slice key, struct th_slice value, int (*each)(const struct th_run *run, void *arg),
		    void *arg);
extern const struct th_check_options th_extents_check;
/* Verifies the data of every such key of the model. */
void th_extents_verify(struct th_store *store, const struct th_model *model);

/* Puts a key whose value names one new extent. */
void th_extents_put(struct th_txn *txn, struct th_random *random, const char *key);
/* The same in a transaction of its own, during which a snapshot is taken.  The extent was allocated before, so it looks
 * as if the snapshot had it. */
void th_extents_put_stray(struct th_fixture *fixture, struct th_random *random, const char *key, const char *snapshot);
/* Makes a checkpoint, and checks all of the store. */
void th_extents_commit(struct th_fixture *fixture);
/* Deletes the key and drops its runs in one transaction. */
void th_extents_drop(struct th_fixture *fixture, const char *key);

#endif
