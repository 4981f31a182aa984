/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tree/nodes.h"

#include <stdio.h>
#include <stdlib.h>

#include "journal/base/checksum.h"
#include "tree/btree/insert.h"
#include "tree/btree/split_join.h"
#include "tree/node/large_value.h"
#include "tree/node/node_pack.h"

#define DISK_BLOCKS 65536u
#define FIRST_BLOCK 16u

/* --- entries --- */

static const struct th_entry *numbered(struct th_entry *e, uint64_t seq)
{
	ck_assert_ptr_nonnull(e);
	th_entry_set_seq(e, seq);
	return e;
}

const struct th_entry *th_test_put(const char *key, const char *value, uint64_t seq)
{
	return numbered(th_message_put(th_slice_of(key), TH_SLICE_EMPTY, th_slice_of(value)), seq);
}

const struct th_entry *th_test_delete(const char *key, uint64_t seq)
{
	return numbered(th_message_delete(th_slice_of(key), TH_SLICE_EMPTY), seq);
}

const struct th_entry *th_test_add_refs(const char *key, int32_t delta, uint64_t seq)
{
	return numbered(th_message_add_refs(th_slice_of(key), TH_SLICE_EMPTY, delta), seq);
}

const struct th_entry *th_test_delete_range(const char *from, const char *to, uint64_t seq)
{
	return numbered(th_message_delete_range(th_slice_of(from), th_slice_of(to), 0), seq);
}

const struct th_entry *th_test_put_large(const char *key, uint64_t addr, uint64_t seq)
{
	struct th_large_value large = { .size = TH_INLINE_MAX + 1, .runs = 1, .run = { { addr, 1, 1 } } };
	uint8_t descriptor[TH_LARGE_VALUE_DISK_MAX];
	size_t size = th_large_value_pack(&large, descriptor);

	return numbered(th_message_put_large(th_slice_of(key), TH_SLICE_EMPTY, (struct th_slice){ descriptor, size }),
			seq);
}

const char *th_test_print(const struct th_node *node, const struct th_entry *e)
{
	static char text[4][160];
	static unsigned next;
	char *to = text[next++ % 4];
	struct th_slice value = th_entry_value(e);
	struct th_key key;
	int n;

	th_node_key(node, e, &key);
	if (th_message_is_range(e)) {
		snprintf(to, 160, "%.*s..%.*s", key.size, (const char *)key.data, (int)value.size,
			 (const char *)value.data);
		return to;
	}
	n = snprintf(to, 160, "%.*s%s", key.size, (const char *)key.data,
		     node->level > 0 && e->flags & TH_ENTRY_RESET ? "-" : ""); /* means nothing in a record */
	if (th_entry_is_large(e))
		n += snprintf(to + n, 160 - (size_t)n, "=large");
	else if (th_entry_has_value(e))
		n += snprintf(to + n, 160 - (size_t)n, "=%.*s", (int)value.size, (const char *)value.data);
	if (th_entry_refs(e))
		snprintf(to + n, 160 - (size_t)n, "%+d", th_entry_refs(e));
	return to;
}

void th_test_expect_slab(const struct th_node *node, const struct th_slab *slab, const char *expected)
{
	char found[4096] = "";

	for (unsigned i = 0; i < slab->count; i++) {
		if (i > 0)
			strcat(found, " ");
		strcat(found, th_test_print(node, th_slab_entry(slab, i)));
	}
	ck_assert_str_eq(found, expected);
}

/* --- invariants --- */

static void check_slab(const struct th_node *node, const struct th_slab *slab, struct th_slice lo, struct th_slice hi)
{
	struct th_key before, key;

	ck_assert_uint_le(slab->count, TH_SLOTS_MAX);
	ck_assert_uint_eq(slab->bytes, th_slab_cost_range(node, slab, 0, slab->count));
	for (unsigned i = 0; i < slab->count; i++) {
		const struct th_entry *e = th_slab_entry(slab, i);

		th_node_key(node, e, &key);
		th_true(key.size >= node->prefix_size && memcmp(key.data, node->prefix, node->prefix_size) == 0);
		th_true(th_slice_compare(th_key_slice(&key), lo) >= 0); /* N2 */
		th_true(!hi.data || th_slice_compare(th_key_slice(&key), hi) < 0);
		th_true(i == 0 || th_slice_compare(th_key_slice(&before), th_key_slice(&key)) < 0);
		th_true(th_get_le32(slab->head[i]) == th_key_head(th_node_suffix(node, e)));
		before = key;
	}
}

