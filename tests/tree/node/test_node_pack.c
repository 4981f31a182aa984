/* SPDX-License-Identifier: Apache-2.0 */
/* Packed nodes: reading gives what was written; whatever breaks an invariant on the disk is refused. */
#include "tests/tree/nodes.h"

#include <stdlib.h>

#include "tree/node/message_apply.h"
#include "tree/node/node_pack.h"

struct packed {
	uint8_t *blocks;
	uint32_t size;
	struct th_ptr ptr;
};

static const struct th_slice prefix = { "k", 1 };

static void insert(struct th_node *node, const struct th_entry *message)
{
	struct th_drops drops = { 0 };

	th_ok(node->level > 0 ? th_message_insert(node, message, &drops) : th_message_apply(node, message, &drops));
}

static struct th_node *sample_leaf(void)
{
	struct th_node *leaf = th_node_new(0, prefix, 1);

	ck_assert_ptr_nonnull(leaf);
	insert(leaf, th_test_put("ka", "1", 1));
	insert(leaf, th_test_add_refs("ka", 5, 2));
	insert(leaf, th_test_put("kaaaaaa", "2", 3));
	insert(leaf, th_test_put("kaaaaab", "3", 4));
	insert(leaf, th_test_put("kb", "4", 5));
	leaf->seq = 5;
	return leaf;
}

/* Two children, with messages for both. */
static struct th_node *sample_interior(void)
{
	struct th_node *node = th_node_new(1, TH_SLICE_EMPTY, 1), *child;

	ck_assert_ptr_nonnull(node);
	for (unsigned i = 0; i < 2; i++) {
		child = sample_leaf();
		child->written = (struct th_ptr){
			.addr = 100 + i,
			.birth = 3,
			.seq = 5,
			.blocks = 1,
			.prefix_size = 1,
		};
		th_ok(th_node_insert_child(node, i, i ? th_slice_of("ka") : TH_SLICE_EMPTY, child));
	}
	insert(node, th_test_delete_range("a", "c", 6));
	insert(node, th_test_put("b", "5", 7));
	insert(node, th_test_delete("kc", 8));
	node->seq = 8;
	return node;
}

static struct packed pack(struct th_node *node)
{
	struct packed packed;
	void *blocks;

	th_ok(th_node_pack(node, 9, &blocks, &packed.size));
	packed.blocks = blocks;
	packed.ptr = (struct th_ptr){
		.addr = 50,
		.birth = 9,
		.seq = node->seq,
		.records = th_node_records(node),
		.blocks = (uint16_t)(packed.size / TH_BLOCK_SIZE),
		.prefix_size = node->prefix_size,
		.level = node->level,
		.chunks = node->chunks,
	};
	return packed;
}

static int unpack(const struct packed *packed, struct th_node **ret, const char **why)
{
	return th_node_unpack(packed->blocks, &packed->ptr, (struct th_slice){ prefix.data, packed->ptr.prefix_size },
			      ret, why);
}

static void expect_same_slab(const struct th_node *a, const struct th_slab *x, const struct th_node *b,
			     const struct th_slab *y)
{
	ck_assert_uint_eq(x->count, y->count);
	ck_assert_uint_eq(x->bytes, y->bytes);
	for (unsigned i = 0; i < x->count; i++)
		ck_assert_str_eq(th_test_print(a, th_slab_entry(x, i)), th_test_print(b, th_slab_entry(y, i)));
}

START_TEST(unpacking_gives_the_leaf_that_was_packed)
{
	struct th_node *leaf = sample_leaf(), *found;
	struct packed packed = pack(leaf);
	const char *why;

	th_ok(unpack(&packed, &found, &why));
	ck_assert(th_node_is_persistent(found));
	ck_assert_uint_eq(found->seq, 5);
	expect_same_slab(leaf, &leaf->base, found, &found->base);
	th_test_check_node(found, prefix, (struct th_slice){ NULL, 0 });
	th_node_unref(found);
	th_node_unref(leaf);
	free(packed.blocks);
}
END_TEST

START_TEST(unpacking_gives_the_interior_node_that_was_packed)
{
	struct th_node *node = sample_interior(), *found;
	struct packed packed = pack(node);
	struct th_ptr child;
	const char *why;

	th_ok(unpack(&packed, &found, &why));
	expect_same_slab(node, &node->overlay, found, &found->overlay);
	th_test_check_node(found, TH_SLICE_EMPTY, (struct th_slice){ NULL, 0 });
	ck_assert_ptr_null(found->children);
	th_ok(th_node_child_ptr(found, 1, &child));
	ck_assert_uint_eq(child.addr, 101);
	ck_assert_uint_eq(th_entry_seq(th_slab_entry(&found->overlay, found->overlay.count - 1)), 8);
	th_node_unref(found);
	th_node_unref(node);
	free(packed.blocks);
}
END_TEST

