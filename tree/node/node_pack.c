/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/node_pack.h"

#include <errno.h>

#include "tree/node/message.h"
#include "tree/node/node_heap.h"

/* Packs the entry of child i, with the pointer of the child if that is in memory. */
static size_t pack_child(const struct th_node *node, unsigned i, size_t strip, uint8_t *to)
{
	const struct th_entry *e = th_slab_entry(&node->base, i);
	size_t size = th_entry_pack(e, strip, TH_ENTRY_RECORD, to);
	struct th_ptr_disk ptr;

	if (node->children && node->children[i]) {
		const struct th_node *child = node->children[i];

		th_ptr_pack(child->ptr.addr ? &child->ptr : &child->written, &ptr);
		memcpy(to + size - sizeof(ptr), &ptr, sizeof(ptr));
	}
	return size;
}

struct packer {
	uint8_t *data;
	size_t index; /* of the next slab's heads */
	size_t heap; /* of the next entry */
};

static void pack_slab(const struct th_node *node, const struct th_slab *slab, struct packer *p)
{
	uint8_t *heads = p->data + p->index, *offsets = heads + 4u * slab->count;

	if (slab->count > 0)
		memcpy(heads, slab->head, 4u * slab->count);
	for (unsigned i = 0; i < slab->count; i++) {
		const struct th_entry *e = th_slab_entry(slab, i);
		size_t strip = th_node_skip(node, e, node->prefix_size);
		struct th_le16 offset = th_le16((uint16_t)p->heap);

		memcpy(offsets + 2 * i, &offset, 2);
		if (slab == &node->overlay)
			p->heap += th_entry_pack(e, strip, TH_ENTRY_MESSAGE, p->data + p->heap);
		else if (node->level > 0)
			p->heap += pack_child(node, i, strip, p->data + p->heap);
		else
			p->heap += th_entry_pack(e, strip, TH_ENTRY_RECORD, p->data + p->heap);
	}
	p->index += TH_SLOT_BYTES * slab->count;
}

int th_node_pack(const struct th_node *node, uint64_t birth, void **ret, uint32_t *ret_size)
{
	size_t used = th_node_packed_size(node);
	uint32_t size = (uint32_t)((used + TH_BLOCK_SIZE - 1) / TH_BLOCK_SIZE * TH_BLOCK_SIZE);
	struct th_node_disk header = {
		.magic = th_le32(TH_NODE_MAGIC),
		.level = node->level,
		.flags = node->chunks ? TH_NODE_CHUNKS : 0,
		.prefix_size = th_le16(node->prefix_size),
		.base_slots = th_le16(node->base.count),
		.overlay_slots = th_le16(node->overlay.count),
		.used = th_le32((uint32_t)used),
		.birth = th_le64(birth),
		.seq = th_le64(node->seq),
	};
	struct packer p = { .index = sizeof(header) };

	if (used > TH_NODE_MAX || node->base.count > TH_SLOTS_MAX || node->overlay.count > TH_SLOTS_MAX)
		return -EOVERFLOW;
	p.data = th_disk_buffer(size);
	if (!p.data)
		return -ENOMEM;
	p.heap = sizeof(header) + TH_SLOT_BYTES * (node->base.count + node->overlay.count);
	memcpy(p.data, &header, sizeof(header));
	pack_slab(node, &node->base, &p);
	pack_slab(node, &node->overlay, &p);
	assert(p.heap == used);
	memset(p.data + used, 0, size - used);
	*ret = p.data;
	*ret_size = size;
	return 0;
}

/* --- persistent nodes --- */

/* Makes a slab use the slots at `index` of the page. */
static void slab_from_page(struct th_slab *slab, const struct th_page *page, size_t index)
{
	slab->page = page->data;
	slab->head = (struct th_le32 *)(uintptr_t)(page->data + index);
}

struct th_page *th_node_page(const void *blocks)
{
	struct th_node_disk header;

	memcpy(&header, blocks, sizeof(header));
	return th_page_new(blocks, th_get_le32(header.used));
}

void th_node_persist(struct th_node *node, struct th_page *page)
{
	struct th_slab *slabs[] = { &node->base, &node->overlay };
	size_t index = sizeof(struct th_node_disk);

	if (node->children) {
		for (unsigned i = 0; i < node->base.count; i++)
			th_node_unref(node->children[i]);
		th_heap_free(node->children);
		node->children = NULL;
	}
	for (size_t s = 0; s < 2; s++) {
		struct th_slab *slab = slabs[s];

		for (unsigned i = 0; i < slab->count; i++)
			th_entry_unref(slab->entry[i]);
		th_heap_free(slab->head);
		th_heap_free(slab->entry);
		slab->entry = NULL;
		slab->capacity = 0;
		slab_from_page(slab, page, index);
		index += TH_SLOT_BYTES * slab->count;
	}
	th_page_unref(node->page);
	node->page = th_page_ref(page);
	node->page_strip = node->prefix_size;
	node->ptr = node->written;
}

/* --- reading --- */

struct unpacker {
	struct th_node *node;
	size_t index, used;
	size_t next; /* offset of the next entry: entries follow one another without a gap, in the order of their slots */
	const char *why;
};

