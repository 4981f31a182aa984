/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merge iterator: the records of a path's leaf, with the overlays above it and a transaction's messages applied.
 *
 * Each of these is a sorted source of its own.  The newest comes first, the leaf's records last.  The next key is the
 * lowest at which any source stands.  Its value is collected from the newest source on, until a source hides all older
 * ones: by a reset, or by a range message that covers the key.  (A k-way merge: Knuth, The Art of Computer Programming
 * 3, 5.4.1.  There are few sources and one is much the longest, so a scan of all of them is quicker than a heap.)
 */
#ifndef TH_TREE_BTREE_MERGE_ITER_H
#define TH_TREE_BTREE_MERGE_ITER_H

#include "tree/btree/path.h"

#define TH_MERGE_ITER_SOURCES (TH_HEIGHT_MAX + 1)

/* Nodes whose overlays, one after the other, are in ascending key order: the messages of a transaction. */
struct th_overlay_row {
	struct th_node *const *node;
	size_t count;
};

struct th_merge_iter_source {
	const struct th_node *node;
	const struct th_slab *slab;
	unsigned i, end;
	struct th_overlay_row next; /* nodes that follow this one in the same source */
	struct th_slice key; /* of entry i, without the common prefix */
	uint64_t head; /* the first bytes of `key`, as a number */
	bool covered; /* a range message is in force, up to cover_end or, if that is NULL, to the end */
	struct th_slice cover_end;
};

struct th_merge_iter {
	struct th_merge_iter_source source[TH_MERGE_ITER_SOURCES];
	unsigned sources;
	/* The leaf's source, which is the last; NULL: it is empty.  Where no message interferes, records are taken
	 * from it directly. */
	struct th_merge_iter_source *records;
	const struct th_merge_iter_source
		*pending; /* of the other sources the one with the lowest key; NULL: none is left */
	bool covered; /* a range message of one of the other sources is in force */
	struct th_slice prefix; /* of every key in the leaf's range */
	struct th_slice to; /* data NULL: no upper bound */
};

/* The merged state of one key. */
struct th_merged {
	struct th_slice suffix; /* the key without the common prefix */
	uint64_t head; /* the first bytes of the suffix, as a number */
	const struct th_entry *value; /* the entry with its value; NULL: none */
	int32_t refs;
};

/* Begins at `from` and ends before `to` (data NULL: no bound), or where the leaf's range ends.  staged: a
 * transaction's messages, newer than the path; its first node is the one that may have messages for `from`.  Path,
 * messages and bounds are borrowed and must not change while the iterator is in use. */
void th_merge_iter_init(struct th_merge_iter *merge, const struct th_path *path, struct th_overlay_row staged,
			struct th_slice from, struct th_slice to);
/* Returns the next key, whether or not it has a value; false at the end. */
bool th_merge_iter_next(struct th_merge_iter *merge, struct th_merged *ret);

#endif
