/* SPDX-License-Identifier: Apache-2.0 */
/* The merge iterator gives what a leaf would have if all messages were applied to it. */
#include "tests/tree/nodes.h"

#include <stdio.h>

#include "tree/btree/merge_iter.h"
#include "tree/node/message_apply.h"

#define KEYS 20u
#define MIDDLE 10u /* where the second node of the row begins */

struct sources {
	struct th_node *row[2], *upper, *lower, *leaf;
	struct th_node *direct; /* a leaf that all messages were applied to */
};

static struct th_node *new_node(unsigned level, const char *prefix)
{
	struct th_node *node = th_node_new(level, th_slice_of(prefix), 1);

	ck_assert_ptr_nonnull(node);
	return node;
}

static struct th_slice key_at(unsigned i, char *space)
{
	snprintf(space, 16, "key%02u", i);
	return th_slice_of(space);
}

static const struct th_entry *random_message(struct th_random *random, unsigned from, unsigned to, uint64_t seq)
{
	unsigned i = th_random_between(random, from, to - 1), j = th_random_between(random, i + 1, to);
	uint32_t what = th_random_below(random, 10);
	char key[16], end[16], value[16];

	key_at(i, key);
	key_at(j, end);
	snprintf(value, sizeof(value), "%llu", (unsigned long long)seq);
	if (what < 5)
		return th_test_put(key, value, seq);
	if (what < 7)
		return th_test_delete(key, seq);
	if (what < 8)
		return th_test_add_refs(key, 1, seq);
	return th_test_delete_range(key, end, seq);
}

static void add(struct sources *s, struct th_node *to, const struct th_entry *message)
{
	struct th_drops drops = { 0 };

	th_ok(th_message_apply(s->direct, th_entry_ref(message), &drops));
	th_ok(to->level > 0 ? th_message_insert(to, message, &drops) : th_message_apply(to, message, &drops));
}

static void make(struct sources *s, struct th_random *random)
{
	unsigned counts[4];
	uint64_t seq = 0;

	*s = (struct sources){ { new_node(1, ""), new_node(1, "") },
			       new_node(2, ""),
			       new_node(1, "k"),
			       new_node(0, "key"),
			       new_node(0, "") };
	for (unsigned i = 0; i < 4; i++)
		counts[i] = th_random_below(random, 15); /* often none */
	for (unsigned i = 0; i < 2 * counts[0]; i++)
		add(s, s->leaf, random_message(random, 0, KEYS, ++seq));
	for (unsigned i = 0; i < counts[1]; i++)
		add(s, s->lower, random_message(random, 0, KEYS, ++seq));
	for (unsigned i = 0; i < counts[2]; i++)
		add(s, s->upper, random_message(random, 0, KEYS, ++seq));
	for (unsigned i = 0; i < counts[3]; i++) {
		bool second = th_random_percent(random, 50);

		add(s, s->row[second], random_message(random, second ? MIDDLE : 0, second ? KEYS : MIDDLE, ++seq));
	}
}

static void release(struct sources *s)
{
	struct th_node *all[] = { s->row[0], s->row[1], s->upper, s->lower, s->leaf, s->direct };

	for (unsigned i = 0; i < 6; i++)
		th_node_unref(all[i]);
}

static void compare(const struct sources *s, unsigned from, unsigned to, bool open)
{
	struct th_path path = { .depth = 3, .node = { s->upper, s->lower, s->leaf } };
	unsigned first = from < MIDDLE ? 0 : 1, i, end;
	struct th_overlay_row row = { s->row + first, 2 - first };
	char lo[16], hi[16];
	struct th_merge_iter merge;
	struct th_merged found;
	struct th_slice from_key = key_at(from, lo), to_key = open ? (struct th_slice){ NULL, 0 } : key_at(to, hi);
	bool more;

	th_merge_iter_init(&merge, &path, row, from_key, to_key);
	i = th_slab_lower(s->direct, &s->direct->base, from_key);
	end = open ? s->direct->base.count : th_slab_lower(s->direct, &s->direct->base, to_key);
	for (;;) {
		const struct th_entry *expected;

		do /* keys that do not exist may be given, too */
			more = th_merge_iter_next(&merge, &found);
		while (more && !found.value && !found.refs);
		ck_assert_int_eq(more, i < end);
		if (!more)
			break;
		expected = th_slab_entry(&s->direct->base, i++);
		ck_assert_int_eq(th_slice_compare((struct th_slice){ th_entry_key(expected) + strlen("key"),
								     th_entry_key_size(expected) - strlen("key") },
						  found.suffix),
				 0);
		ck_assert_int_eq(found.refs, th_entry_refs(expected));
		ck_assert_int_eq(found.value != NULL, th_entry_has_value(expected));
		if (found.value)
			ck_assert_int_eq(th_slice_compare(th_entry_value(found.value), th_entry_value(expected)), 0);
	}
	ck_assert(!th_merge_iter_next(&merge, &found));
}

START_TEST(a_merge_is_what_applying_all_messages_gives)
{
	struct th_random random = { .state = th_test_seed("a_merge_is_what_applying_all_messages_gives") };

	for (unsigned i = 0; i < th_test_rounds(3000); i++) {
		struct sources s;

		make(&s, &random);
		for (unsigned j = 0; j < 5; j++) {
			unsigned from = th_random_below(&random, KEYS), to = th_random_between(&random, from, KEYS);

			compare(&s, from, to, j == 0);
		}
		release(&s);
	}
}
END_TEST

/* Eight bytes of a key are compared as a number; longer and shorter ones are compared further. */
START_TEST(keys_with_equal_heads_stay_in_order)
{
	static const char *const keys[] = { "a", "aaaaaaaa", "aaaaaaaaa", "aaaaaaaab", "b" };
	struct th_node *leaf = new_node(0, ""), *upper = new_node(1, "");
	struct th_path path = { .depth = 2, .node = { upper, leaf } };
	struct th_drops drops = { 0 };
	struct th_merge_iter merge;
	struct th_merged found;

	for (unsigned i = 0; i < 5; i++) {
		const struct th_entry *message = th_test_put(keys[i], "", i);

		th_ok(i % 2 ? th_message_insert(upper, message, &drops) : th_message_apply(leaf, message, &drops));
	}
	th_merge_iter_init(&merge, &path, (struct th_overlay_row){ NULL, 0 }, TH_SLICE_EMPTY,
			   (struct th_slice){ NULL, 0 });
	for (unsigned i = 0; i < 5; i++) {
		ck_assert(th_merge_iter_next(&merge, &found));
		ck_assert_int_eq(th_slice_compare(found.suffix, th_slice_of(keys[i])), 0);
	}
	ck_assert(!th_merge_iter_next(&merge, &found));
	th_node_unref(leaf);
	th_node_unref(upper);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_merge_is_what_applying_all_messages_gives,
				       keys_with_equal_heads_stay_in_order };

	return th_tests_run("merge_iter", tests, sizeof(tests) / sizeof(tests[0]));
}