static int bad(struct unpacker *u, const char *why)
{
	u->why = why;
	return -EUCLEAN;
}

/* Checks that an entry is fit for its slab: only messages have sequence numbers, resets and ranges, and an interior
 * base has only child pointers. */
static int check_entry(struct unpacker *u, const struct th_slab *slab, const struct th_entry *e)
{
	const struct th_node *node = u->node;

	if (node->page_strip + th_entry_key_size(e) > TH_KEY_MAX + 1)
		return bad(u, "key too long");
	if ((e->flags & TH_ENTRY_REFS) && th_entry_refs(e) == 0)
		return bad(u, "count of nothing");
	if (slab == &node->overlay)
		return e->flags & TH_ENTRY_SEQ ? 0 : bad(u, "message without number");
	if (e->flags & (TH_ENTRY_SEQ | TH_ENTRY_RESET | TH_ENTRY_RANGE))
		return bad(u, "message among records");
	if (node->level > 0 && (e->flags != TH_ENTRY_VALUE || th_entry_value(e).size != sizeof(struct th_ptr_disk)))
		return bad(u, "child without pointer");
	return 0;
}

static int unpack_slab(struct unpacker *u, struct th_slab *slab, unsigned count)
{
	struct th_node *node = u->node;
	uint32_t before = 0;

	slab_from_page(slab, node->page, u->index);
	slab->count = (uint16_t)count;
	for (unsigned i = 0; i < count; i++) {
		const struct th_entry *e = th_slab_entry(slab, i);
		size_t at = (size_t)((const uint8_t *)e - slab->page);
		uint32_t head = th_get_le32(slab->head[i]);
		size_t size = 0;
		int err;

		if (at != u->next)
			return bad(u, "entries that overlap or leave a gap");
		if (at < u->used)
			size = th_message_packed_check(e, u->used - at);
		if (!size)
			return bad(u, "entry out of bounds");
		u->next += size;
		err = check_entry(u, slab, e);
		if (err)
			return err;
		if (head != th_key_head(th_node_suffix(node, e)))
			return bad(u, "wrong key head");
		node->ranges |= th_message_is_range(e);
		if (i > 0 && head <= before &&
		    (head < before ||
		     th_slice_compare(th_node_suffix(node, th_slab_entry(slab, i - 1)), th_node_suffix(node, e)) >= 0))
			return bad(u, "keys out of order");
		before = head;
		slab->bytes += (uint32_t)size + TH_SLOT_BYTES;
	}
	u->index += TH_SLOT_BYTES * count;
	return 0;
}

static int check_header(struct unpacker *u, const struct th_node_disk *h, const struct th_ptr *ptr)
{
	unsigned base = th_get_le16(h->base_slots), overlay = th_get_le16(h->overlay_slots);

	u->used = th_get_le32(h->used);
	if (th_get_le32(h->magic) != TH_NODE_MAGIC)
		return bad(u, "no node here");
	if (h->level != ptr->level || th_get_le16(h->prefix_size) != ptr->prefix_size ||
	    th_get_le64(h->birth) != ptr->birth || (h->flags & ~TH_NODE_CHUNKS) ||
	    ((h->flags & TH_NODE_CHUNKS) != 0) != (ptr->chunks != 0))
		return bad(u, "not the node its parent names");
	if (base > TH_SLOTS_MAX || overlay > TH_SLOTS_MAX || u->used > ptr->blocks * TH_BLOCK_SIZE ||
	    u->used < sizeof(*h) + TH_SLOT_BYTES * (base + overlay))
		return bad(u, "sizes contradict one another");
	if (ptr->level == 0 && base != ptr->records)
		return bad(u, "not as many records as its parent counts");
	if (ptr->level == 0 ? overlay > 0 : base == 0)
		return bad(u, "slots that its level forbids");
	return 0;
}

int th_node_unpack(const void *blocks, const struct th_ptr *ptr, struct th_slice prefix, struct th_node **ret,
		   const char **ret_why)
{
	struct unpacker u = { .why = "out of memory" };
	struct th_node_disk header;
	int err;

	*ret_why = u.why;
	u.node = th_node_new(ptr->level, prefix, 0);
	if (!u.node)
		return -ENOMEM;
	u.node->page_strip = u.node->prefix_size;
	u.node->ptr = *ptr;
	u.node->chunks = ptr->chunks;
	u.node->records = ptr->records;
	u.index = sizeof(header);
	memcpy(&header, blocks, sizeof(header));
	u.next = u.index + TH_SLOT_BYTES * (th_get_le16(header.base_slots) + th_get_le16(header.overlay_slots));
	err = check_header(&u, &header, ptr);
	if (!err) {
		u.node->page = th_node_page(blocks);
		err = u.node->page ? 0 : -ENOMEM;
	}
	if (!err)
		err = unpack_slab(&u, &u.node->base, th_get_le16(header.base_slots));
	if (!err)
		err = unpack_slab(&u, &u.node->overlay, th_get_le16(header.overlay_slots));
	if (!err && u.next != u.used)
		err = bad(&u, "bytes after the last entry");
	if (err) {
		*ret_why = u.why;
		th_node_unref(u.node);
		return err;
	}
	u.node->seq = th_get_le64(header.seq);
	*ret = u.node;
	return 0;
}
