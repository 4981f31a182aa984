/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/node.h"

#include <errno.h>

#include "tree/node/message.h"
#include "tree/node/node_heap.h"

/* --- pages --- */

struct th_page *th_page_new(const void *bytes, uint32_t size)
{
	struct th_page *page = th_heap_alloc(sizeof(*page) + size);

	if (!page)
		return NULL;
	atomic_init(&page->refs, 1);
	page->size = size;
	memcpy(page->data, bytes, size);
	return page;
}

struct th_page *th_page_ref(struct th_page *page)
{
	atomic_fetch_add_explicit(&page->refs, 1, memory_order_relaxed);
	return page;
}

void th_page_unref(struct th_page *page)
{
	if (!page || atomic_fetch_sub_explicit(&page->refs, 1, memory_order_acq_rel) != 1)
		return;
	th_heap_free(page);
}

/* --- slabs --- */

uint32_t th_key_head(struct th_slice s)
{
	const uint8_t *p = s.data;
	uint32_t head;

	if (s.size >= 4) {
		memcpy(&head, p, 4);
		return TH_LE_SWAP(32, __builtin_bswap32(head));
	}
	head = 0;
	for (size_t i = 0; i < 4; i++)
		head = head << 8 | (i < s.size ? p[i] : 0);
	return head;
}

static enum th_entry_role slab_role(const struct th_node *node, const struct th_slab *slab)
{
	return slab == &node->overlay ? TH_ENTRY_MESSAGE : TH_ENTRY_RECORD;
}

static inline size_t entry_cost(const struct th_node *node, const struct th_entry *e, enum th_entry_role role)
{
	return th_entry_packed_size(e, th_node_skip(node, e, node->prefix_size), role) + TH_SLOT_BYTES;
}

size_t th_slab_cost(const struct th_node *node, const struct th_slab *slab, const struct th_entry *e)
{
	return entry_cost(node, e, slab_role(node, slab));
}

size_t th_slab_cost_range(const struct th_node *node, const struct th_slab *slab, unsigned from, unsigned to)
{
	enum th_entry_role role = slab_role(node, slab);
	size_t cost = 0;

	for (unsigned i = from; i < to; i++)
		cost += entry_cost(node, th_slab_entry(slab, i), role);
	return cost;
}

/* Replaces a table by a larger one with the same contents.  Returns NULL if there is no memory: then the old one is
 * unchanged. */
static void *grow_table(void *table, size_t used, size_t size)
{
	void *grown = th_heap_alloc(size);

	if (!grown)
		return NULL;
	if (used)
		memcpy(grown, table, used);
	th_heap_free(table);
	return grown;
}

