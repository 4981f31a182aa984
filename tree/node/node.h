/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes of the tree.
 *
 *        interior node                                  leaf
 *   +--------------------------+                 +------------------+
 *   | overlay: messages        |                 | base: records    |
 *   |   pending for below      |                 +------------------+
 *   +--------------------------+
 *   | base: separators, each   |---> children
 *   |   with a child pointer   |
 *   +--------------------------+
 *
 * Base and overlay are slabs of the same format: up to 256 slots, an index of four-byte key heads that is searched
 * first, and an entry for each slot.  A node's keys lie between two fences that its ancestors hold.  The common prefix
 * of the fences is stripped from every key in the node; only its length is kept, in the parent's pointer.
 *
 *   N1  A transient node (gen == the tree's) belongs to one parent and may change; every other node never does.
 *   N2  Slots are in strictly ascending key order, and every key has the node's prefix and lies between its fences.
 *   N3  In an overlay, no range message overlaps another message, and none reaches across a child boundary.
 *   N4  base slot 0 of an interior node is the node's lower fence.
 *   N5  The packed node fits TH_NODE_MAX.
 *
 * A node made writable shares the entries of the node it was copied from: those in its page through the page's count,
 * those on the heap through their own.
 */
#ifndef TH_TREE_NODE_NODE_H
#define TH_TREE_NODE_NODE_H

#include "journal/disk/disk.h"
#include "tree/node/entry.h"
#include "tree/node/node_ptr.h"

#define TH_CACHE_LINE 64 /* bytes, of the processor's cache */
#define TH_SLOTS_MAX 256
#define TH_SLOT_BYTES 6u /* on disk: a head and an offset */
#define TH_NODE_HEADER_BYTES 32u /* on disk */

/* Chosen by measurement: docs/performance.md, "Node size and push-down policy".  Smaller nodes cost more reads and a
 * higher tree, larger ones more bytes written per change. */
#define TH_LEAF_BYTES 20000 /* a leaf above this splits */
#define TH_FANOUT 9 /* an interior node with more children splits */
#define TH_OVERLAY_BYTES 28000 /* an overlay above this, or above TH_OVERLAY_SLOTS, is pushed down */
#define TH_OVERLAY_SLOTS 240
#define TH_META_OVERLAY_BYTES 2000 /* of the meta tree: its root is written by nearly every checkpoint */

/* The bytes of a packed node, shared by the nodes that have entries in them. */
struct th_page {
	_Atomic uint32_t refs;
	uint32_t size;
	uint8_t data[];
};

/* Copies the bytes into a new page.  Returns NULL if there is no memory. */
struct th_page *th_page_new(const void *bytes, uint32_t size);
struct th_page *th_page_ref(struct th_page *page);
void th_page_unref(struct th_page *page);

/* A transient node has its slots in tables of its own.  A persistent one uses those in its page, and so takes little
 * more memory than its bytes. */
struct th_slab {
	uint16_t count, capacity; /* slots; capacity 0: they are in the page, or there are none */
	uint32_t bytes; /* packed, slots included */
	struct th_le32 *head;
	const struct th_entry **entry; /* NULL: use the offsets after the heads */
	const uint8_t *page; /* the bytes these offsets refer to; NULL if `entry` is used */
};

static inline const struct th_entry *th_slab_entry(const struct th_slab *slab, unsigned i)
{
	struct th_le16 offset;

	if (slab->entry)
		return slab->entry[i];
	memcpy(&offset, (const uint8_t *)(slab->head + slab->count) + sizeof(offset) * i, sizeof(offset));
	return (const struct th_entry *)(slab->page + th_get_le16(offset));
}

/* The fields that a lookup uses come first, as they are rarely in the processor's cache. */
struct th_node {
	struct th_ptr ptr; /* addr 0: not persistent yet.  Once set it never changes */
	_Atomic uint32_t refs;
	uint8_t level;
	bool chunks;
	bool ranges; /* there may be range messages in the overlay */
	bool retired; /* cache.c: it is in the ring */
	struct th_slab base, overlay;
	/* Of an interior node; may be NULL.  children[i], if set, is child i with a reference; else its packed
	 * pointer names the child. */
	struct th_node **children;
	struct th_page *page;
	uint16_t prefix_size;
	uint16_t page_strip; /* bytes of the prefix that entries in the page lack */
	uint32_t accounted; /* bytes it adds to th_tree.dirty_bytes */
	uint64_t gen; /* N1 */
	uint64_t seq; /* newest message at or below it */
	uint64_t records; /* of an interior node: see th_node_records */
	struct th_ptr written; /* set when it is queued for writing, moved to ptr when it is on the disk */
	struct th_node *ring_prev, *ring_next; /* cache.c: ring of retired nodes */
	uint32_t cached_bytes; /* cache.c: memory it is charged with */
	uint8_t prefix[]; /* prefix_size bytes */
};

/* --- nodes; NULL is returned if there is no memory --- */

/* Makes a transient node without entries. */
struct th_node *th_node_new(unsigned level, struct th_slice prefix, uint64_t gen);
/* Makes a transient copy that shares entries, children and page. */
struct th_node *th_node_copy(const struct th_node *node, uint64_t gen);
struct th_node *th_node_ref(struct th_node *node);
void th_node_unref(struct th_node *node);

/* --- entries of a node --- */

/* Bytes of the node's prefix that an entry's key lacks. */

static inline size_t th_node_strip(const struct th_node *node, const struct th_entry *e)
{
	return e->flags & TH_ENTRY_HEAP ? 0 : node->page_strip;
}

/* Bytes to skip of an entry's key so that `prefix_size` bytes of the whole key are left out.  Never more than the
 * key has, as a malicious image may have keys without the prefix. */
static inline size_t th_node_skip(const struct th_node *node, const struct th_entry *e, size_t prefix_size)
{
	size_t skip = prefix_size - th_node_strip(node, e), n = th_entry_key_size(e);

	return skip < n ? skip : n;
}

/* The part of an entry's key after the node's prefix. */
static inline struct th_slice th_node_suffix(const struct th_node *node, const struct th_entry *e)
{
	size_t skip = th_node_skip(node, e, node->prefix_size);

	return (struct th_slice){ th_entry_key(e) + skip, th_entry_key_size(e) - skip };
}

/* Copies the whole key of an entry. */
void th_node_key(const struct th_node *node, const struct th_entry *e, struct th_key *ret);
/* Returns the entry itself if it is on the heap (with one more reference), else a heap copy; NULL if there is no
 * memory. */
const struct th_entry *th_node_entry_heap(const struct th_node *node, const struct th_entry *e);

/* The first four bytes of a key without the prefix, as a number: its entry in the index of key heads. */
uint32_t th_key_head(struct th_slice suffix);
/* Returns the first slot whose key is not less than `key`, a whole key with the node's prefix; *ret_exact: it is
 * equal. */
unsigned th_slab_find(const struct th_node *node, const struct th_slab *slab, struct th_slice key, bool *ret_exact);
/* The same for a key that may lie outside the node's fences. */
unsigned th_slab_lower(const struct th_node *node, const struct th_slab *slab, struct th_slice key);
/* Inserts an entry before slot i.  Takes over its reference on success.  Returns 0 or -ENOMEM. */
int th_slab_insert(struct th_node *node, struct th_slab *slab, unsigned i, const struct th_entry *e);
/* Replaces the entry of slot i, takes over the reference of the new one and drops that of the old one. */
void th_slab_replace(struct th_node *node, struct th_slab *slab, unsigned i, const struct th_entry *e);
/* Removes slots [from, to) and, in an interior base, their children.  drop: drops the references to the entries,
 * too. */
void th_slab_remove(struct th_node *node, struct th_slab *slab, unsigned from, unsigned to, bool drop);
/* Adds an entry after the last slot; th_slab_reserve made room.  Takes over the reference. */
void th_slab_append(struct th_node *node, struct th_slab *slab, const struct th_entry *e);
/* Makes room for `count` slots in all.  Returns 0 or -ENOMEM. */
int th_slab_reserve(struct th_node *node, struct th_slab *slab, unsigned count);
/* Bytes an entry takes in this slab on disk. */
size_t th_slab_cost(const struct th_node *node, const struct th_slab *slab, const struct th_entry *e);

/* The same for slots [from, to) together. */
size_t th_slab_cost_range(const struct th_node *node, const struct th_slab *slab, unsigned from, unsigned to);

/* Is the node on the disk?  Then it and all nodes below it never change, and are read without a lock. */
static inline bool th_node_is_persistent(const struct th_node *node)
{
	return node->ptr.addr != 0;
}

/* Prefetch into the processor's cache what a search will touch: the node itself; then, when that is there, its
 * slots. */
static inline void th_node_prefetch(const struct th_node *node)
{
	for (size_t i = 0; i < sizeof(*node); i += TH_CACHE_LINE)
		__builtin_prefetch((const char *)node + i);
}

static inline void th_slab_prefetch(const struct th_slab *slab)
{
	for (size_t i = 0; i < slab->count * sizeof(*slab->head); i += TH_CACHE_LINE)
		__builtin_prefetch((const char *)slab->head + i);
}

/* --- counts --- */

/* Returns the number of records in the leaves at or below the node.  An interior node has the sum in `records`; every
 * change below it updates the sum on the way back up. */
static inline uint64_t th_node_records(const struct th_node *node)
{
	return node->level > 0 ? node->records : node->base.count;
}

/* Returns the same for child i, which need not be in memory. */
uint64_t th_node_child_records(const struct th_node *node, unsigned i);
/* Sets `records` of an interior node to the sum over its children. */
void th_node_count_records(struct th_node *node);
/* Returns the number of records that messages pending at or below the node may delete.  Its children have addresses. */
uint64_t th_node_deletes(const struct th_node *node);

/* --- children of an interior node --- */

/* Returns the child whose range has the key. */
unsigned th_node_child(const struct th_node *node, struct th_slice key);
/* Decodes the packed pointer of child i, which is valid only if children[i] is not set.  Returns 0, or -EUCLEAN. */
int th_node_child_ptr(const struct th_node *node, unsigned i, struct th_ptr *ret);
/* Sets child i to a node, and drops the reference to the node that was there.  Takes over the reference on success.
 * Returns 0 or -ENOMEM. */
int th_node_set_child(struct th_node *node, unsigned i, struct th_node *child);
/* Inserts a child with this lower fence, a whole key, before slot i.  Takes over the reference on success.  Returns
 * 0 or -ENOMEM. */
int th_node_insert_child(struct th_node *node, unsigned i, struct th_slice fence, struct th_node *child);

/* Makes a transient node with base slots [from, to) and overlay slots [overlay_from, overlay_to) of `node`, all of
 * which lie between the fences (hi.data NULL: no upper fence).  References are shared. */
struct th_node *th_node_slice(const struct th_node *node, unsigned from, unsigned to, unsigned overlay_from,
			      unsigned overlay_to, struct th_slice lo, struct th_slice hi);
/* Makes a transient node with the contents of two neighbours. */
struct th_node *th_node_join(const struct th_node *left, const struct th_node *right, struct th_slice lo,
			     struct th_slice hi);

/* Bytes of the node on disk (N5). */
size_t th_node_packed_size(const struct th_node *node);

#endif
