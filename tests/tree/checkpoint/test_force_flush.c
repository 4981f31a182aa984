/* SPDX-License-Identifier: Apache-2.0 */
/* Pushing messages down by force: replaced values make room, and no visible state changes. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/differences.h"
#include "tree/checkpoint/force_flush.h"
#include "tree/state/state.h"

#define KEYS 12000

/* --- a full image --- */

static int put_large(struct th_fixture *fixture, unsigned i, size_t size, uint64_t stamp, struct th_model *model)
{
	uint8_t *bytes = malloc(size);
	struct th_txn *txn;
	struct th_slice key;
	char name[32];
	int err;

	ck_assert_ptr_nonnull(bytes);
	snprintf(name, sizeof(name), "large %06u", i);
	key = th_slice_of(name);
	th_value_make(bytes, size, key, stamp);
	th_ok(th_txn_begin(fixture->store, &txn));
	err = th_txn_put(txn, key, (struct th_slice){ bytes, size });
	if (err)
		th_txn_rollback(txn);
	else
		err = th_txn_commit(txn);
	if (!err)
		th_model_put(model, key, (struct th_slice){ bytes, size });
	free(bytes);
	return err;
}

static unsigned fill_large(struct th_fixture *fixture, size_t size, struct th_model *model)
{
	unsigned count = 0;
	int err;

	while ((err = put_large(fixture, count, size, 1, model)) == 0)
		count++;
	th_expect(err, -ENOSPC);
	return count;
}

static void delete_large(struct th_fixture *fixture, unsigned from, unsigned to, struct th_model *model)
{
	char name[32];

	for (unsigned i = from; i < to; i++) {
		snprintf(name, sizeof(name), "large %06u", i);
		th_fixture_delete(fixture, name);
		th_model_delete(model, th_slice_of(name));
	}
}

/* Deleted values, and values replaced by smaller ones, make room, though the messages are far above the leaves. */
static void replace_on_full(size_t size, unsigned mib)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	unsigned count;

	th_fixture_init(&fixture, mib, NULL);
	count = fill_large(&fixture, size, model);
	th_fixture_reopen(&fixture); /* no node is in memory, or writable */
	delete_large(&fixture, 0, count / 2, model);
	for (unsigned i = 0; i < count / 4; i++)
		th_expect(put_large(&fixture, i, size, 2, model), 0);
	for (unsigned i = count / 2; i < count; i++)
		th_expect(put_large(&fixture, i, 10, 3, model), 0);
	for (unsigned i = count / 4; i < count / 2; i++)
		th_expect(put_large(&fixture, i, size, 4, model), 0);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_check(fixture.store, NULL);
	th_fixture_reopen(&fixture);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}

START_TEST(replaced_values_make_room_on_a_full_image)
{
	replace_on_full(4000, 24);
	replace_on_full(100 * 1000, 32);
	replace_on_full(1000 * 1000, 32);
}
END_TEST

/* The range lies below one node, far from the leaves. */
START_TEST(a_deleted_range_makes_room_on_a_full_image)
{
	struct th_range range = { th_slice_of("large 000400"), th_slice_of("large 000900") };
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	struct th_txn *txn;
	unsigned count;

	th_fixture_init(&fixture, 32, NULL);
	count = fill_large(&fixture, 4000, model);
	ck_assert_uint_gt(count, 5000);
	ck_assert_uint_ge(fixture.store->live.root->level, 2);
	th_fixture_reopen(&fixture);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_txn_delete_range(txn, range));
	th_ok(th_txn_commit(txn));
	th_model_delete_range(model, range);
	for (unsigned i = 0; i < 400; i++)
		th_expect(put_large(&fixture, count + i, 4000, 2, model), 0);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* And the space of deleted values is freed. */