int th_slab_reserve(struct th_node *node, struct th_slab *slab, unsigned count)
{
	unsigned capacity = slab->capacity ? slab->capacity : 16;
	const struct th_entry **entry;
	struct th_le32 *head;

	if (count <= slab->capacity)
		return 0;
	assert(!slab->page); /* N1 */
	while (capacity < count)
		capacity *= 2;
	head = grow_table(slab->head, slab->count * sizeof(*head), capacity * sizeof(*head));
	if (!head)
		return -ENOMEM;
	slab->head = head;
	entry = grow_table(slab->entry, slab->count * sizeof(*entry), capacity * sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	slab->entry = entry;
	if (slab == &node->base && node->children) {
		struct th_node **children =
			grow_table(node->children, slab->count * sizeof(*children), capacity * sizeof(*children));

		if (!children)
			return -ENOMEM;
		node->children = children;
	}
	slab->capacity = (uint16_t)capacity;
	return 0;
}

static unsigned slab_search(const struct th_node *node, const struct th_slab *slab, struct th_slice suffix,
			    bool *ret_exact)
{
	unsigned low = 0, high = slab->count;
	uint32_t head = th_key_head(suffix);

	while (low < high) {
		unsigned mid = (low + high) / 2;
		uint32_t other = th_get_le32(slab->head[mid]);
		int c;

		if (other != head)
			c = other < head ? -1 : 1;
		else
			c = th_slice_compare(th_node_suffix(node, th_slab_entry(slab, mid)), suffix);
		if (c == 0) {
			*ret_exact = true;
			return mid;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_exact = false;
	return low;
}

unsigned th_slab_find(const struct th_node *node, const struct th_slab *slab, struct th_slice key, bool *ret_exact)
{
	struct th_slice prefix = { node->prefix, node->prefix_size };
	size_t n = prefix.size;

	if (key.size < n) { /* only in a malicious image: fences without the prefix */
		*ret_exact = false;
		return th_slice_compare(key, prefix) < 0 ? 0 : slab->count;
	}
	return slab_search(node, slab, (struct th_slice){ (const uint8_t *)key.data + n, key.size - n }, ret_exact);
}

unsigned th_slab_lower(const struct th_node *node, const struct th_slab *slab, struct th_slice key)
{
	struct th_slice prefix = { node->prefix, node->prefix_size };
	size_t common = th_slice_common(key, prefix);
	bool exact;

	if (common == prefix.size)
		return th_slab_find(node, slab, key, &exact);
	return th_slice_compare(key, prefix) < 0 ? 0 : slab->count;
}

static void set_slot(struct th_node *node, struct th_slab *slab, unsigned i, const struct th_entry *e)
{
	slab->head[i] = th_le32(th_key_head(th_node_suffix(node, e)));
	slab->entry[i] = e;
	node->ranges |= th_message_is_range(e);
}

int th_slab_insert(struct th_node *node, struct th_slab *slab, unsigned i, const struct th_entry *e)
{
	unsigned tail = slab->count - i;
	int err = th_slab_reserve(node, slab, slab->count + 1u);

	if (err)
		return err;
	memmove(slab->head + i + 1, slab->head + i, tail * sizeof(*slab->head));
	memmove(slab->entry + i + 1, slab->entry + i, tail * sizeof(*slab->entry));
	if (slab == &node->base && node->children) {
		memmove(node->children + i + 1, node->children + i, tail * sizeof(*node->children));
		node->children[i] = NULL;
	}
	set_slot(node, slab, i, e);
	slab->bytes += (uint32_t)th_slab_cost(node, slab, e);
	slab->count++;
	return 0;
}

void th_slab_append(struct th_node *node, struct th_slab *slab, const struct th_entry *e)
{
	set_slot(node, slab, slab->count, e);
	slab->bytes += (uint32_t)entry_cost(node, e, slab_role(node, slab));
	if (slab == &node->base && node->children)
		node->children[slab->count] = NULL;
	slab->count++;
}

void th_slab_replace(struct th_node *node, struct th_slab *slab, unsigned i, const struct th_entry *e)
{
	slab->bytes += (uint32_t)th_slab_cost(node, slab, e);
	slab->bytes -= (uint32_t)th_slab_cost(node, slab, slab->entry[i]);
	if (slab->entry[i] != e)
		th_entry_unref(slab->entry[i]);
	set_slot(node, slab, i, e);
}

void th_slab_remove(struct th_node *node, struct th_slab *slab, unsigned from, unsigned to, bool drop)
{
	unsigned tail = slab->count - to;

	if (from == to)
		return;
	for (unsigned i = from; i < to; i++) {
		slab->bytes -= (uint32_t)th_slab_cost(node, slab, slab->entry[i]);
		if (drop)
			th_entry_unref(slab->entry[i]);
		if (slab == &node->base && node->children && node->children[i])
			th_node_unref(node->children[i]);
	}
	memmove(slab->head + from, slab->head + to, tail * sizeof(*slab->head));
	memmove(slab->entry + from, slab->entry + to, tail * sizeof(*slab->entry));
	if (slab == &node->base && node->children)
		memmove(node->children + from, node->children + to, tail * sizeof(*node->children));
	slab->count = (uint16_t)(slab->count - (to - from));
}

/* Appends [from, to) of another node's slab, sharing references.  Entries in a page which `node` does not have, or
 * whose strip it cannot express, are copied to the heap. */
static int slab_append_range(struct th_node *node, struct th_slab *slab, const struct th_node *source,
			     const struct th_slab *source_slab, unsigned from, unsigned to)
{
	bool same_page = node->page == source->page && node->page_strip <= node->prefix_size;
	int err = th_slab_reserve(node, slab, slab->count + to - from);

	if (err)
		return err;
	for (unsigned i = from; i < to; i++) {
		const struct th_entry *e = th_slab_entry(source_slab, i);

		e = same_page ? th_entry_ref(e) : th_node_entry_heap(source, e);
		if (!e)
			return -ENOMEM;
		th_slab_append(node, slab, e);
		if (slab == &node->base && source->children && source->children[i])
			node->children[slab->count - 1] = th_node_ref(source->children[i]);
	}
	return 0;
}

static void slab_release(struct th_slab *slab)
{
	if (slab->page)
		return;
	for (unsigned i = 0; i < slab->count; i++)
		th_entry_unref(slab->entry[i]);
	th_heap_free(slab->head);
	th_heap_free(slab->entry);
}

/* --- nodes --- */

struct th_node *th_node_new(unsigned level, struct th_slice prefix, uint64_t gen)
{
	struct th_node *node = th_heap_alloc_zeroed(sizeof(*node) + prefix.size);

	if (!node)
		return NULL;
	atomic_init(&node->refs, 1);
	node->level = (uint8_t)level;
	node->gen = gen;
	node->prefix_size = (uint16_t)prefix.size;
	if (prefix.size)
		memcpy(node->prefix, prefix.data, prefix.size);
	return node;
}

struct th_node *th_node_ref(struct th_node *node)
{
	atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
	return node;
}

void th_node_unref(struct th_node *node)
{
	if (!node || atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (node->children) {
		for (unsigned i = 0; i < node->base.count; i++)
			th_node_unref(node->children[i]);
		th_heap_free(node->children);
	}
	slab_release(&node->base);
	slab_release(&node->overlay);
	th_page_unref(node->page);
	th_heap_free(node);
}

/* Reserves base slots, and gives an interior node its array of children.  Call it before the base grows. */
static int node_reserve_children(struct th_node *node, unsigned count)
{
	int err = th_slab_reserve(node, &node->base, count ? count : 1);

	if (err || node->level == 0 || node->children)
		return err;
	node->children = th_heap_alloc_zeroed(node->base.capacity * sizeof(*node->children));
	return node->children ? 0 : -ENOMEM;
}

/* Makes a node of the same level and, if the prefix allows it, the same page, ready to take entries of `node`. */
static struct th_node *node_like(const struct th_node *node, struct th_slice prefix, uint64_t gen, unsigned base_count)
{
	struct th_node *new = th_node_new(node->level, prefix, gen);

	if (!new)
		return NULL;
	new->seq = node->seq;
	new->chunks = node->chunks;
	new->ranges = node->ranges;
	if (node->page && node->page_strip <= prefix.size) {
		new->page = th_page_ref(node->page);
		new->page_strip = node->page_strip;
	}
	if (node_reserve_children(new, base_count) < 0) {
		th_node_unref(new);
		return NULL;
	}
	return new;
}

/* Copies a slab to a new node with the same page and prefix. */
static int slab_copy(struct th_node *node, struct th_slab *slab, const struct th_slab *source)
{
	int err = source->count ? th_slab_reserve(node, slab, source->count) : 0;

	if (err)
		return err;
	for (unsigned i = 0; i < source->count; i++) {
		slab->head[i] = source->head[i];
		slab->entry[i] = th_entry_ref(th_slab_entry(source, i));
	}
	slab->count = source->count;
	slab->bytes = source->bytes;
	return 0;
}

/* Copies the references to children; the base was copied before. */
static void children_copy(struct th_node *node, const struct th_node *source)
{
	for (unsigned i = 0; source->children && i < source->base.count; i++)
		node->children[i] = source->children[i] ? th_node_ref(source->children[i]) : NULL;
}

struct th_node *th_node_copy(const struct th_node *node, uint64_t gen)
{
	struct th_slice prefix = { node->prefix, node->prefix_size };
	struct th_node *new = node_like(node, prefix, gen, node->base.count);

	if (!new)
		return NULL;
	new->records = node->records;
	if (slab_copy(new, &new->base, &node->base) == 0) {
		children_copy(new, node);
		if (slab_copy(new, &new->overlay, &node->overlay) == 0)
			return new;
	}
	th_node_unref(new);
	return NULL;
}

/* The prefix of all keys between two fences. */
static struct th_slice fence_prefix(struct th_slice lo, struct th_slice hi)
{
	return (struct th_slice){ lo.data, hi.data ? th_slice_common(lo, hi) : 0 };
}

struct th_node *th_node_slice(const struct th_node *node, unsigned from, unsigned to, unsigned overlay_from,
			      unsigned overlay_to, struct th_slice lo, struct th_slice hi)
{
	struct th_node *new = node_like(node, fence_prefix(lo, hi), node->gen, to - from);

	if (new && (slab_append_range(new, &new->base, node, &node->base, from, to) < 0 ||
		    slab_append_range(new, &new->overlay, node, &node->overlay, overlay_from, overlay_to) < 0)) {
		th_node_unref(new);
		return NULL;
	}
	if (new)
		th_node_count_records(new);
	return new;
}

struct th_node *th_node_join(const struct th_node *left, const struct th_node *right, struct th_slice lo,
			     struct th_slice hi)
{
	struct th_node *new = node_like(left, fence_prefix(lo, hi), left->gen, left->base.count + right->base.count);

	if (!new)
		return NULL;
	if (slab_append_range(new, &new->base, left, &left->base, 0, left->base.count) < 0 ||
	    slab_append_range(new, &new->base, right, &right->base, 0, right->base.count) < 0 ||
	    slab_append_range(new, &new->overlay, left, &left->overlay, 0, left->overlay.count) < 0 ||
	    slab_append_range(new, &new->overlay, right, &right->overlay, 0, right->overlay.count) < 0) {
		th_node_unref(new);
		return NULL;
	}
	new->seq = left->seq > right->seq ? left->seq : right->seq;
	new->chunks = left->chunks || right->chunks;
	new->records = left->records + right->records;
	return new;
}

size_t th_node_packed_size(const struct th_node *node)
{
	return TH_NODE_HEADER_BYTES + node->base.bytes + node->overlay.bytes;
}

void th_node_key(const struct th_node *node, const struct th_entry *e, struct th_key *ret)
{
	size_t strip = th_node_strip(node, e), n = th_entry_key_size(e);

	memcpy(ret->data, node->prefix, strip);
	memcpy(ret->data + strip, th_entry_key(e), n);
	ret->size = (uint16_t)(strip + n);
}

const struct th_entry *th_node_entry_heap(const struct th_node *node, const struct th_entry *e)
{
	struct th_slice head = { node->prefix, node->page_strip };
	struct th_slice key = { th_entry_key(e), th_entry_key_size(e) };
	struct th_entry *heap;

	if (e->flags & TH_ENTRY_HEAP)
		return th_entry_ref(e);
	heap = th_entry_new(e->flags, head, key, th_entry_value(e));
	if (heap) {
		th_entry_set_refs(heap, th_entry_refs(e));
		th_entry_set_seq(heap, th_entry_seq(e));
	}
	return heap;
}

unsigned th_node_child(const struct th_node *node, struct th_slice key)
{
	bool exact;
	unsigned i = th_slab_find(node, &node->base, key, &exact);

	return exact || i == 0 ? i : i - 1;
}

int th_node_child_ptr(const struct th_node *node, unsigned i, struct th_ptr *ret)
{
	struct th_slice value = th_entry_value(th_slab_entry(&node->base, i));
	struct th_ptr_disk disk;
	int err;

	if (value.size != sizeof(disk))
		return -EUCLEAN;
	memcpy(&disk, value.data, sizeof(disk));
	err = th_ptr_unpack(&disk, ret);
	if (err)
		return err;
	return ret->level + 1 == node->level ? 0 : -EUCLEAN;
}

uint64_t th_node_child_records(const struct th_node *node, unsigned i)
{
	struct th_ptr_disk disk;
	struct th_slice value;

	if (node->children && node->children[i])
		return th_node_records(node->children[i]);
	value = th_entry_value(th_slab_entry(&node->base, i));
	if (value.size != sizeof(disk))
		return 0;
	memcpy(&disk, value.data, sizeof(disk));
	return th_get_le64(disk.records);
}

void th_node_count_records(struct th_node *node)
{
	node->records = 0;
	for (unsigned i = 0; node->level > 0 && i < node->base.count; i++)
		node->records += th_node_child_records(node, i);
}

uint64_t th_node_deletes(const struct th_node *node)
{
	uint64_t deletes = 0;

	for (unsigned i = 0; i < node->overlay.count; i++)
		deletes += th_message_deletes(th_slab_entry(&node->overlay, i));
	for (unsigned i = 0; node->level > 0 && i < node->base.count; i++) {
		const struct th_node *child = node->children ? node->children[i] : NULL;
		struct th_ptr ptr;

		if (child)
			deletes += child->ptr.addr ? child->ptr.deletes : child->written.deletes;
		else if (th_node_child_ptr(node, i, &ptr) == 0)
			deletes += ptr.deletes;
	}
	return deletes;
}

int th_node_set_child(struct th_node *node, unsigned i, struct th_node *child)
{
	int err = node_reserve_children(node, node->base.count);

	if (err)
		return err;
	th_node_unref(node->children[i]);
	node->children[i] = child;
	return 0;
}

int th_node_insert_child(struct th_node *node, unsigned i, struct th_slice fence, struct th_node *child)
{
	static const struct th_ptr_disk none;
	struct th_entry *e;
	int err = node_reserve_children(node, node->base.count + 1u);

	if (err)
		return err;
	e = th_entry_new(TH_ENTRY_VALUE, fence, TH_SLICE_EMPTY, (struct th_slice){ &none, sizeof(none) });
	if (!e)
		return -ENOMEM;
	err = th_slab_insert(node, &node->base, i, e);
	if (err) {
		th_entry_unref(e);
		return err;
	}
	node->children[i] = child;
	return 0;
}