START_TEST(a_persistent_node_has_the_same_content)
{
	struct th_node *node = sample_interior(), *before = sample_interior();
	struct packed packed = pack(node);
	struct th_page *page = th_node_page(packed.blocks);

	node->written = packed.ptr;
	th_node_persist(node, page);
	th_page_unref(page);
	free(packed.blocks);
	ck_assert(th_node_is_persistent(node));
	ck_assert_ptr_null(node->children);
	ck_assert_ptr_null(node->overlay.entry);
	expect_same_slab(before, &before->overlay, node, &node->overlay);
	th_test_check_node(node, TH_SLICE_EMPTY, (struct th_slice){ NULL, 0 });
	th_node_unref(node);
	th_node_unref(before);
}
END_TEST

/* N5 */
START_TEST(a_node_that_is_too_big_is_not_packed)
{
	struct th_node *leaf = th_node_new(0, TH_SLICE_EMPTY, 1);
	static char value[TH_INLINE_MAX + 1];
	char key[2] = "a";
	uint32_t size;
	void *blocks;

	memset(value, 'x', TH_INLINE_MAX);
	while (th_node_packed_size(leaf) <= TH_NODE_MAX) {
		th_ok(th_slab_insert(leaf, &leaf->base, leaf->base.count, th_test_put(key, value, 0)));
		key[0]++;
	}
	th_expect(th_node_pack(leaf, 9, &blocks, &size), -EOVERFLOW);
	th_slab_remove(leaf, &leaf->base, 0, 1, true);
	th_ok(th_node_pack(leaf, 9, &blocks, &size));
	ck_assert_uint_le(size, TH_NODE_MAX);
	free(blocks);
	th_node_unref(leaf);
}
END_TEST

static void expect_refused(const struct packed *packed)
{
	struct th_node *found;
	const char *why = NULL;

	th_expect(unpack(packed, &found, &why), -EUCLEAN);
	ck_assert_ptr_nonnull(why);
}

/* Applies a change to a packed sample and expects that it is refused.  `at` points to the header. */
#define EXPECT_REFUSED(sample, ...)                                                                                    \
	do {                                                                                                           \
		struct th_node *node = sample;                                                                         \
		struct packed packed = pack(node);                                                                     \
		struct th_node_disk *at = (struct th_node_disk *)packed.blocks;                                        \
                                                                                                                       \
		(void)at;                                                                                              \
		__VA_ARGS__;                                                                                           \
		expect_refused(&packed);                                                                               \
		free(packed.blocks);                                                                                   \
		th_node_unref(node);                                                                                   \
	} while (0)

/* The heads and offsets of a slab that begins with slot `first`. */
static uint8_t *head(struct packed *packed, unsigned i)
{
	return packed->blocks + sizeof(struct th_node_disk) + 4 * (size_t)i;
}

static uint8_t *offset(struct packed *packed, unsigned count, unsigned i)
{
	return packed->blocks + sizeof(struct th_node_disk) + 4 * (size_t)count + 2 * (size_t)i;
}

static struct th_entry *entry(struct packed *packed, unsigned count, unsigned i)
{
	struct th_le16 where;

	memcpy(&where, offset(packed, count, i), 2);
	return (struct th_entry *)(packed->blocks + th_get_le16(where));
}

static void set_offset(struct packed *packed, unsigned count, unsigned i, uint16_t where)
{
	struct th_le16 value = th_le16(where);

	memcpy(offset(packed, count, i), &value, sizeof(value));
}

static void swap(uint8_t *a, uint8_t *b, size_t size)
{
	uint8_t space[8];

	memcpy(space, a, size);
	memcpy(a, b, size);
	memcpy(b, space, size);
}

START_TEST(a_header_that_contradicts_the_pointer_is_refused)
{
	EXPECT_REFUSED(sample_leaf(), at->magic = th_le32(1));
	EXPECT_REFUSED(sample_leaf(), packed.ptr.birth = 8);
	EXPECT_REFUSED(sample_leaf(), packed.ptr.chunks = 1);
	EXPECT_REFUSED(sample_leaf(), at->level = 1);
	EXPECT_REFUSED(sample_leaf(), at->flags = 2);
	EXPECT_REFUSED(sample_leaf(), packed.ptr.prefix_size = 0);
	EXPECT_REFUSED(sample_leaf(), at->used = th_le32(TH_BLOCK_SIZE + 1));
	EXPECT_REFUSED(sample_leaf(), at->used = th_le32(40));
	EXPECT_REFUSED(sample_leaf(), at->base_slots = th_le16(TH_SLOTS_MAX + 1));
	EXPECT_REFUSED(sample_leaf(), at->base_slots = th_le16(3), at->overlay_slots = th_le16(1));
	EXPECT_REFUSED(sample_interior(), at->base_slots = th_le16(0));
}
END_TEST

