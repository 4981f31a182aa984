/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: what the tree is made of.
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
 * Base and overlay are slabs of the same format: up to 256 slots, a level-0 index of 4-byte key heads searched first,
 * and behind each slot an entry.  A node's keys lie between two fences that its ancestors hold; what the fences have in
 * common is stripped from every key in the node, and only the length of it is kept in the parent's pointer.
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

#define TH_CACHE_LINE 64 /* of the processor */
#define TH_SLOTS_MAX 256
#define TH_SLOT_BYTES 6u /* on disk: a head and an offset */
#define TH_NODE_MAX 65536 /* bytes, stored in whole blocks */

/* Chosen by measurement: docs/performance.md, "Node size and flush policy". */
#define TH_LEAF_BYTES 20000 /* a leaf above this splits */
#define TH_FANOUT 9 /* an interior node above this splits */
#define TH_OVERLAY_BYTES 28000 /* an overlay above this, or above TH_OVERLAY_SLOTS, is flushed */
#define TH_OVERLAY_SLOTS 240
#define TH_META_OVERLAY_BYTES 2000 /* of the meta tree: its root is written with nearly every commit */
#define TH_HEIGHT_MAX 16

/* A pointer to a persistent node. */
struct th_ptr {
	uint64_t addr; /* 0: none */
	uint64_t birth; /* generation that wrote it: decides when it can be reclaimed */
	uint64_t seq; /* newest message at or below it: lets a diff pass by */
	uint64_t checksum; /* XXH3 of its blocks */
	uint16_t blocks;
	uint16_t prefix_size;
	uint8_t level; /* 0: leaf */
	uint8_t chunks; /* some value at or below it is off-tree */
};

struct th_ptr_disk {
	struct th_le64 addr;
	struct th_le64 mirror; /* reserved for a second copy: 0 */
	struct th_le64 birth, seq, checksum;
	struct th_le16 blocks, prefix_size;
	uint8_t level, flags;
	struct th_le16 reserved;
};
static_assert(sizeof(struct th_ptr_disk) == 48, "format.md: node pointer");

void th_ptr_pack(const struct th_ptr *ptr, struct th_ptr_disk *ret);
/* -EUCLEAN if a field is out of its range. */
int th_ptr_unpack(const struct th_ptr_disk *disk, struct th_ptr *ret);

#define TH_NODE_MAGIC 0x444e4854u /* "THND" */

struct th_node_disk {
	struct th_le32 magic;
	uint8_t level, flags;
	struct th_le16 prefix_size, base_slots, overlay_slots;
	struct th_le32 used; /* bytes; zeros follow up to the whole block */
	struct th_le64 birth, seq;
	/* base: le32 head[], le16 offset[]; overlay: the same; entries in slot order */
};
static_assert(sizeof(struct th_node_disk) == 32, "format.md: node header");

/* Bytes of a packed node, without what fills its last block: shared by the nodes that refer to entries in it. */
struct th_page {
	_Atomic uint32_t refs;
	uint32_t size;
	uint8_t data[];
};

/* A copy of the bytes.  NULL: no memory. */
struct th_page *th_page_new(const void *bytes, uint32_t size);
struct th_page *th_page_ref(struct th_page *page);
void th_page_unref(struct th_page *page);

/* The slots of a node that may change are in tables of its own; those of one that was written, or read, are its page's:
 * a node in memory takes little more than its bytes. */
struct th_slab {
	uint16_t count, capacity; /* capacity 0: they are the page's, if there are any */
	uint32_t bytes; /* packed, slots included */
	struct th_le32 *head;
	const struct th_entry **entry; /* NULL: by the offsets behind the heads */
	const uint8_t *page; /* its bytes, in that case */
};

static inline const struct th_entry *th_slab_entry(const struct th_slab *slab, unsigned i)
{
	struct th_le16 offset;

	if (slab->entry)
		return slab->entry[i];
	memcpy(&offset, (const uint8_t *)(slab->head + slab->count) + sizeof(offset) * i, sizeof(offset));
	return (const struct th_entry *)(slab->page + th_get_le16(offset));
}

/* Fields that a lookup touches come first: they are in cold memory as a rule. */
struct th_node {
	struct th_ptr ptr; /* addr 0 until it was written: then it never changes again */
	_Atomic uint32_t refs;
	uint8_t level;
	bool chunks;
	bool ranges; /* there may be range messages in the overlay */
	bool retired; /* the cache's (cache.c): it is in the ring */
	struct th_slab base, overlay;
	struct th_node **
		children; /* interior, may be NULL: children[i], where set, is the child; else its packed pointer counts */
	struct th_page *page;
	uint16_t prefix_size;
	uint16_t page_strip; /* how much of the prefix is stripped from entries in the page */
	uint32_t accounted; /* bytes it adds to the tree's dirty count */
	uint64_t gen; /* N1 */
	uint64_t seq;
	struct th_ptr written; /* set by the commit that writes it, moved to ptr when that is durable */
	struct th_node *ring_prev, *ring_next; /* the cache's, of retired nodes, and the next */
	uint32_t cached_bytes;
	uint8_t prefix[]; /* prefix_size bytes */
};

/* A new transient node without entries. */
struct th_node *th_node_new(unsigned level, struct th_slice prefix, uint64_t gen);
/* A transient copy sharing entries, children and page; it can take `prefix_room` bytes of prefix. */
struct th_node *th_node_copy(const struct th_node *node, uint64_t gen);
struct th_node *th_node_ref(struct th_node *node);
void th_node_unref(struct th_node *node);

/* --- entries of a node --- */