/* The lower fence of child i, or the node's upper fence. */
static struct th_slice child_fence(const struct th_node *node, unsigned i, struct th_slice hi, struct th_key *space)
{
	if (i >= node->base.count)
		return hi;
	th_node_key(node, th_slab_entry(&node->base, i), space);
	return th_key_slice(space);
}

/* N3: a range message ends before the next message, and within the child where it begins. */
static void check_ranges(const struct th_node *node, struct th_slice hi)
{
	for (unsigned i = 0; i < node->overlay.count; i++) {
		const struct th_entry *e = th_slab_entry(&node->overlay, i);
		struct th_slice end = th_entry_value(e), fence;
		struct th_key key, next, space;

		if (!th_message_is_range(e))
			continue;
		th_true(node->ranges);
		th_node_key(node, e, &key);
		th_true(th_slice_compare(th_key_slice(&key), end) < 0);
		if (i + 1 < node->overlay.count) {
			th_node_key(node, th_slab_entry(&node->overlay, i + 1), &next);
			th_true(th_slice_compare(end, th_key_slice(&next)) <= 0);
		}
		if (node->base.count == 0)
			continue;
		fence = child_fence(node, th_node_child(node, th_key_slice(&key)) + 1, hi, &space);
		th_true(!fence.data || th_slice_compare(end, fence) <= 0);
	}
}

void th_test_check_node(const struct th_node *node, struct th_slice lo, struct th_slice hi)
{
	struct th_key space;

	check_slab(node, &node->base, lo, hi);
	check_slab(node, &node->overlay, lo, hi);
	check_ranges(node, hi);
	th_true(node->level > 0 || node->overlay.count == 0);
	th_true(node->level == 0 || node->base.count == 0 ||
		th_slice_compare(child_fence(node, 0, hi, &space), lo) == 0); /* N4 */
	th_true(th_node_packed_size(node) <= TH_NODE_MAX); /* N5 */
}

static unsigned check_below(struct th_cache *cache, struct th_node *node, struct th_slice lo, struct th_slice hi,
			    uint64_t gen, size_t *bytes)
{
	unsigned count = 1;

	th_test_check_node(node, lo, hi);
	th_true(!th_node_too_big(node));
	if (node->gen == gen)
		*bytes += (th_node_packed_size(node) + TH_BLOCK_SIZE - 1) / TH_BLOCK_SIZE * TH_BLOCK_SIZE;
	for (unsigned i = 0; node->level > 0 && i < node->base.count; i++) {
		struct th_key from, to;
		struct th_slice child_lo = child_fence(node, i, hi, &from),
				child_hi = child_fence(node, i + 1, hi, &to);
		struct th_node *child;
		struct th_ptr ptr;

		if (node->children && node->children[i]) {
			child = th_node_ref(node->children[i]);
		} else {
			th_ok(th_node_child_ptr(node, i, &ptr));
			th_ok(th_cache_load(cache, &ptr, child_lo, &child));
		}
		th_true(child->level + 1 == node->level);
		th_true(child->gen != gen || node->gen == gen); /* N1 */
		th_true(child->seq <= node->seq && child->chunks <= node->chunks);
		count += check_below(cache, child, child_lo, child_hi, gen, bytes);
		th_node_unref(child);
	}
	return count;
}

unsigned th_test_check_tree(struct th_cache *cache, struct th_node *root, uint64_t gen, size_t *ret_transient_bytes)
{
	*ret_transient_bytes = 0;
	return check_below(cache, root, TH_SLICE_EMPTY, (struct th_slice){ NULL, 0 }, gen, ret_transient_bytes);
}

/* --- a place for nodes --- */

static void count_report(void *arg, const char *line)
{
	struct th_nodes *nodes = arg;

	nodes->reports++;
	snprintf(nodes->report, sizeof(nodes->report), "%s", line);
}

