/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes as they lie on disk (docs/format.md, "Node"), and nodes in memory that refer to these bytes.
 *
 * A persistent node keeps a copy of its packed bytes, the page, and no other tables.  Everything read from a disk is
 * checked here, before it becomes a node.
 */
#ifndef TH_TREE_NODE_NODE_PACK_H
#define TH_TREE_NODE_NODE_PACK_H

#include "tree/node/node.h"

#define TH_NODE_MAGIC 0x444e4854u /* "THND" */

struct th_node_disk {
	struct th_le32 magic;
	uint8_t level, flags;
	struct th_le16 prefix_size, base_slots, overlay_slots;
	struct th_le32 used; /* bytes; zeros follow up to the whole block */
	struct th_le64 birth, seq;
	/* base: le32 head[], le16 offset[]; overlay: the same; entries in slot order */
};
static_assert(sizeof(struct th_node_disk) == TH_NODE_HEADER_BYTES, "format.md: node header");

/* Packs a node into a new buffer of whole blocks that is fit for transfers; the caller frees it.  Children in memory
 * are named by their `ptr`, or by `written` if that is not set yet.  birth: generation that writes the node.
 * Returns 0, -ENOMEM, or -EOVERFLOW if the node is too big (N5). */
int th_node_pack(const struct th_node *node, uint64_t birth, void **ret, uint32_t *ret_size);
/* Makes a persistent node from the blocks that `ptr` names; they are copied.  Everything is checked against the pointer
 * and the invariants N2 and N5.  Returns 0, -ENOMEM, or -EUCLEAN: then *ret_why is a text of static lifetime about the
 * fault. */
int th_node_unpack(const void *blocks, const struct th_ptr *ptr, struct th_slice prefix, struct th_node **ret,
		   const char **ret_why);

/* Copies the blocks of a node, as th_node_pack packed them, into a new page.  Returns NULL if there is no memory. */
struct th_page *th_node_page(const void *blocks);
/* Makes a written node persistent: `ptr` is set from `written`, and the node refers to its page (it takes a reference)
 * instead of heap entries and children.  The tree is locked exclusively. */
void th_node_persist(struct th_node *node, struct th_page *page);

#endif
