/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes for tests: entries from text, trees without a store around them, and a check of the invariants N1 to N5.
 * Functions fail the running test by themselves.
 */
#ifndef TH_TESTS_TREE_NODES_H
#define TH_TESTS_TREE_NODES_H

#include "tests/tree/fixture.h"
#include "tree/btree/tree.h"
#include "tree/node/message.h"
#include "tree/node/overlay.h"

/* --- entries; each is a heap entry with one reference for the caller --- */

const struct th_entry *th_test_put(const char *key, const char *value, uint64_t seq);
const struct th_entry *th_test_delete(const char *key, uint64_t seq);
const struct th_entry *th_test_add_refs(const char *key, int32_t delta, uint64_t seq);
const struct th_entry *th_test_delete_range(const char *from, const char *to, uint64_t seq);
/* A put of a large value whose descriptor names one run of one block. */
const struct th_entry *th_test_put_large(const char *key, uint64_t addr, uint64_t seq);

/* The entry of a slot as text: "key=value", "key+refs", "key-" for a delete, "from..to" for a range.  Valid until the
 * fourth call after this one. */
const char *th_test_print(const struct th_node *node, const struct th_entry *e);
/* Compares a slab with such texts, separated by blanks. */
void th_test_expect_slab(const struct th_node *node, const struct th_slab *slab, const char *expected);

/* --- invariants --- */

/* Checks one node: N2, N3, N4 and N5, and the sum of its bytes.  hi.data NULL: no upper fence. */
void th_test_check_node(const struct th_node *node, struct th_slice lo, struct th_slice hi);
/* Checks all nodes below a root, and N1 for those in memory: below a node of an older generation there is none of
 * `gen`. Returns the number of nodes; *ret_transient_bytes: bytes that the nodes of `gen` take on disk. */
unsigned th_test_check_tree(struct th_cache *cache, struct th_node *root, uint64_t gen, size_t *ret_transient_bytes);

/* --- a place for nodes --- */

struct th_nodes {
	struct th_disk *disk; /* a fault disk over memory */
	struct th_readahead *ahead;
	struct th_cache *cache;
	uint64_t next; /* block to be written next */
	unsigned reports; /* damaged nodes that the cache has reported */
	char report[160]; /* the last one */
};

void th_nodes_init(struct th_nodes *nodes, size_t cache_bytes);
void th_nodes_release(struct th_nodes *nodes);
/* Writes the transient nodes from a node down, children first, and makes them persistent.  They are not in the
 * cache. */
void th_nodes_write(struct th_nodes *nodes, struct th_node *node, uint64_t birth);
/* Writes a leaf with `count` records, whose keys begin with `prefix`, and returns its pointer. */
struct th_ptr th_nodes_leaf(struct th_nodes *nodes, const char *prefix, unsigned count, uint64_t birth);
/* Makes an empty tree of generation 2 over the cache. */
void th_nodes_tree(struct th_nodes *nodes, struct th_tree *tree, uint32_t overlay_bytes);
/* Puts the keys "k%06u" with numbers [from, to) and values of so many bytes. */
void th_nodes_fill(struct th_tree *tree, unsigned from, unsigned to, size_t value_size);
/* Freezes a tree and writes its nodes; they are not in the cache.  Clears the lists of dead nodes and of dropped
 * values. */
void th_nodes_freeze(struct th_nodes *nodes, struct th_tree *tree);
/* Overwrites a block on the disk. */
void th_nodes_damage(struct th_nodes *nodes, uint64_t addr);

#endif
