/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging: what a path's leaf, the overlays above it and a transaction's stage say of a range of keys, in one row.
 *
 * Each of them is a sorted row of its own, a source; the newest comes first, the leaf's records last.  The key that
 * comes next is the lowest that any source stands at, and what they say of it is taken from the newest on until one
 * makes an end of it: a reset, or a range message that is in force.  (A k-way merge: Knuth, The Art of Computer
 * Programming 3, 5.4.1; with few sources, and one of them much the longest, looking at all of them is quicker than a
 * tree.)
 */
#ifndef TH_TREE_BTREE_MERGE_ITER_H
#define TH_TREE_BTREE_MERGE_ITER_H

#include "tree/btree/tree.h"
#include "tree/layers/memtable.h"

#define TH_MERGING_SOURCES (TH_HEIGHT_MAX + 1)

struct th_merge_iter_source {
	const struct th_node *node;
	const struct th_slab *slab;
	unsigned i, end;
	const struct th_memtable *stage; /* a row of blocks rather than one node */
	size_t block;
	struct th_slice key; /* of entry i, behind the common prefix */
	uint64_t head; /* of that: its first bytes, as a number */
	bool covered; /* a range message is in force, up to cover_end or, if that is NULL, to the end */
	struct th_slice cover_end;
};

struct th_merge_iter {
	struct th_merge_iter_source source[TH_MERGING_SOURCES];
	unsigned sources;
	/* Where nothing pending is in the way the leaf's records are taken as they are. */
	struct th_merge_iter_source *records; /* the leaf's, the last of the sources; NULL: it has none */
	/* Of the others, the one with the lowest key; NULL: all are at their end. */
	const struct th_merge_iter_source *pending;
	bool covered; /* a range message is in force in one of the others */
	struct th_slice prefix; /* that every key of the leaf's range has */
	struct th_slice to; /* data NULL: open */
};

/* What all sources say of one key. */
struct th_merged {
	struct th_slice suffix;
	uint64_t head; /* of the suffix */
	const struct th_entry *value;
	int32_t refs;
};

/* The range begins at `from` and ends at `to` (data NULL: open), or where the leaf's does.  stage: NULL for none.  All
 * of them, and the bounds, must stay as they are meanwhile. */
void th_merge_iter_init(struct th_merge_iter *merging, const struct th_path *path, const struct th_memtable *stage,
			struct th_slice from, struct th_slice to);
/* The next key, whether or not it exists; false at the end. */
bool th_merge_iter_next(struct th_merge_iter *merging, struct th_merged *ret);

#endif
