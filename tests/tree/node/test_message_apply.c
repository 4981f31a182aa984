/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: composing them in an overlay, and applying the result, is the same as applying each to the records. */
#include "tests/tree/nodes.h"

#include <stdio.h>

#include "tree/node/large_value.h"
#include "tree/node/message_apply.h"

static struct th_node *new_node(unsigned level)
{
	struct th_node *node = th_node_new(level, TH_SLICE_EMPTY, 1);

	ck_assert_ptr_nonnull(node);
	return node;
}

static void check(const struct th_node *node)
{
	th_test_check_node(node, TH_SLICE_EMPTY, (struct th_slice){ NULL, 0 });
}

static void apply(struct th_node *leaf, const struct th_entry *message)
{
	struct th_drops drops = { 0 };

	th_ok(th_message_apply(leaf, message, &drops));
	ck_assert_uint_eq(drops.count, 0);
	check(leaf);
}

static void insert(struct th_node *node, const struct th_entry *message)
{
	struct th_drops drops = { 0 };

	th_ok(th_message_insert(node, message, &drops));
	ck_assert_uint_eq(drops.count, 0);
	check(node);
}

START_TEST(messages_change_records)
{
	struct th_node *leaf = new_node(0);

	apply(leaf, th_test_put("b", "1", 1));
	apply(leaf, th_test_put("a", "2", 2));
	apply(leaf, th_test_add_refs("b", 3, 3));
	th_test_expect_slab(leaf, &leaf->base, "a=2 b=1+3");
	apply(leaf, th_test_put("b", "4", 4)); /* keeps the count */
	apply(leaf, th_test_add_refs("c", -1, 5));
	th_test_expect_slab(leaf, &leaf->base, "a=2 b=4+3 c-1");
	apply(leaf, th_test_delete("b", 6));
	apply(leaf, th_test_add_refs("c", 1, 7)); /* a record without value and count does not exist */
	th_test_expect_slab(leaf, &leaf->base, "a=2");
	apply(leaf, th_test_put("d", "8", 8));
	apply(leaf, th_test_put("e", "9", 9));
	apply(leaf, th_test_delete_range("b", "e", 10));
	th_test_expect_slab(leaf, &leaf->base, "a=2 e=9");
	apply(leaf, th_test_delete("nothing", 11));
	apply(leaf, th_test_delete_range("x", "y", 12));
	th_test_expect_slab(leaf, &leaf->base, "a=2 e=9");
	th_node_unref(leaf);
}
END_TEST

START_TEST(messages_for_one_key_are_composed)
{
	struct th_node *node = new_node(1);

	insert(node, th_test_add_refs("k", 2, 1));
	insert(node, th_test_put("k", "x", 2));
	th_test_expect_slab(node, &node->overlay, "k=x+2");
	insert(node, th_test_add_refs("k", -2, 3));
	th_test_expect_slab(node, &node->overlay, "k=x");
	insert(node, th_test_delete("k", 4));
	th_test_expect_slab(node, &node->overlay, "k-");
	insert(node, th_test_add_refs("k", 5, 5)); /* remembers the delete: older records do not matter */
	th_test_expect_slab(node, &node->overlay, "k-+5");
	insert(node, th_test_put("k", "y", 6));
	th_test_expect_slab(node, &node->overlay, "k-=y+5");
	ck_assert_uint_eq(th_entry_seq(th_slab_entry(&node->overlay, 0)), 6);
	th_node_unref(node);
}
END_TEST

START_TEST(a_range_message_replaces_older_messages)
{
	struct th_node *node = new_node(1);

	insert(node, th_test_put("a", "1", 1));
	insert(node, th_test_put("b", "2", 2));
	insert(node, th_test_delete_range("c", "f", 3));
	insert(node, th_test_put("g", "4", 4));
	insert(node, th_test_delete_range("b", "d", 5));
	th_test_expect_slab(node, &node->overlay, "a=1 b..d d..f g=4");
	ck_assert_uint_eq(th_entry_seq(th_slab_entry(&node->overlay, 1)), 5);
	ck_assert_uint_eq(th_entry_seq(th_slab_entry(&node->overlay, 2)), 3);
	th_node_unref(node);
}
END_TEST

