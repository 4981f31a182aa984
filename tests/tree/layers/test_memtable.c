/* SPDX-License-Identifier: Apache-2.0 */
/* Memtables compared with a model: order of messages, composition, and the size of blocks. */
#include "tree/layers/memtable.h"

#include "tests/support/keys.h"
#include "tests/tree/fixture.h"
#include "tree/node/message.h"

static void insert(struct th_memtable *memtable, struct th_entry *message)
{
	ck_assert_ptr_nonnull(message);
	th_ok(th_memtable_insert(memtable, message));
}

static void put(struct th_memtable *memtable, struct th_model *model, struct th_slice key, struct th_slice value)
{
	insert(memtable, th_message_put(TH_SLICE_EMPTY, key, value));
	th_model_put(model, key, value);
}

static void delete_range(struct th_memtable *memtable, struct th_model *model, struct th_range range)
{
	insert(memtable, th_message_delete_range(range.from, range.to, 0));
	th_model_delete_range(model, range);
}

/* --- comparing --- */

struct walk {
	const struct th_model *model;
	size_t at; /* in the model */
	struct th_key last; /* key of the message before */
	bool begun;
};

/* A message with a value must be the model's next entry. */
static int compare_message(const struct th_entry *message, void *arg)
{
	struct walk *walk = arg;
	struct th_slice key = { th_entry_key(message), th_entry_key_size(message) };
	const struct th_model_entry *expected;

	th_true(!walk->begun || th_model_compare(th_key_slice(&walk->last), key) < 0);
	walk->begun = true;
	th_key_set(&walk->last, key);
	if (!th_entry_has_value(message))
		return 0;
	expected = th_model_next(walk->model, &walk->at);
	th_true(expected != NULL);
	th_true(th_model_same(expected->key, key));
	th_true(th_model_same(expected->value, th_entry_value(message)));
	th_true(expected->refs == th_entry_refs(message));
	return 0;
}

static void verify(const struct th_memtable *memtable, const struct th_model *model)
{
	struct walk walk = { .model = model };

	th_ok(th_memtable_each(memtable, compare_message, &walk));
	th_true(!th_model_next(model, &walk.at));
}

/* N5 */
static void verify_blocks(const struct th_memtable *memtable)
{
	for (size_t i = 0; i < memtable->count; i++) {
		ck_assert_uint_gt(memtable->block[i]->overlay.count, 0);
		ck_assert_uint_le(memtable->block[i]->overlay.count, TH_SLOTS_MAX);
		ck_assert_uint_le(th_node_packed_size(memtable->block[i]), TH_NODE_MAX);
	}
}

/* --- tests --- */

static void random_step(struct th_memtable *memtable, struct th_model *model, const struct th_keys *keys,
			struct th_random *random)
{
	uint8_t space[TH_KEY_MAX], other[TH_KEY_MAX], bytes[TH_INLINE_MAX];
	struct th_slice key = th_keys_pick(keys, random, space);
	uint32_t what = th_random_below(random, 1000);

	if (what < 800) {
		size_t size = th_random_below(random, what < 20 ? TH_INLINE_MAX : 100);

		th_random_fill(random, bytes, size);
		put(memtable, model, key, (struct th_slice){ bytes, size });
	} else if (what < 900) {
		insert(memtable, th_message_delete(TH_SLICE_EMPTY, key));
		th_model_delete(model, key);
	} else if (what < 995) {
		insert(memtable, th_message_add_refs(TH_SLICE_EMPTY, key, 2));
		th_model_ref(model, key, 2);
	} else {
		struct th_range range = { key, th_keys_pick(keys, random, other) };

		if (th_model_compare(range.from, range.to) < 0)
			delete_range(memtable, model, range);
	}
}

START_TEST(messages_equal_the_model_in_order)
{
	struct th_random random = { .state = th_test_seed("messages_equal_the_model_in_order") };
	struct th_keys keys = { .salt = random.state, .range = 1000 };
	struct th_memtable memtable = { 0 };
	struct th_model *model = th_model_new();

	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 400; i++)
			random_step(&memtable, model, &keys, &random);
		verify(&memtable, model);
		verify_blocks(&memtable);
	}
	ck_assert_uint_gt(memtable.count, 4);
	th_memtable_release(&memtable);
	ck_assert_uint_eq(memtable.bytes, 0);
	th_model_unref(model);
}
END_TEST

/* In ascending order a block is split at its end, so blocks are full. */
START_TEST(ascending_keys_fill_blocks)
{
	struct th_memtable memtable = { 0 };
	struct th_model *model = th_model_new();

	for (uint32_t i = 0; i < 10000; i++) {
		uint8_t key[4] = { 0, 0, (uint8_t)(i >> 8), (uint8_t)i };

		put(&memtable, model, (struct th_slice){ key, 4 }, th_slice_of("value"));
	}
	verify(&memtable, model);
	verify_blocks(&memtable);
	ck_assert_uint_le(memtable.count, 10000 / 200);
	th_memtable_release(&memtable);
	th_model_unref(model);
}
END_TEST

START_TEST(range_message_removes_messages_of_all_blocks)
{
	struct th_memtable memtable = { 0 };
	struct th_model *model = th_model_new();
	struct th_range range = { { "\x01\x00", 2 }, { "\x60\x00", 2 } };
	struct th_slice first;
	size_t index, before;

	for (uint32_t i = 0; i < 0x8000; i += 5) {
		uint8_t key[2] = { (uint8_t)(i >> 8), (uint8_t)i };

		put(&memtable, model, (struct th_slice){ key, 2 }, th_slice_of("value"));
	}
	before = memtable.count;
	delete_range(&memtable, model, range);
	verify(&memtable, model);
	ck_assert_uint_lt(memtable.count, before / 2);
	th_true(th_memtable_block(&memtable, range.from, &index) == memtable.block[index]);
	first = th_memtable_first(&memtable, index);
	th_true(th_model_compare(first, range.from) <= 0);
	th_memtable_release(&memtable);
	th_true(!th_memtable_block(&memtable, range.from, &index));
	th_model_unref(model);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { messages_equal_the_model_in_order, ascending_keys_fill_blocks,
				       range_message_removes_messages_of_all_blocks };

	return th_tests_run("memtable", tests, sizeof(tests) / sizeof(tests[0]));
}
