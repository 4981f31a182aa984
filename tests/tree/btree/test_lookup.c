/* SPDX-License-Identifier: Apache-2.0 */
/* Point lookups: the newest message wins, hidden ones do not count, and a value outlives its node. */
#include "tests/tree/nodes.h"

#include "tree/btree/insert.h"
#include "tree/btree/lookup.h"
#include "tree/btree/push_down.h"

static struct th_nodes nodes;
static struct th_tree tree;

/* Puts a message into the overlay of the root, where it stays. */
static void pend(const struct th_entry *message)
{
	static const struct th_fences all = { { "", 0 }, { NULL, 0 } };

	th_ok(th_push_down_accept(&tree, tree.root, all, message));
}

/* Leaves on the disk, with messages in the root for them. */
static void begin(void)
{
	th_nodes_init(&nodes, 4 << 20);
	th_nodes_tree(&nodes, &tree, TH_OVERLAY_BYTES);
	th_nodes_fill(&tree, 0, 1000, 100);
	th_nodes_freeze(&nodes, &tree);
	th_ok(th_root_writable(&tree));
	pend(th_test_put("k000001", "new", 5000));
	pend(th_test_delete("k000002", 5001));
	pend(th_test_add_refs("k000003", 4, 5002));
	pend(th_test_delete_range("k000010", "k000020", 5003));
	pend(th_test_put("k000015", "again", 5004));
	ck_assert_uint_eq(tree.root->overlay.count, 6);
}

static void end(void)
{
	th_tree_release(&tree);
	th_nodes_release(&nodes);
}

static void expect_value(const char *key, const char *begins, size_t size, int32_t refs)
{
	struct th_value value;

	th_ok(th_tree_get(&tree, th_slice_of(key), &value));
	ck_assert_uint_eq(value.size, size);
	ck_assert_mem_eq(value.data, begins, strlen(begins));
	ck_assert_int_eq(value.refs, refs);
	th_value_release(&value);
}

static void expect_none(const char *key)
{
	struct th_value value;

	th_expect(th_tree_get(&tree, th_slice_of(key), &value), -ENOENT);
}

START_TEST(messages_hide_older_values)
{
	begin();
	expect_value("k000000", "vvv", 100, 0);
	expect_value("k000001", "new", 3, 0);
	expect_none("k000002");
	expect_value("k000003", "vvv", 100, 4);
	expect_value("k000009", "vvv", 100, 0);
	expect_none("k000010");
	expect_none("k000019");
	expect_value("k000015", "again", 5, 0);
	expect_value("k000020", "vvv", 100, 0);
	expect_none("nothing");
	end();
}
END_TEST

static void count_node(void *arg, const struct th_node *node)
{
	(void)node;
	++*(unsigned *)arg;
}

/* Persistent nodes are read without the lock. */
START_TEST(a_hidden_node_is_not_read)
{
	unsigned visits = 0;
	struct th_lookup lookup = { .visit = count_node, .visit_arg = &visits };
	struct th_step next;
	uint64_t before;

	begin();
	before = nodes.disk->reads;
	th_lookup_begin(&lookup, tree.root, th_slice_of("k000002"), &next);
	ck_assert(lookup.done);
	ck_assert_uint_eq(visits, 1);
	th_ok(th_lookup_finish(&lookup, nodes.cache, th_slice_of("k000002"), &next));
	ck_assert_uint_eq(nodes.disk->reads, before);
	th_lookup_release(&lookup);
	end();
}
END_TEST

START_TEST(a_value_outlives_its_node)
{
	struct th_value heap, page;

	begin();
	th_ok(th_tree_get(&tree, th_slice_of("k000001"), &heap));
	th_ok(th_tree_get(&tree, th_slice_of("k000500"), &page));
	end(); /* tree and cache */
	ck_assert_mem_eq(heap.data, "new", 3);
	ck_assert_mem_eq(page.data, "vvvvv", 5);
	th_value_release(&heap);
	th_value_release(&page);
}
END_TEST

/* Without blocking: a step names the node that is missing. */
START_TEST(a_step_names_the_node_it_lacks)
{
	struct th_lookup lookup = { 0 };
	struct th_node *root, *child;
	struct th_step step;
	struct th_ptr ptr;

	begin();
	th_nodes_freeze(&nodes, &tree);
	root = tree.root;
	th_lookup_begin(&lookup, root, th_slice_of("k000500"), &step);
	ck_assert_ptr_eq(step.node, root);
	th_ok(th_lookup_step(&lookup, root, nodes.cache, th_slice_of("k000500"), &step, &child));
	ck_assert_ptr_null(child);
	th_ok(th_node_child_ptr(root, th_node_child(root, th_slice_of("k000500")), &ptr));
	ck_assert_uint_eq(step.ptr.addr, ptr.addr);
	th_ok(th_cache_load(nodes.cache, &step.ptr, th_key_slice(&step.fence), &child));
	th_node_unref(child);
	th_ok(th_lookup_step(&lookup, root, nodes.cache, th_slice_of("k000500"), &step, &child));
	ck_assert_ptr_nonnull(child);
	th_node_unref(child);
	th_node_unref(step.node);
	th_lookup_release(&lookup);
	end();
}
END_TEST

START_TEST(damage_is_an_error_if_the_tree_still_names_the_node)
{
	struct th_step step = { .error = 0 };
	struct th_value value;
	struct th_key fence;
	unsigned i;

	begin();
	i = th_node_child(tree.root, th_slice_of("k000500"));
	th_ok(th_node_child_ptr(tree.root, i, &step.ptr));
	th_node_key(tree.root, th_slab_entry(&tree.root->base, i), &fence);
	th_key_copy(&step.fence, &fence);
	/* it can be read by now: the lookup is to be retried */
	th_expect(th_step_failed(&step, nodes.cache, -EBADMSG), -EAGAIN);
	th_cache_forget(nodes.cache, step.ptr.addr);
	th_nodes_damage(&nodes, step.ptr.addr);
	th_expect(th_tree_get(&tree, th_slice_of("k000500"), &value), -EBADMSG);
	ck_assert_uint_eq(nodes.reports, 1);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { messages_hide_older_values, a_hidden_node_is_not_read, a_value_outlives_its_node,
				       a_step_names_the_node_it_lacks,
				       damage_is_an_error_if_the_tree_still_names_the_node };

	return th_tests_run("lookup", tests, sizeof(tests) / sizeof(tests[0]));
}