static inline size_t th_node_strip(const struct th_node *node, const struct th_entry *e)
{
	return e->flags & TH_ENTRY_HEAP ? 0 : node->page_strip;
}

/* How much of an entry's key a prefix is that all keys about it have.  It is never longer than the key, but in an image
 * that was made to deceive: then it is the key. */
static inline size_t th_node_skip(const struct th_node *node, const struct th_entry *e, size_t prefix_size)
{
	size_t skip = prefix_size - th_node_strip(node, e), n = th_entry_key_size(e);

	return skip < n ? skip : n;
}

/* What is left of an entry's key behind the node's prefix. */
static inline struct th_slice th_node_suffix(const struct th_node *node, const struct th_entry *e)
{
	size_t skip = th_node_skip(node, e, node->prefix_size);

	return (struct th_slice){ th_entry_key(e) + skip, th_entry_key_size(e) - skip };
}

/* The whole key. */
void th_node_key(const struct th_node *node, const struct th_entry *e, struct th_key *ret);
/* The entry itself if it is on the heap (one more reference), else a heap copy.  NULL: no memory. */
const struct th_entry *th_node_entry_heap(const struct th_node *node, const struct th_entry *e);

/* What the level-0 index has of a key: its first four bytes, as a number. */
uint32_t th_key_head(struct th_slice suffix);
/* First slot whose key is not less than `key` (a whole key that has the node's prefix). */
unsigned th_slab_find(const struct th_node *node, const struct th_slab *slab, struct th_slice key, bool *ret_exact);
/* First slot whose key is greater than or equal to `key`, which may lie outside the node's fences. */
unsigned th_slab_lower(const struct th_node *node, const struct th_slab *slab, struct th_slice key);
/* Puts an entry (its reference is taken over) before slot i.  -ENOMEM. */
int th_slab_insert(struct th_node *node, struct th_slab *slab, unsigned i, const struct th_entry *e);
/* Replaces slot i's entry, dropping the reference of the old one. */
void th_slab_replace(struct th_node *node, struct th_slab *slab, unsigned i, const struct th_entry *e);
/* Removes slots [from, to), dropping references if `drop`. */
void th_slab_remove(struct th_node *node, struct th_slab *slab, unsigned from, unsigned to, bool drop);
/* Puts an entry behind the last slot, for which room was reserved. */
void th_slab_append(struct th_node *node, struct th_slab *slab, const struct th_entry *e);
int th_slab_reserve(struct th_node *node, struct th_slab *slab, unsigned count);
/* Bytes an entry takes in that slab of the node. */
size_t th_slab_cost(const struct th_node *node, const struct th_slab *slab, const struct th_entry *e);

/* The same for slots [from, to) together. */
size_t th_slab_cost_range(const struct th_node *node, const struct th_slab *slab, unsigned from, unsigned to);

/* Was it written?  Then nothing at or below it changes any more, and it is read without a lock. */
static inline bool th_node_settled(const struct th_node *node)
{
	return node->ptr.addr != 0;
}

/* The node is going to be searched: fetches from cold memory what that takes, the node itself, or, when that is there,
 * its slots. */
static inline void th_node_expect(const struct th_node *node)
{
	for (size_t i = 0; i < sizeof(*node); i += TH_CACHE_LINE)
		__builtin_prefetch((const char *)node + i);
}

static inline void th_slab_expect(const struct th_slab *slab)
{
	for (size_t i = 0; i < slab->count * sizeof(*slab->head); i += TH_CACHE_LINE)
		__builtin_prefetch((const char *)slab->head + i);
}

/* The child whose range has the key. */
unsigned th_node_child(const struct th_node *node, struct th_slice key);
/* Child i's pointer as the page has it; only where children[i] is not set.  -EUCLEAN. */
int th_node_child_ptr(const struct th_node *node, unsigned i, struct th_ptr *ret);
/* Sets child i to a node (taking the reference over) and drops what was there. */
int th_node_set_child(struct th_node *node, unsigned i, struct th_node *child);
/* Puts a child before slot i with this lower fence (a whole key). */
int th_node_insert_child(struct th_node *node, unsigned i, struct th_slice fence, struct th_node *child);

/* A new transient node holding base and overlay entries [from, to) of `node`, which lie between the fences; overlay
 * entries from [overlay_from, overlay_to).  References are shared.  hi.data NULL: no upper fence. */
struct th_node *th_node_slice(const struct th_node *node, unsigned from, unsigned to, unsigned overlay_from,
			      unsigned overlay_to, struct th_slice lo, struct th_slice hi);
/* A new transient node with the contents of two neighbours. */
struct th_node *th_node_join(const struct th_node *left, const struct th_node *right, struct th_slice lo,
			     struct th_slice hi);

size_t th_node_packed_size(const struct th_node *node);
/* Packs the node, children by their `written` or `ptr`, into a new buffer of whole blocks that is fit for transfers;
 * the caller frees it. */
int th_node_pack(const struct th_node *node, uint64_t birth, void **ret, uint32_t *ret_size);
/* A persistent node from the blocks that its pointer names (they are copied), everything checked against the pointer.
 * -EUCLEAN, -ENOMEM; *ret_why says what. */
int th_node_unpack(const void *blocks, const struct th_ptr *ptr, struct th_slice prefix, struct th_node **ret,
		   const char **ret_why);
/* The page of a node as th_node_pack packed it.  NULL: no memory. */
struct th_page *th_node_page(const void *blocks);
/* Lets a written node refer to its page (one more reference) instead of to heap entries and children. */
void th_node_settle(struct th_node *node, struct th_page *page);

#endif