START_TEST(a_full_image_refuses_only_with_enospc)
{
	struct th_random random = { .state = th_test_seed("a_full_image_refuses_only_with_enospc") };
	struct th_model *model = th_model_new();
	unsigned refused = 0, made = 0, gone = 0;
	struct th_fixture fixture;
	struct th_txn *txn;
	char name[32];
	uint64_t used;
	int err;

	th_fixture_init(&fixture, 24, NULL);
	used = th_fixture_used(&fixture);
	for (unsigned i = 0; i < th_test_rounds(3000); i++) {
		unsigned what = th_random_below(&random, 1000), key = th_random_below(&random, 400);

		snprintf(name, sizeof(name), "large %06u", key);
		if (what < 600) {
			err = put_large(&fixture, key, 10 + th_random_below(&random, what < 500 ? 200000 : 1000), i,
					model);
			refused += err == -ENOSPC;
			th_true(!err || err == -ENOSPC);
		} else if (what < 980) {
			th_ok(th_txn_begin(fixture.store, &txn));
			th_ok(th_txn_delete(txn, th_slice_of(name)));
			err = th_txn_commit(txn);
			th_true(!err || err == -ENOSPC);
			if (!err)
				th_model_delete(model, th_slice_of(name));
		} else if (what < 990 && made < gone + 3) {
			snprintf(name, sizeof(name), "s%u", made);
			err = th_snapshot_create(fixture.store, name, NULL);
			th_true(!err || err == -ENOSPC);
			made += !err;
		} else if (made > gone) {
			snprintf(name, sizeof(name), "s%u", gone++);
			th_ok(th_snapshot_delete(fixture.store, name));
		}
		if (what % 100 == 0)
			th_fixture_reopen(&fixture);
		if (i % 500 == 0) {
			th_verify_scan(th_view_live(fixture.store), model, NULL);
			th_ok(th_store_checkpoint(fixture.store));
			th_verify_check(fixture.store, NULL);
		}
	}
	ck_assert_uint_gt(refused, 100);
	for (; gone < made; gone++) {
		snprintf(name, sizeof(name), "s%u", gone);
		th_ok(th_snapshot_delete(fixture.store, name));
	}
	delete_large(&fixture, 0, 400, model);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	ck_assert_uint_lt(th_fixture_used(&fixture), used + 400);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* --- at random --- */

static struct th_slice make_key(unsigned number, char *space)
{
	return (struct th_slice){ space, (size_t)snprintf(space, 32, "large %06u", number) };
}

static void put_small(struct th_fixture *fixture, struct th_model *model)
{
	static const uint8_t bytes[60];
	struct th_txn *txn;
	char space[32];

	th_ok(th_txn_begin(fixture->store, &txn));
	for (unsigned i = 0; i < KEYS; i++) {
		struct th_slice key = make_key(i, space);

		th_ok(th_txn_put(txn, key, (struct th_slice){ bytes, sizeof(bytes) }));
		th_model_put(model, key, (struct th_slice){ bytes, sizeof(bytes) });
	}
	th_ok(th_txn_commit(txn));
}

/* Makes a change; only some leaves get large values. */
static void random_change(struct th_random *random, struct th_txn *txn, struct th_model *model)
{
	unsigned what = th_random_below(random, 100), number = th_random_below(random, KEYS);
	char space[32], other[32];
	struct th_slice key = make_key(number, space), to;
	uint8_t bytes[4000];
	size_t size = what < 30 && number / 300 % 4 == 0 ? sizeof(bytes) : 10 + what;

	if (what < 70) {
		th_value_make(bytes, size, key, th_random_next(random));
		th_ok(th_txn_put(txn, key, (struct th_slice){ bytes, size }));
		th_model_put(model, key, (struct th_slice){ bytes, size });
	} else if (what < 85) {
		th_ok(th_txn_delete(txn, key));
		th_model_delete(model, key);
	} else if (what < 98) {
		th_ok(th_txn_ref(txn, key, 1));
		th_model_ref(model, key, 1);
	} else {
		to = (struct th_slice){ other, (size_t)snprintf(other, sizeof(other), "%.*s~",
								8 + (int)th_random_below(random, 4), space) };
		if (th_random_below(random, 2) == 0) {
			th_ok(th_txn_delete_range(txn, (struct th_range){ key, to }));
			th_model_delete_range(model, (struct th_range){ key, to });
		}
	}
}

static void verify_state(struct th_fixture *fixture, struct th_model *model, struct th_view **before,
			 struct th_model **before_model)
{
	struct th_view *now;

	th_ok(th_view_freeze(fixture->store, &now));
	th_verify_scan(now, model, NULL);
	if (*before) {
		th_verify_diff(*before, *before_model, now, model, NULL);
		th_model_unref(*before_model);
		th_view_close(*before);
	}
	*before = now;
	*before_model = th_model_copy(model);
	th_ok(th_store_checkpoint(fixture->store));
	th_verify_check(fixture->store, NULL);
}

/* Wherever it begins and ends. */
START_TEST(pushing_down_changes_no_visible_state)
{
	struct th_random random = { .state = th_test_seed("pushing_down_changes_no_visible_state") };
	struct th_model *model = th_model_new(), *before_model = NULL;
	struct th_view *before = NULL;
	struct th_fixture fixture;
	char space[32];

	th_fixture_init(&fixture, 128, NULL);
	put_small(&fixture, model);
	for (unsigned round = 0; round < th_test_rounds(60); round++) {
		struct th_key at = { .size = 0 };
		struct th_txn *txn;

		th_ok(th_txn_begin(fixture.store, &txn));
		for (unsigned i = 0; i < 400; i++)
			random_change(&random, txn, model);
		th_ok(th_txn_commit(txn));
		if (th_random_below(&random, 2))
			th_ok(th_store_checkpoint(fixture.store));
		if (!before && th_random_below(&random, 4) == 0)
			th_fixture_reopen(&fixture);
		if (th_random_below(&random, 2))
			th_key_set(&at, make_key(th_random_below(&random, KEYS), space));
		while (th_random_below(&random, 4) &&
		       th_force_flush(fixture.store, &at, th_random_between(&random, 100, 2000) << 10) == 0)
			th_ok(th_store_checkpoint(fixture.store));
		if (round % 8 == 0)
			verify_state(&fixture, model, &before, &before_model);
		if (round % 24 == 0) {
			th_view_close(before);
			th_model_unref(before_model);
			before = NULL;
		}
	}
	if (before) {
		th_view_close(before);
		th_model_unref(before_model);
	}
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		replaced_values_make_room_on_a_full_image,
		a_deleted_range_makes_room_on_a_full_image,
		a_full_image_refuses_only_with_enospc,
		pushing_down_changes_no_visible_state,
	};

	return th_tests_run("force_flush", tests, sizeof(tests) / sizeof(tests[0]));
}
