/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: slabs stay sorted and know their size, slices and joins keep their entries, and a copy is independent. */
#include "tests/tree/nodes.h"

#include <stdio.h>

#define SLOTS 200u

static const struct th_slice open_end = { NULL, 0 };

static struct th_node *new_node(unsigned level, const char *prefix)
{
	struct th_node *node = th_node_new(level, th_slice_of(prefix), 1);

	ck_assert_ptr_nonnull(node);
	return node;
}

static struct th_slice key_at(unsigned i, char *space)
{
	snprintf(space, 16, "key%04u", i);
	return th_slice_of(space);
}

static struct th_node *leaf_with(unsigned from, unsigned to)
{
	struct th_node *leaf = new_node(0, "key");
	char key[16];

	for (unsigned i = from; i < to; i++) {
		key_at(i, key);
		th_ok(th_slab_insert(leaf, &leaf->base, i - from, th_test_put(key, "value", 0)));
	}
	return leaf;
}

/* Random insertions, replacements and removals, against an array of flags (N2, N5). */
START_TEST(slots_stay_sorted_and_counted)
{
	struct th_random random = { .state = th_test_seed("slots_stay_sorted_and_counted") };
	struct th_node *leaf = new_node(0, "key");
	bool there[SLOTS] = { false };
	char key[16], value[32] = "";

	for (unsigned round = 0; round < th_test_rounds(5000); round++) {
		unsigned i = th_random_below(&random, SLOTS), count = 0;
		struct th_slice slice = key_at(i, key);
		bool exact;
		unsigned at = th_slab_find(leaf, &leaf->base, slice, &exact);

		memset(value, 'v', sizeof(value));
		value[th_random_below(&random, sizeof(value))] = 0;
		ck_assert_int_eq(exact, there[i]);
		there[i] = !exact || th_random_percent(&random, 50);
		if (!exact)
			th_ok(th_slab_insert(leaf, &leaf->base, at, th_test_put(key, value, 0)));
		else if (there[i])
			th_slab_replace(leaf, &leaf->base, at, th_test_put(key, value, 0));
		else
			th_slab_remove(leaf, &leaf->base, at, at + 1, true);
		for (unsigned j = 0; j < SLOTS; j++)
			count += there[j];
		ck_assert_uint_eq(leaf->base.count, count);
		th_test_check_node(leaf, TH_SLICE_EMPTY, open_end);
	}
	th_node_unref(leaf);
}
END_TEST

START_TEST(a_search_finds_the_place_of_any_key)
{
	struct th_node *leaf = leaf_with(10, 20);
	bool exact;

	ck_assert_uint_eq(th_slab_find(leaf, &leaf->base, th_slice_of("key0015"), &exact), 5);
	ck_assert(exact);
	ck_assert_uint_eq(th_slab_find(leaf, &leaf->base, th_slice_of("key0015a"), &exact), 6);
	ck_assert(!exact);
	ck_assert_uint_eq(th_slab_find(leaf, &leaf->base, th_slice_of("key"), &exact), 0);
	/* outside of the prefix */
	ck_assert_uint_eq(th_slab_lower(leaf, &leaf->base, th_slice_of("ke")), 0);
	ck_assert_uint_eq(th_slab_lower(leaf, &leaf->base, th_slice_of("a")), 0);
	ck_assert_uint_eq(th_slab_lower(leaf, &leaf->base, th_slice_of("key0019")), 9);
	ck_assert_uint_eq(th_slab_lower(leaf, &leaf->base, th_slice_of("kez")), 10);
	ck_assert_uint_eq(th_slab_lower(leaf, &leaf->base, th_slice_of("l")), 10);
	th_node_unref(leaf);
}
END_TEST

/* The level-0 index has four bytes: keys that differ later, or only in their length, or by zeros, differ all the
 * same. */
START_TEST(equal_heads_do_not_confuse_a_search)
{
	static const char *const keys[] = { "k", "k\x01", "kaaaa", "kaaaaa", "kaaaab", "kb" };
	struct th_node *leaf = new_node(0, "k");
	bool exact;

	for (unsigned i = 0; i < 6; i++)
		th_ok(th_slab_insert(leaf, &leaf->base, i, th_test_put(keys[i], "", 0)));
	th_test_check_node(leaf, TH_SLICE_EMPTY, open_end);
	for (unsigned i = 0; i < 6; i++) {
		ck_assert_uint_eq(th_slab_find(leaf, &leaf->base, th_slice_of(keys[i]), &exact), i);
		ck_assert(exact);
	}
	ck_assert_uint_eq(th_slab_find(leaf, &leaf->base, (struct th_slice){ "k\0", 2 }, &exact), 1);
	ck_assert(!exact);
	th_node_unref(leaf);
}
END_TEST

