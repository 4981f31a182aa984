/* SPDX-License-Identifier: Apache-2.0 */
/* Overlays: range messages are cut where a boundary falls into them, and cover the keys up to their end. */
#include "tests/tree/nodes.h"

#include "tree/node/message_apply.h"

static struct th_node *with_range(const char *from, const char *to)
{
	struct th_node *node = th_node_new(1, TH_SLICE_EMPTY, 1);
	struct th_drops drops = { 0 };

	ck_assert_ptr_nonnull(node);
	th_ok(th_message_insert(node, th_test_delete_range(from, to, 7), &drops));
	return node;
}

static void check(const struct th_node *node, const char *expected)
{
	th_test_expect_slab(node, &node->overlay, expected);
	th_test_check_node(node, TH_SLICE_EMPTY, (struct th_slice){ NULL, 0 });
	for (unsigned i = 0; i < node->overlay.count; i++)
		ck_assert_uint_eq(th_entry_seq(th_slab_entry(&node->overlay, i)), 7);
}

START_TEST(a_cut_divides_a_range)
{
	struct th_node *node = with_range("b", "f");

	th_ok(th_overlay_cut(node, th_slice_of("d")));
	check(node, "b..d d..f");
	th_ok(th_overlay_cut(node, th_slice_of("c")));
	check(node, "b..c c..d d..f");
	th_node_unref(node);
}
END_TEST

START_TEST(a_cut_outside_of_ranges_changes_nothing)
{
	struct th_node *node = with_range("b", "f");

	for (const char *const *key = (const char *const[]){ "a", "b", "f", "g", NULL }; *key; key++) {
		th_ok(th_overlay_cut(node, th_slice_of(*key)));
		check(node, "b..f");
	}
	th_node_unref(node);
}
END_TEST

START_TEST(a_hole_leaves_no_empty_range)
{
	struct th_node *node = with_range("b", "f");

	th_ok(th_overlay_cut_range(node, 0, th_slice_of("c"), th_slice_of("e")));
	check(node, "b..c e..f");
	th_ok(th_overlay_cut_range(node, 0, th_slice_of("b"), th_slice_of("c")));
	check(node, "e..f");
	th_node_unref(node);
}
END_TEST

START_TEST(a_range_covers_its_keys_but_not_its_end)
{
	struct th_node *node = with_range("b", "f");
	const struct th_entry *range = th_slab_entry(&node->overlay, 0);

	ck_assert_ptr_null(th_overlay_covering(node, th_slice_of("a")));
	ck_assert_ptr_eq(th_overlay_covering(node, th_slice_of("b")), range);
	ck_assert_ptr_eq(th_overlay_covering(node, th_slice_of("ezzz")), range);
	ck_assert_ptr_null(th_overlay_covering(node, th_slice_of("f")));
	th_node_unref(node);
}
END_TEST

START_TEST(a_value_is_hidden_by_puts_deletes_and_ranges)
{
	struct th_node *node = with_range("b", "f");
	struct th_drops drops = { 0 };

	th_ok(th_message_insert(node, th_test_put("p", "x", 8), &drops));
	th_ok(th_message_insert(node, th_test_delete("q", 9), &drops));
	th_ok(th_message_insert(node, th_test_add_refs("r", 1, 10), &drops));
	ck_assert(th_overlay_hides(node, th_slice_of("b")));
	ck_assert(th_overlay_hides(node, th_slice_of("c")));
	ck_assert(!th_overlay_hides(node, th_slice_of("f")));
	ck_assert(th_overlay_hides(node, th_slice_of("p")));
	ck_assert(th_overlay_hides(node, th_slice_of("q")));
	ck_assert(!th_overlay_hides(node, th_slice_of("r")));
	ck_assert(!th_overlay_hides(node, th_slice_of("pp")));
	th_node_unref(node);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_cut_divides_a_range, a_cut_outside_of_ranges_changes_nothing,
				       a_hole_leaves_no_empty_range, a_range_covers_its_keys_but_not_its_end,
				       a_value_is_hidden_by_puts_deletes_and_ranges };

	return th_tests_run("overlay", tests, sizeof(tests) / sizeof(tests[0]));
}
