/* SPDX-License-Identifier: Apache-2.0 */
/* Windows compared with lookups through all layers, and with a single memtable of the same messages. */
#include "tree/layers/window.h"

#include "tests/support/keys.h"
#include "tests/tree/fixture.h"
#include "tree/btree/lookup.h"
#include "tree/node/message.h"
#include "tree/state/state.h"

struct stack {
	struct th_fixture fixture;
	struct th_random random;
	struct th_keys keys;
	struct th_layers layers;
	struct th_memtable all; /* the same messages in one memtable */
};

static struct th_entry *random_message(struct stack *stack)
{
	uint8_t space[TH_KEY_MAX], other[TH_KEY_MAX], bytes[64];
	struct th_slice key = th_keys_pick(&stack->keys, &stack->random, space), end;
	uint32_t what = th_random_below(&stack->random, 1000);

	th_random_fill(&stack->random, bytes, sizeof(bytes));
	if (what < 700)
		return th_message_put(TH_SLICE_EMPTY, key, (struct th_slice){ bytes, sizeof(bytes) });
	if (what < 850)
		return th_message_delete(TH_SLICE_EMPTY, key);
	end = th_keys_pick(&stack->keys, &stack->random, other);
	if (what < 990 || th_model_compare(key, end) >= 0)
		return th_message_add_refs(TH_SLICE_EMPTY, key, 3);
	return th_message_delete_range(key, end, 0);
}

/* Adds random messages in several layers.  txn_bytes: small, so that layers become spills, or large. */
static void stack_init(struct stack *stack, const char *test, size_t txn_bytes)
{
	struct th_store_options options = { .txn_bytes = txn_bytes, .checkpoint_interval_ms = 3600 * 1000 };

	*stack = (struct stack){ .random.state = th_test_seed(test) };
	stack->keys = (struct th_keys){ .salt = stack->random.state, .range = 400 };
	th_fixture_init(&stack->fixture, 32, &options);
	stack->layers.store = stack->fixture.store;
	for (unsigned i = 0; i < 6000; i++) {
		struct th_entry *message = random_message(stack);

		ck_assert_ptr_nonnull(message);
		th_ok(th_memtable_insert(&stack->all, th_entry_ref(message)));
		th_ok(th_layers_insert(&stack->layers, message));
		if (i % 700 == 699)
			stack->layers.floor = stack->layers.count; /* as a savepoint does */
	}
	ck_assert_uint_ge(stack->layers.count, 8);
	ck_assert(th_layers_spilled(&stack->layers) == (txn_bytes < 10000));
}

static void stack_release(struct stack *stack)
{
	th_layers_release(&stack->layers);
	th_memtable_release(&stack->all);
	th_verify_check(stack->fixture.store, NULL);
	th_fixture_release(&stack->fixture);
}

/* --- one key --- */

static struct th_lookup look_up_memtable(const struct th_memtable *memtable, struct th_slice key)
{
	struct th_lookup lookup = { 0 };
	size_t index;
	struct th_node *block = th_memtable_block(memtable, key, &index);

	if (block)
		th_lookup_node(&lookup, block, key);
	return lookup;
}

static void verify_same(struct th_lookup *a, struct th_lookup *b)
{
	th_true(a->done == b->done && a->refs == b->refs && !a->entry == !b->entry);
	if (a->entry)
		th_true(th_model_same((struct th_slice){ a->value.data, a->value.size },
				      (struct th_slice){ b->value.data, b->value.size }));
	th_lookup_release(a);
	th_lookup_release(b);
}

static void verify_key(struct stack *stack, const struct th_window *window, struct th_slice key)
{
	struct th_lookup composed = look_up_memtable(&window->memtable, key), all = look_up_memtable(&stack->all, key);
	struct th_lookup layered = { 0 };

	th_ok(th_layers_lookup(&stack->layers, &layered, key));
	verify_same(&composed, &layered);
	layered = look_up_memtable(&window->memtable, key);
	verify_same(&layered, &all);
}

static void verify_windows(const char *test, size_t txn_bytes)
{
	struct th_window window;
	struct stack stack;

	stack_init(&stack, test, txn_bytes);
	th_window_init(&window, &stack.layers, 0);
	for (unsigned i = 0; i < 1000; i++) {
		uint8_t space[TH_KEY_MAX];
		struct th_slice key = th_keys_pick(&stack.keys, &stack.random, space), lo, hi;
		bool backward = th_random_percent(&stack.random, 50) && key.size > 0;

		th_ok(backward ? th_window_backward(&window, key) : th_window_forward(&window, key));
		lo = th_key_slice(&window.lo);
		hi = th_key_slice(&window.hi);
		if (backward)
			th_true(th_model_compare(lo, key) < 0 && (window.open || th_model_compare(key, hi) <= 0));
		else
			th_true(th_model_compare(lo, key) <= 0 && (window.open || th_model_compare(key, hi) < 0));
		if (!backward)
			verify_key(&stack, &window, key);
		verify_key(&stack, &window, lo);
	}
	th_ok(th_window_backward(&window, (struct th_slice){ NULL, 0 }));
	th_true(window.open);
	th_window_release(&window);
	stack_release(&stack);
}

START_TEST(window_of_memtables_equals_a_lookup_in_all_layers)
{
	verify_windows("window_of_memtables_equals_a_lookup_in_all_layers", 64 << 20);
}
END_TEST

START_TEST(window_of_spills_equals_a_lookup_in_all_layers)
{
	verify_windows("window_of_spills_equals_a_lookup_in_all_layers", 5000);
}
END_TEST

/* --- all keys --- */

struct pass {
	struct stack *stack;
	struct th_key last;
	size_t count, values;
};

/* Messages are ascending, and those with a value equal the single memtable's. */
static int pass_message(const struct th_entry *message, void *arg)
{
	struct pass *pass = arg;
	struct th_slice key = { th_entry_key(message), th_entry_key_size(message) };
	struct th_lookup lookup = look_up_memtable(&pass->stack->all, key);

	th_true(pass->count++ == 0 || th_model_compare(th_key_slice(&pass->last), key) < 0);
	th_key_set(&pass->last, key);
	if (th_entry_has_value(message)) {
		th_true(lookup.entry && lookup.refs == th_entry_refs(message));
		th_true(th_model_same((struct th_slice){ lookup.value.data, lookup.value.size },
				      th_entry_value(message)));
		pass->values++;
	}
	th_lookup_release(&lookup);
	return 0;
}

static int count_value(const struct th_entry *message, void *arg)
{
	*(size_t *)arg += th_entry_has_value(message);
	return 0;
}

START_TEST(pass_over_all_windows_composes_all_layers)
{
	for (int spilled = 0; spilled < 2; spilled++) {
		struct th_drops drops = { 0 };
		struct stack stack;
		struct pass pass = { .stack = &stack };
		size_t values = 0;

		stack_init(&stack, "pass_over_all_windows_composes_all_layers", spilled ? 5000 : 64 << 20);
		th_ok(th_window_each(&stack.layers, 0, pass_message, &pass, &drops));
		th_ok(th_memtable_each(&stack.all, count_value, &values));
		ck_assert_uint_gt(values, 100);
		ck_assert_uint_eq(pass.values, values);
		ck_assert_uint_eq(drops.count, 0); /* no value is off-tree */
		th_drops_release(&drops);
		stack_release(&stack);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { window_of_memtables_equals_a_lookup_in_all_layers,
				       window_of_spills_equals_a_lookup_in_all_layers,
				       pass_over_all_windows_composes_all_layers };

	return th_tests_run("window", tests, sizeof(tests) / sizeof(tests[0]));
}