START_TEST(a_copy_can_change_alone)
{
	struct th_node *leaf = leaf_with(0, 3), *copy = th_node_copy(leaf, 2);

	ck_assert_ptr_nonnull(copy);
	ck_assert_uint_eq(copy->gen, 2);
	th_slab_replace(copy, &copy->base, 1, th_test_put("key0001", "new", 0));
	th_slab_remove(copy, &copy->base, 0, 1, true);
	th_test_expect_slab(leaf, &leaf->base, "key0000=value key0001=value key0002=value");
	th_test_expect_slab(copy, &copy->base, "key0001=new key0002=value");
	th_test_check_node(leaf, TH_SLICE_EMPTY, open_end);
	th_test_check_node(copy, TH_SLICE_EMPTY, open_end);
	th_node_unref(leaf); /* the shared entry stays */
	th_test_expect_slab(copy, &copy->base, "key0001=new key0002=value");
	th_node_unref(copy);
}
END_TEST

START_TEST(slices_have_the_prefix_of_their_fences)
{
	struct th_node *leaf = leaf_with(100, 300);
	struct th_slice lo = th_slice_of("key01"), middle = th_slice_of("key0200"), hi = th_slice_of("key03");
	struct th_node *left = th_node_slice(leaf, 0, 100, 0, 0, th_slice_of("key0100"), th_slice_of("key0199x"));
	struct th_node *right = th_node_slice(leaf, 100, 200, 0, 0, middle, hi), *joined;

	ck_assert(left && right);
	ck_assert_uint_eq(left->prefix_size, strlen("key01"));
	ck_assert_uint_eq(right->prefix_size, strlen("key0"));
	th_test_check_node(left, lo, middle);
	th_test_check_node(right, middle, hi);
	joined = th_node_join(left, right, lo, open_end);
	ck_assert_ptr_nonnull(joined);
	ck_assert_uint_eq(joined->prefix_size, 0);
	ck_assert_uint_eq(joined->base.count, 200);
	th_test_check_node(joined, lo, open_end);
	for (unsigned i = 0; i < 200; i++)
		ck_assert_str_eq(th_test_print(joined, th_slab_entry(&joined->base, i)),
				 th_test_print(leaf, th_slab_entry(&leaf->base, i)));
	th_node_unref(joined);
	th_node_unref(left);
	th_node_unref(right);
	th_node_unref(leaf);
}
END_TEST

START_TEST(a_child_is_found_by_its_fence)
{
	struct th_node *node = new_node(1, ""), *first = leaf_with(0, 1);

	th_ok(th_node_insert_child(node, 0, TH_SLICE_EMPTY, first));
	th_ok(th_node_insert_child(node, 1, th_slice_of("p"), leaf_with(1, 2)));
	th_ok(th_node_insert_child(node, 1, th_slice_of("f"), leaf_with(2, 3)));
	ck_assert_uint_eq(th_node_child(node, TH_SLICE_EMPTY), 0);
	ck_assert_uint_eq(th_node_child(node, th_slice_of("ezz")), 0);
	ck_assert_uint_eq(th_node_child(node, th_slice_of("f")), 1);
	ck_assert_uint_eq(th_node_child(node, th_slice_of("o")), 1);
	ck_assert_uint_eq(th_node_child(node, th_slice_of("z")), 2);
	th_test_expect_slab(node->children[1], &node->children[1]->base, "key0002=value");
	th_node_ref(first);
	th_ok(th_node_set_child(node, 0, leaf_with(3, 4)));
	ck_assert_uint_eq(first->refs, 1); /* the node has dropped its own */
	th_node_unref(first);
	th_test_check_node(node, TH_SLICE_EMPTY, open_end);
	th_slab_remove(node, &node->base, 1, 2, true);
	ck_assert_uint_eq(node->base.count, 2);
	th_test_expect_slab(node->children[1], &node->children[1]->base, "key0001=value");
	th_node_unref(node);
}
END_TEST

/* A child that is neither in memory nor written has a pointer of zeros. */
START_TEST(a_pointer_to_nothing_is_refused)
{
	struct th_node *node = new_node(1, "");
	struct th_ptr ptr;

	th_ok(th_node_insert_child(node, 0, TH_SLICE_EMPTY, leaf_with(0, 1)));
	th_expect(th_node_child_ptr(node, 0, &ptr), -EUCLEAN);
	th_node_unref(node);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { slots_stay_sorted_and_counted,          a_search_finds_the_place_of_any_key,
				       equal_heads_do_not_confuse_a_search,    a_copy_can_change_alone,
				       slices_have_the_prefix_of_their_fences, a_child_is_found_by_its_fence,
				       a_pointer_to_nothing_is_refused };

	return th_tests_run("node", tests, sizeof(tests) / sizeof(tests[0]));
}