void th_nodes_init(struct th_nodes *nodes, size_t cache_bytes)
{
	struct th_disk *memory;

	*nodes = (struct th_nodes){ .next = FIRST_BLOCK };
	th_ok(th_disk_memory_new(DISK_BLOCKS, &memory));
	th_ok(th_disk_fault_new(memory, &nodes->disk));
	th_ok(th_readahead_new(nodes->disk, &nodes->ahead));
	th_ok(th_cache_new(nodes->disk, nodes->ahead, cache_bytes, count_report, nodes, &nodes->cache));
}

void th_nodes_release(struct th_nodes *nodes)
{
	th_cache_free(nodes->cache);
	th_readahead_free(nodes->ahead);
	th_disk_close(nodes->disk);
}

void th_nodes_write(struct th_nodes *nodes, struct th_node *node, uint64_t birth)
{
	struct th_page *page;
	uint32_t size;
	void *blocks;

	if (th_node_is_persistent(node))
		return;
	for (unsigned i = 0; node->children && i < node->base.count; i++)
		if (node->children[i])
			th_nodes_write(nodes, node->children[i], birth);
	th_ok(th_node_pack(node, birth, &blocks, &size));
	node->written = (struct th_ptr){
		.addr = nodes->next,
		.birth = birth,
		.seq = node->seq,
		.checksum = th_checksum(blocks, size),
		.records = th_node_records(node),
		.deletes = th_node_deletes(node),
		.blocks = (uint16_t)(size / TH_BLOCK_SIZE),
		.prefix_size = node->prefix_size,
		.level = node->level,
		.chunks = node->chunks,
	};
	th_ok(th_disk_write(nodes->disk, nodes->next, size / TH_BLOCK_SIZE, blocks));
	nodes->next += size / TH_BLOCK_SIZE;
	page = th_node_page(blocks);
	ck_assert_ptr_nonnull(page);
	th_node_persist(node, page);
	node->gen = 0;
	th_page_unref(page);
	free(blocks);
}

struct th_ptr th_nodes_leaf(struct th_nodes *nodes, const char *prefix, unsigned count, uint64_t birth)
{
	struct th_node *leaf = th_node_new(0, th_slice_of(prefix), 1);
	struct th_ptr ptr;
	char key[64];

	ck_assert_ptr_nonnull(leaf);
	for (unsigned i = 0; i < count; i++) {
		snprintf(key, sizeof(key), "%s%05u", prefix, i);
		th_ok(th_slab_insert(leaf, &leaf->base, i, th_test_put(key, "value", 0)));
	}
	th_nodes_write(nodes, leaf, birth);
	ptr = leaf->ptr;
	th_node_unref(leaf);
	return ptr;
}

void th_nodes_tree(struct th_nodes *nodes, struct th_tree *tree, uint32_t overlay_bytes)
{
	th_tree_init(tree, nodes->cache, 2, overlay_bytes);
	th_ok(th_tree_load(tree, &(struct th_ptr){ 0 }));
}

void th_nodes_fill(struct th_tree *tree, unsigned from, unsigned to, size_t value_size)
{
	static uint64_t seq;
	char key[16], value[TH_INLINE_MAX + 1];

	memset(value, 'v', value_size);
	value[value_size] = 0;
	for (unsigned i = from; i < to; i++) {
		snprintf(key, sizeof(key), "k%06u", i);
		th_ok(th_tree_put(tree, th_test_put(key, value, ++seq)));
	}
}

void th_nodes_freeze(struct th_nodes *nodes, struct th_tree *tree)
{
	struct th_node *root = th_tree_freeze(tree);

	tree->checkpoint_gen = tree->gen - 1;
	tree->dirty_bytes = 0;
	th_nodes_write(nodes, root, tree->gen - 1);
	th_node_unref(root);
	th_dead_nodes_release(&tree->dead);
	th_drops_release(&tree->drops);
}

void th_nodes_damage(struct th_nodes *nodes, uint64_t addr)
{
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);

	ck_assert_ptr_nonnull(block);
	memset(block, 0xa5, TH_BLOCK_SIZE);
	th_ok(th_disk_write(nodes->disk, addr, 1, block));
	free(block);
}