/* Even a delete: a diff has to find its number. */
START_TEST(a_message_cuts_the_range_it_falls_into)
{
	struct th_node *node = new_node(1);
	const struct th_slab *slab = &node->overlay;

	insert(node, th_test_delete_range("b", "f", 1));
	insert(node, th_test_put("d", "x", 2));
	ck_assert_uint_eq(slab->count, 3);
	ck_assert_str_eq(th_test_print(node, th_slab_entry(slab, 0)), "b..d");
	ck_assert_str_eq(th_test_print(node, th_slab_entry(slab, 1)), "d-=x");
	ck_assert(th_message_covers(th_slab_entry(slab, 2), th_slice_of("e")));
	insert(node, th_test_delete("b", 3)); /* at its beginning */
	ck_assert_uint_eq(slab->count, 4);
	ck_assert_str_eq(th_test_print(node, th_slab_entry(slab, 0)), "b-");
	ck_assert_uint_eq(th_entry_seq(th_slab_entry(slab, 0)), 3);
	insert(node, th_test_put("f", "y", 4)); /* its end is not covered */
	ck_assert_str_eq(th_test_print(node, th_slab_entry(slab, 4)), "f=y");
	th_node_unref(node);
}
END_TEST

#define KEYS 12u

static const struct th_entry *random_message(struct th_random *random, uint64_t seq)
{
	char key[8], to[8], value[16];
	uint32_t i = th_random_below(random, KEYS), what = th_random_below(random, 10);

	snprintf(key, sizeof(key), "k%02u", i);
	snprintf(to, sizeof(to), "k%02u", i + 1 + th_random_below(random, KEYS - i));
	snprintf(value, sizeof(value), "%llu", (unsigned long long)seq);
	if (what < 4)
		return th_test_put(key, value, seq);
	if (what < 6)
		return th_test_delete(key, seq);
	if (what < 8)
		return th_test_add_refs(key, (int32_t)th_random_between(random, 1, 2) * (what == 6 ? 1 : -1), seq);
	return th_test_delete_range(key, to, seq);
}

static void expect_same(const struct th_node *a, const struct th_node *b)
{
	ck_assert_uint_eq(a->base.count, b->base.count);
	for (unsigned i = 0; i < a->base.count; i++)
		ck_assert_str_eq(th_test_print(a, th_slab_entry(&a->base, i)),
				 th_test_print(b, th_slab_entry(&b->base, i)));
}

/* The value and count of a key as a lookup finds them: overlays from the newest down, then the leaf. */
static void fold_key(struct th_node *const *path, unsigned depth, struct th_slice key, const struct th_entry **value,
		     int32_t *refs)
{
	*value = NULL;
	*refs = 0;
	for (unsigned i = 0; i < depth; i++) {
		const struct th_slab *slab = path[i]->level > 0 ? &path[i]->overlay : &path[i]->base;
		bool exact;
		unsigned at = th_slab_find(path[i], slab, key, &exact);

		if (path[i]->level > 0 && th_overlay_covering(path[i], key))
			return;
		if (exact && th_message_fold(th_slab_entry(slab, at), value, refs))
			return;
	}
}

/* The same messages reach a leaf one by one, and composed in two overlays on the way. */
static void one_history(struct th_random *random, unsigned messages)
{
	struct th_node *direct = new_node(0), *leaf = new_node(0), *upper = new_node(2), *lower = new_node(1);
	struct th_node *path[] = { upper, lower, leaf };
	struct th_drops drops = { 0 };
	char name[8];

	for (uint64_t seq = 1; seq <= messages; seq++) {
		const struct th_entry *message = random_message(random, seq);
		struct th_node *from = seq <= messages / 3 ? leaf : seq <= messages * 2 / 3 ? lower : upper;

		apply(direct, th_entry_ref(message));
		if (from == leaf)
			apply(leaf, message);
		else
			insert(from, message);
	}
	for (unsigned i = 0; i <= KEYS; i++) {
		struct th_slice key = th_slice_of((snprintf(name, sizeof(name), "k%02u", i), name));
		const struct th_entry *value;
		bool exact;
		unsigned at = th_slab_find(direct, &direct->base, key, &exact);
		const struct th_entry *expected = exact ? th_slab_entry(&direct->base, at) : NULL;
		int32_t refs;

		fold_key(path, 3, key, &value, &refs);
		ck_assert_int_eq(refs, expected ? th_entry_refs(expected) : 0);
		ck_assert_int_eq(value != NULL, expected && th_entry_has_value(expected));
		if (value)
			ck_assert_int_eq(th_slice_compare(th_entry_value(value), th_entry_value(expected)), 0);
	}
	for (unsigned i = 0; i < upper->overlay.count; i++)
		insert(lower, th_entry_ref(th_slab_entry(&upper->overlay, i)));
	for (unsigned i = 0; i < lower->overlay.count; i++)
		apply(leaf, th_entry_ref(th_slab_entry(&lower->overlay, i)));
	expect_same(leaf, direct);
	th_drops_release(&drops);
	th_node_unref(direct);
	th_node_unref(leaf);
	th_node_unref(upper);
	th_node_unref(lower);
}