START_TEST(slots_that_break_the_order_are_refused)
{
	EXPECT_REFUSED(sample_leaf(), swap(offset(&packed, 4, 0), offset(&packed, 4, 3), 2));
	EXPECT_REFUSED(sample_leaf(), swap(head(&packed, 0), head(&packed, 3), 4));
	EXPECT_REFUSED(sample_leaf(), swap(head(&packed, 0), head(&packed, 3), 4),
		       swap(offset(&packed, 4, 0), offset(&packed, 4, 3), 2));
	EXPECT_REFUSED(sample_leaf(), swap(offset(&packed, 4, 1), offset(&packed, 4, 2), 2)); /* equal heads */
	EXPECT_REFUSED(sample_leaf(), memcpy(offset(&packed, 4, 2), offset(&packed, 4, 1), 2)); /* twice */
}
END_TEST

START_TEST(entries_out_of_bounds_are_refused)
{
	EXPECT_REFUSED(sample_leaf(), set_offset(&packed, 4, 0, 8));
	EXPECT_REFUSED(sample_leaf(), set_offset(&packed, 4, 3, 4000));
	EXPECT_REFUSED(sample_leaf(), entry(&packed, 4, 3)->value_size = th_le16(2));
	EXPECT_REFUSED(sample_leaf(), entry(&packed, 4, 3)->key_size = th_le16(TH_KEY_MAX + 1));
}
END_TEST

/* Entries that share bytes take more room when they are unpacked than the node has. */
START_TEST(entries_that_overlap_or_leave_a_gap_are_refused)
{
	EXPECT_REFUSED(sample_leaf(), entry(&packed, 4, 2)->value_size = th_le16(3)); /* reaches into the next */
	EXPECT_REFUSED(sample_leaf(), entry(&packed, 4, 2)->value_size = th_le16(0)); /* leaves its last byte unused */
	EXPECT_REFUSED(sample_leaf(), entry(&packed, 4, 3)->value_size = th_le16(0)); /* the last one */
	EXPECT_REFUSED(sample_leaf(), at->used = th_le32(th_get_le32(at->used) + 1));
}
END_TEST

START_TEST(entries_that_do_not_fit_their_slab_are_refused)
{
	EXPECT_REFUSED(sample_leaf(), entry(&packed, 4, 3)->flags |= TH_ENTRY_RESET);
	EXPECT_REFUSED(sample_leaf(), entry(&packed, 4, 3)->flags |= TH_ENTRY_HEAP);
	EXPECT_REFUSED(sample_leaf(), memset(entry(&packed, 4, 0) + 1, 0, 4)); /* a count of 0 is left out */
	EXPECT_REFUSED(sample_interior(), entry(&packed, 2, 0)->flags |= TH_ENTRY_RESET);
	EXPECT_REFUSED(sample_interior(), entry(&packed, 2, 1)->flags = 0);
}
END_TEST

/* Any single bit: the result is refused, or it is a node that holds what the format promises. */
START_TEST(a_flipped_bit_never_gives_a_broken_node)
{
	struct th_node *samples[] = { sample_leaf(), sample_interior() };

	for (unsigned s = 0; s < 2; s++) {
		struct packed packed = pack(samples[s]);
		size_t used = th_node_packed_size(samples[s]);

		for (size_t bit = 0; bit < 8 * used; bit++) {
			struct th_node *found;
			const char *why;

			packed.blocks[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (unpack(&packed, &found, &why) == 0) {
				ck_assert_uint_le(th_node_packed_size(found), TH_NODE_MAX);
				for (unsigned i = 1; i < found->base.count; i++)
					ck_assert_int_lt(
						th_slice_compare(
							th_node_suffix(found, th_slab_entry(&found->base, i - 1)),
							th_node_suffix(found, th_slab_entry(&found->base, i))),
						0);
				th_node_unref(found);
			}
			packed.blocks[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		free(packed.blocks);
		th_node_unref(samples[s]);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { unpacking_gives_the_leaf_that_was_packed,
				       unpacking_gives_the_interior_node_that_was_packed,
				       a_persistent_node_has_the_same_content,
				       a_node_that_is_too_big_is_not_packed,
				       a_header_that_contradicts_the_pointer_is_refused,
				       slots_that_break_the_order_are_refused,
				       entries_out_of_bounds_are_refused,
				       entries_that_overlap_or_leave_a_gap_are_refused,
				       entries_that_do_not_fit_their_slab_are_refused,
				       a_flipped_bit_never_gives_a_broken_node };

	return th_tests_run("node_pack", tests, sizeof(tests) / sizeof(tests[0]));
}
