/* SPDX-License-Identifier: Apache-2.0 */
/* Insertion: after any messages the tree has what a model has, holds its invariants, and keeps its size. */
#include "tests/tree/nodes.h"

#include <stdio.h>

#include "tree/btree/detach.h"
#include "tree/btree/insert.h"
#include "tree/btree/lookup.h"

#define KEYS 3000u
#define OVERLAY_BYTES 2000u

static struct th_nodes nodes;
static struct th_tree tree;

static void begin(void)
{
	th_nodes_init(&nodes, 256 << 10); /* less than the tree */
	th_nodes_tree(&nodes, &tree, OVERLAY_BYTES);
}

static void end(void)
{
	th_tree_release(&tree);
	th_nodes_release(&nodes);
}

static struct th_slice key_at(unsigned i, char *space)
{
	snprintf(space, 16, "k%06u", i);
	return th_slice_of(space);
}

static void change(struct th_random *random, struct th_model *model, uint64_t seq)
{
	unsigned i = th_random_below(random, KEYS), j = i + 1 + th_random_below(random, KEYS / 10);
	uint32_t what = th_random_below(random, 1000);
	char from[16], to[16], value[400];

	key_at(i, from);
	key_at(j, to);
	memset(value, 'a' + (int)(seq % 26), sizeof(value));
	value[th_random_below(random, sizeof(value))] = 0;
	if (what < 700) {
		th_ok(th_tree_put(&tree, th_test_put(from, value, seq)));
		th_model_put(model, th_slice_of(from), th_slice_of(value));
	} else if (what < 850) {
		th_ok(th_tree_put(&tree, th_test_delete(from, seq)));
		th_model_delete(model, th_slice_of(from));
	} else if (what < 995) {
		th_ok(th_tree_put(&tree, th_test_add_refs(from, 1, seq)));
		th_model_ref(model, th_slice_of(from), 1);
	} else {
		th_ok(th_tree_put(&tree, th_test_delete_range(from, to, seq)));
		th_model_delete_range(model, (struct th_range){ th_slice_of(from), th_slice_of(to) });
	}
}

static void expect_key(const struct th_model *model, struct th_slice key)
{
	const struct th_model_entry *expected = th_model_get(model, key);
	struct th_value value;
	int err = th_tree_get(&tree, key, &value);

	th_expect(err, expected ? 0 : -ENOENT);
	if (!expected)
		return;
	ck_assert(th_model_same(expected->value, (struct th_slice){ value.data, value.size }));
	ck_assert_int_eq(value.refs, expected->refs);
	th_value_release(&value);
}

/* dirty_bytes may be more than the nodes take: those below a detached child are counted until the next freeze. */
static void check(const struct th_model *model)
{
	size_t bytes;
	char key[16];

	th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes);
	ck_assert_uint_ge(tree.dirty_bytes, bytes);
	ck_assert_uint_le(tree.root->overlay.bytes, OVERLAY_BYTES);
	for (unsigned i = 0; i < KEYS; i++)
		expect_key(model, key_at(i, key));
}

START_TEST(random_messages_match_the_model)
{
	struct th_random random = { .state = th_test_seed("random_messages_match_the_model") };
	struct th_model *model = th_model_new();
	uint64_t seq = 0;

	begin();
	for (unsigned round = 0; round < th_test_rounds(8); round++) {
		for (unsigned i = 0; i < 2000; i++)
			change(&random, model, ++seq);
		check(model);
		if (th_random_percent(&random, 70))
			th_nodes_freeze(&nodes, &tree);
		check(model);
	}
	ck_assert_uint_gt(tree.root->level, 0);
	th_model_unref(model);
	end();
}
END_TEST

START_TEST(the_root_grows_and_shrinks)
{
	uint8_t high;
	size_t bytes;
	char key[16];

	begin();
	th_nodes_fill(&tree, 0, 20000, 50);
	high = tree.root->level;
	ck_assert_uint_ge(high, 2);
	for (unsigned i = 0; i < 20000; i++)
		th_ok(th_tree_put(&tree, th_test_delete((key_at(i, key), key), 100000 + i)));
	ck_assert_uint_lt(tree.root->level, high);
	ck_assert_uint_lt(th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes), 10);
	ck_assert_uint_eq(tree.dirty_bytes, bytes);
	end();
}
END_TEST

START_TEST(a_range_delete_leaves_few_nodes)
{
	struct th_value value;
	size_t bytes;

	begin();
	th_nodes_fill(&tree, 0, 20000, 50);
	ck_assert_uint_gt(th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes), 50);
	th_ok(th_tree_put(&tree, th_test_delete_range("k", "l", 100000)));
	ck_assert_uint_lt(th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes), 20);
	ck_assert_ptr_nonnull(tree.detached);
	th_expect(th_tree_get(&tree, th_slice_of("k010000"), &value), -ENOENT);
	end();
}
END_TEST

/* Keys in ascending order fill their leaves. */
START_TEST(ascending_keys_fill_leaves)
{
	size_t bytes;
	unsigned count;

	begin();
	th_nodes_fill(&tree, 0, 4000, 100);
	count = th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes);
	ck_assert_uint_le(count,
			  4000 * 120 / (TH_LEAF_BYTES * 9 / 10) + 10); /* half full, they would be twice as many */
	end();
}
END_TEST

/* The tree has been written and no leaf is in memory, so that an overlay over its budget cannot be pushed down at
 * once. */
START_TEST(a_message_is_in_the_tree_before_its_node_is_loaded)
{
	struct th_need need;
	struct th_value value;
	char key[16], text[101];
	unsigned i = 0, loads = 0;
	int err = 0;

	begin();
	th_nodes_fill(&tree, 0, 1000, 100);
	th_nodes_freeze(&nodes, &tree);
	memset(text, 'n', 100);
	text[100] = 0;
	th_need_init(&need);
	while (!err) {
		ck_assert_uint_lt(i, 1000);
		key_at(i++, key);
		err = th_tree_insert(&tree, th_test_put(key, text, 10000 + i), &need);
	}
	th_expect(err, -EAGAIN);
	ck_assert_uint_gt(tree.root->overlay.bytes, OVERLAY_BYTES);
	th_ok(th_tree_get(&tree, th_slice_of(key), &value));
	ck_assert_mem_eq(value.data, text, 100);
	th_value_release(&value);
	while (err == -EAGAIN) {
		ck_assert_uint_lt(loads++, 10);
		th_ok(th_need_load(&need, nodes.cache));
		err = th_tree_relieve(&tree, &need);
	}
	th_ok(err);
	ck_assert_uint_le(tree.root->overlay.bytes, OVERLAY_BYTES);
	th_need_release(&need);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { random_messages_match_the_model, the_root_grows_and_shrinks,
				       a_range_delete_leaves_few_nodes, ascending_keys_fill_leaves,
				       a_message_is_in_the_tree_before_its_node_is_loaded };

	return th_tests_run("insert", tests, sizeof(tests) / sizeof(tests[0]));
}