START_TEST(composition_is_associative)
{
	struct th_random random = { .state = th_test_seed("composition_is_associative") };

	for (unsigned i = 0; i < th_test_rounds(2000); i++)
		one_history(&random, 3 + th_random_below(&random, 40));
}
END_TEST

static void expect_drop(struct th_drops *drops, uint64_t addr)
{
	ck_assert_uint_eq(drops->count, 1);
	ck_assert_uint_eq(drops->runs[0].addr, addr);
	drops->count = 0;
}

/* A put of a large value whose descriptor is too short to be one. */
static const struct th_entry *broken_large(const char *key, uint64_t seq)
{
	struct th_entry *e = th_message_put_large(th_slice_of(key), TH_SLICE_EMPTY, th_slice_of("broken"));

	ck_assert_ptr_nonnull(e);
	th_entry_set_seq(e, seq);
	return e;
}

START_TEST(a_replaced_large_value_is_dropped_once)
{
	struct th_node *node = new_node(1), *leaf = new_node(0);
	struct th_drops drops = { 0 };

	th_ok(th_message_insert(node, th_test_put_large("k", 100, 1), &drops));
	th_ok(th_message_insert(node, th_test_add_refs("k", 1, 2), &drops));
	ck_assert_uint_eq(drops.count, 0);
	th_ok(th_message_insert(node, th_test_put_large("k", 200, 3), &drops));
	expect_drop(&drops, 100);
	th_ok(th_message_insert(node, th_test_delete("k", 4), &drops));
	expect_drop(&drops, 200);
	th_ok(th_message_insert(node, th_test_put_large("k", 300, 5), &drops));
	th_ok(th_message_insert(node, th_test_delete_range("a", "z", 6), &drops));
	expect_drop(&drops, 300);
	th_ok(th_message_apply(leaf, th_test_put_large("k", 400, 7), &drops));
	th_ok(th_message_apply(leaf, th_test_put("k", "small", 8), &drops));
	expect_drop(&drops, 400);
	th_ok(th_message_apply(leaf, th_test_put_large("l", 500, 9), &drops));
	th_ok(th_message_apply(leaf, th_test_delete_range("l", "m", 10), &drops));
	expect_drop(&drops, 500);
	th_test_expect_slab(leaf, &leaf->base, "k=small");
	th_drops_release(&drops);
	th_node_unref(node);
	th_node_unref(leaf);
}
END_TEST

/* In an overlay, in a leaf and below a range: damage is not mistaken for a lack of memory. */
START_TEST(a_broken_descriptor_is_reported_as_damage)
{
	struct th_node *node = new_node(1), *leaf = new_node(0);
	struct th_drops drops = { 0 };

	th_ok(th_message_insert(node, broken_large("k", 1), &drops));
	th_expect(th_message_insert(node, th_test_put("k", "x", 2), &drops), -EUCLEAN);
	th_expect(th_message_insert(node, th_test_delete("k", 3), &drops), -EUCLEAN);
	th_expect(th_message_insert(node, th_test_delete_range("a", "z", 4), &drops), -EUCLEAN);
	th_ok(th_message_insert(node, th_test_add_refs("k", 1, 5), &drops)); /* keeps the value */
	th_test_expect_slab(node, &node->overlay, "k=large+1");
	th_ok(th_message_apply(leaf, broken_large("k", 1), &drops));
	th_expect(th_message_apply(leaf, th_test_put("k", "x", 2), &drops), -EUCLEAN);
	th_expect(th_message_apply(leaf, th_test_delete("k", 3), &drops), -EUCLEAN);
	th_test_expect_slab(leaf, &leaf->base, "k=large");
	ck_assert_uint_eq(drops.count, 0);
	th_node_unref(leaf);
	th_node_unref(node);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { messages_change_records,
				       messages_for_one_key_are_composed,
				       a_range_message_replaces_older_messages,
				       a_message_cuts_the_range_it_falls_into,
				       composition_is_associative,
				       a_replaced_large_value_is_dropped_once,
				       a_broken_descriptor_is_reported_as_damage };

	return th_tests_run("message_apply", tests, sizeof(tests) / sizeof(tests[0]));
}
