/* SPDX-License-Identifier: Apache-2.0 */
/* The meta tree, and the messages to it that the superblock carries. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/catalogue/meta.h"
#include "tree/catalogue/meta_format.h"
#include "tree/checkpoint/checkpoint.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };

#define KIND 'Z' /* no kind of the store: it loads and ignores such entries */

struct change {
	uint64_t from, to; /* keys */
	size_t size; /* of the values; SIZE_MAX: removes them */
};

static int change_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	const struct change *change = arg;
	uint8_t value[200];
	int err = 0;

	(void)state;
	for (uint64_t number = change->from; number < change->to && !err; number++) {
		struct th_meta_key key = th_meta_key(KIND, number);

		memset(value, (int)number, sizeof(value));
		err = th_meta_put(store, (struct th_slice){ &key, sizeof(key) },
				  change->size == SIZE_MAX ? (struct th_slice){ NULL, 0 }
							   : (struct th_slice){ value, change->size });
	}
	return err;
}

static void make(struct th_store *store, uint64_t from, uint64_t to, size_t size)
{
	struct change change = { from, to, size };

	th_ok(th_checkpoint(store, change_step, &change, 0));
}

static size_t found, found_size;
static uint64_t last_number;

static int count_entry(struct th_store *store, const struct th_cursor_entry *entry)
{
	const uint8_t *bytes = entry->value.data;
	uint64_t number = th_meta_number(entry->key.data);

	(void)store;
	ck_assert(found == 0 || number > last_number);
	for (size_t i = 0; i < entry->value.size; i++)
		ck_assert_uint_eq(bytes[i], number & 0xff);
	last_number = number;
	found_size = entry->value.size;
	found++;
	return 0;
}

static void expect_entries(struct th_store *store, size_t count, size_t size)
{
	found = 0;
	found_size = size;
	th_ok(th_meta_each(store, KIND, count_entry));
	ck_assert_uint_eq(found, count);
	ck_assert_uint_eq(found_size, size);
}

/* The meta tree is not written for them. */
START_TEST(few_messages_are_carried_by_the_superblock)
{
	uint8_t root[TH_SUPER_ROOT_SIZE];
	struct th_meta_key key = th_meta_key(KIND, 3);
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	memcpy(root, fixture.store->super.meta_root, sizeof(root));
	make(fixture.store, 0, 5, 20);
	make(fixture.store, 0, 5, 30); /* replaces them */
	ck_assert_mem_eq(root, fixture.store->super.meta_root, sizeof(root));
	ck_assert(th_carried_has(&fixture.store->super, (struct th_slice){ &key, sizeof(key) }));
	expect_entries(fixture.store, 5, 30);
	make(fixture.store, 1, 3, SIZE_MAX);
	expect_entries(fixture.store, 3, 30);
	th_fixture_reopen(&fixture);
	expect_entries(fixture.store, 3, 30);
	ck_assert_mem_eq(root, fixture.store->super.meta_root, sizeof(root));
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(many_messages_go_to_the_meta_tree)
{
	uint8_t root[TH_SUPER_ROOT_SIZE];
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	memcpy(root, fixture.store->super.meta_root, sizeof(root));
	make(fixture.store, 0, 1000, 150);
	ck_assert_mem_ne(root, fixture.store->super.meta_root, sizeof(root));
	ck_assert_uint_eq(fixture.store->super.carried_size, 0);
	expect_entries(fixture.store, 1000, 150);
	th_fixture_reopen(&fixture);
	expect_entries(fixture.store, 1000, 150);
	make(fixture.store, 10, 900, SIZE_MAX);
	th_fixture_reopen(&fixture);
	expect_entries(fixture.store, 110, 150);
	th_fixture_release(&fixture);
}
END_TEST

static int stop_at_third(struct th_store *store, const struct th_cursor_entry *entry)
{
	(void)store;
	(void)entry;
	return ++found == 3 ? -ECANCELED : 0;
}

START_TEST(iteration_ends_with_the_first_error)
{
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	make(fixture.store, 0, 5, 1);
	found = 0;
	th_expect(th_meta_each(fixture.store, KIND, stop_at_third), -ECANCELED);
	ck_assert_uint_eq(found, 3);
	th_fixture_release(&fixture);
}
END_TEST

static int count_message(void *arg, struct th_slice key, struct th_slice value)
{
	(void)key;
	(void)value;
	++*(unsigned *)arg;
	return 0;
}

START_TEST(malformed_messages_are_refused)
{
	struct th_fixture fixture;
	struct th_super super;
	unsigned messages = 0;

	th_fixture_init(&fixture, 16, &options);
	make(fixture.store, 0, 4, 10);
	super = fixture.store->super;
	th_ok(th_carried_each(&super, count_message, &messages));
	ck_assert_uint_ge(messages, 4);
	super.carried_size--; /* the last one is cut */
	messages = 0;
	th_expect(th_carried_each(&super, count_message, &messages), -EUCLEAN);
	ck_assert_uint_ge(messages, 3);
	super = fixture.store->super;
	super.carried[0] = TH_CARRIED_PUT + 1; /* of an unknown kind */
	messages = 0;
	th_expect(th_carried_each(&super, count_message, &messages), -EUCLEAN);
	ck_assert_uint_eq(messages, 0);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		few_messages_are_carried_by_the_superblock,
		many_messages_go_to_the_meta_tree,
		iteration_ends_with_the_first_error,
		malformed_messages_are_refused,
	};

	return th_tests_run("meta", tests, sizeof(tests) / sizeof(tests[0]));
}
