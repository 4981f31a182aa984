/* SPDX-License-Identifier: Apache-2.0 */
/* The space of a store over a long life: deleted means free, and fragmentation stops nothing. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/suite.h"
#include "tests/tree/fixture.h"
#include "tree/btree/push_down.h"
#include "tree/chunk.h"
#include "tree/node/message.h"
#include "tree/state/state.h"

/* --- records --- */

static struct th_slice key_of(char name[32], unsigned i)
{
	snprintf(name, 32, "record %08u", i);
	return th_slice_of(name);
}

static int put(struct th_fixture *fixture, unsigned i, size_t size, uint64_t stamp, struct th_model *model)
{
	uint8_t bytes[4096];
	char name[32];
	struct th_slice key = key_of(name, i), value = { bytes, size };
	struct th_txn *txn;
	int err;

	th_value_make(bytes, size, key, stamp);
	th_ok(th_txn_begin(fixture->store, &txn));
	err = th_txn_put(txn, key, value);
	if (err)
		th_txn_rollback(txn);
	else
		err = th_txn_commit(txn);
	if (!err && model)
		th_model_put(model, key, value);
	return err;
}

static void delete_one(struct th_fixture *fixture, unsigned i, struct th_model *model)
{
	char name[32];

	key_of(name, i);
	th_fixture_delete(fixture, name);
	if (model)
		th_model_delete(model, th_slice_of(name));
}

static void delete_range(struct th_fixture *fixture, unsigned from, unsigned to, struct th_model *model)
{
	char first[32], last[32];
	struct th_range range = { key_of(first, from), key_of(last, to) };
	struct th_txn *txn;

	th_ok(th_txn_begin(fixture->store, &txn));
	th_ok(th_txn_delete_range(txn, range));
	th_ok(th_txn_commit(txn));
	if (model)
		th_model_delete_range(model, range);
}

static void shuffle(struct th_random *random, unsigned *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		list[i] = i;
	for (unsigned i = count; i > 1; i--) {
		unsigned j = th_random_below(random, i), other = list[i - 1];

		list[i - 1] = list[j];
		list[j] = other;
	}
}

/* --- N6 --- */

struct sums {
	uint64_t records, deletes;
};

/* N6 of one node.  A split may leave all messages for a child with one half of it, hence twice. */
static void verify_waiting(const struct th_node *node)
{
	for (unsigned i = 0, slot = 0; i < node->base.count; i++) {
		uint64_t records = th_node_child_records(node, i), deletes = 0;
		struct th_key end;

		if (i + 1 < node->base.count)
			th_node_key(node, th_slab_entry(&node->base, i + 1), &end);
		for (; slot < node->overlay.count; slot++) {
			const struct th_entry *message = th_slab_entry(&node->overlay, slot);
			struct th_key key;

			th_node_key(node, message, &key);
			if (i + 1 < node->base.count && th_slice_compare(th_key_slice(&key), th_key_slice(&end)) >= 0)
				break;
			deletes += th_message_deletes(message);
		}
		if (deletes * TH_DELETES_PART > 2 * records)
			ck_abort_msg("%llu deletes wait at level %u for %llu records", (unsigned long long)deletes,
				     node->level, (unsigned long long)records);
	}
}

/* Adds up the persistent tree below a pointer, and compares the counts in each pointer with the sums. */
static struct sums add_up(struct th_fixture *fixture, const struct th_ptr *ptr, struct th_slice fence)
{
	struct sums sums = { 0 };
	struct th_node *node;

	th_ok(th_cache_load(fixture->store->cache, ptr, fence, &node));
	for (unsigned i = 0; i < node->overlay.count; i++)
		sums.deletes += th_message_deletes(th_slab_entry(&node->overlay, i));
	if (node->level == 0)
		sums.records = node->base.count;
	else
		verify_waiting(node);
	for (unsigned i = 0; node->level > 0 && i < node->base.count; i++) {
		struct th_ptr child;
		struct th_key lo;
		struct sums below;

		th_node_key(node, th_slab_entry(&node->base, i), &lo);
		th_ok(th_node_child_ptr(node, i, &child));
		below = add_up(fixture, &child, th_key_slice(&lo));
		sums.records += below.records;
		sums.deletes += below.deletes;
	}
	ck_assert_uint_eq(sums.records, ptr->records);
	ck_assert_uint_eq(sums.deletes, ptr->deletes);
	th_node_unref(node);
	return sums;
}

/* The bound of N6 over all levels. */
static void verify_bound(struct th_fixture *fixture)
{
	struct th_node *root;
	struct sums sums;

	th_ok(th_store_checkpoint(fixture->store));
	root = fixture->store->live.root;
	if (!root->ptr.addr)
		return; /* an empty store */
	sums = add_up(fixture, &root->ptr, TH_SLICE_EMPTY);
	if (sums.deletes > th_deletes_most(sums.records, root->level))
		ck_abort_msg("%llu pending deletes for %llu records", (unsigned long long)sums.deletes,
			     (unsigned long long)sums.records);
}

START_TEST(pending_deletes_stay_within_their_bound)
{
	struct th_random random = { .state = th_test_seed("pending_deletes_stay_within_their_bound") };
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	unsigned rounds = th_test_rounds(30), next = 0, first = 0;

	th_fixture_init(&fixture, 128, NULL);
	for (unsigned i = 0; i < rounds; i++) {
		unsigned added = th_random_between(&random, 0, 8000);

		for (unsigned j = 0; j < added; j++)
			th_ok(put(&fixture, next++, th_random_below(&random, 400), i, model));
		for (unsigned j = th_random_below(&random, 4000); j > 0 && next > first; j--)
			delete_one(&fixture, th_random_between(&random, first, next - 1), model);
		for (unsigned j = th_random_below(&random, 200); j > 0 && next > first + 100; j--) {
			unsigned from = th_random_between(&random, first, next - 50);

			delete_range(&fixture, from, from + th_random_between(&random, 1, 20), model);
		}
		if (th_random_below(&random, 5) == 0) {
			unsigned to = th_random_between(&random, first, next);

			delete_range(&fixture, first, to, model);
			first = to;
		}
		if (th_random_below(&random, 4) == 0)
			th_fixture_reopen(&fixture);
		verify_bound(&fixture);
	}
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_check(fixture.store, NULL);
	delete_range(&fixture, 0, next, model);
	verify_bound(&fixture);
	ck_assert_uint_eq(fixture.store->live.root->level, 0);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* --- deleted means free --- */

/* Fills and empties a store; `ordered`: deletes in the order of keys.  Blocks in use must be as before, and the tree
 * must be its root again. */
static void fill_and_empty(struct th_fixture *fixture, struct th_random *random, unsigned count, size_t size,
			   bool ordered)
{
	uint64_t before = th_fixture_used(fixture);
	unsigned *order = calloc(count, sizeof(*order));

	ck_assert_ptr_nonnull(order);
	shuffle(random, order, count);
	for (unsigned i = 0; i < count; i++)
		th_ok(put(fixture, order[i], size, 1, NULL));
	th_fixture_reopen(fixture);
	shuffle(random, order, count);
	for (unsigned i = 0; i < count; i++) {
		delete_one(fixture, ordered ? i : order[i], NULL);
		if (i % 5000 == 0)
			th_ok(th_store_checkpoint(fixture->store));
	}
	th_ok(th_store_checkpoint(fixture->store));
	ck_assert_uint_eq(fixture->store->live.root->level, 0);
	ck_assert_uint_eq(fixture->store->live.root->base.count, 0);
	ck_assert_uint_le(th_fixture_used(fixture), before);
	th_verify_check(fixture->store, NULL);
	free(order);
}

START_TEST(deleted_records_return_their_space)
{
	struct th_random random = { .state = th_test_seed("deleted_records_return_their_space") };
	struct th_fixture fixture;

	th_fixture_init(&fixture, 128, NULL);
	fill_and_empty(&fixture, &random, 30000, 10, false);
	fill_and_empty(&fixture, &random, 30000, 100, true);
	fill_and_empty(&fixture, &random, 10000, 1000, false);
	fill_and_empty(&fixture, &random, 5000, 3000, true);
	th_fixture_release(&fixture);
}
END_TEST

/* A queue of keys that are never used again: the space of the oldest must serve the newest. */
START_TEST(a_queue_of_new_keys_does_not_grow)
{
	struct th_fixture fixture;
	uint64_t used = 0;

	th_fixture_init(&fixture, 32, NULL);
	for (unsigned i = 0; i < 60000; i++) {
		th_ok(put(&fixture, i, 500, 1, NULL));
		if (i >= 2000)
			delete_one(&fixture, i - 2000, NULL);
		if (i == 10000)
			used = th_fixture_used(&fixture);
	}
	ck_assert_uint_le(th_fixture_used(&fixture), 2 * used);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

/* --- fragmented space --- */

/* Fills the image with values of one block, and deletes every other. */
static unsigned fragment(struct th_fixture *fixture, struct th_model *model)
{
	unsigned count = 0;
	int err;

	while ((err = put(fixture, count, 4000, 1, model)) == 0)
		count++;
	th_expect(err, -ENOSPC);
	for (unsigned i = 0; i < count; i += 2)
		delete_one(fixture, i, model);
	return count;
}

static bool is_scattered(struct th_fixture *fixture, const struct th_ptr *ptr, struct th_slice fence)
{
	struct th_node *node;
	bool found = ptr->scattered;

	th_ok(th_cache_load(fixture->store->cache, ptr, fence, &node));
	for (unsigned i = 0; node->level > 0 && i < node->base.count && !found; i++) {
		struct th_ptr child;
		struct th_key lo;

		th_node_key(node, th_slab_entry(&node->base, i), &lo);
		th_ok(th_node_child_ptr(node, i, &child));
		found = is_scattered(fixture, &child, th_key_slice(&lo));
	}
	th_node_unref(node);
	return found;
}

/* Makes every leaf dirty that has one of the values left by fragment(), as far as there is room. */
static void touch(struct th_fixture *fixture, unsigned count, uint64_t stamp, struct th_model *model)
{
	for (unsigned i = 1; i < count; i += 2) {
		int err = put(fixture, i, 4000, stamp, model);

		if (err)
			th_expect(err, -ENOSPC);
	}
}

/* Fills the single free blocks with small records, in no order.  Returns how many there are. */
static unsigned fill_gaps(struct th_fixture *fixture, struct th_model *model)
{
	unsigned more = 0;
	int err;

	while ((err = put(fixture, 1000000 + more * 7919 % 100000, 300, 2, model)) == 0)
		more++;
	th_expect(err, -ENOSPC);
	return more;
}

/* Every other block is freed, everything is dirty, and the rest filled; after each round the image is opened again.  At
 * the end everything can be deleted. */
static const unsigned torture_mib[] = { 16, 48 };

START_TEST(fragmented_space_takes_whole_checkpoints)
{
	unsigned rounds = th_test_rounds(2), most = 0;
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	uint64_t before;

	th_fixture_init(&fixture, torture_mib[_i], NULL);
	before = th_fixture_used(&fixture);
	for (unsigned round = 0; round < rounds; round++) {
		unsigned count = fragment(&fixture, model), gaps;

		touch(&fixture, count, 3 + round, model);
		th_ok(th_store_checkpoint(fixture.store));
		gaps = fill_gaps(&fixture, model);
		th_ok(th_store_checkpoint(fixture.store));
		th_true(is_scattered(&fixture, &fixture.store->live.root->ptr, TH_SLICE_EMPTY));
		th_fixture_reopen(&fixture);
		th_verify_scan(th_view_live(fixture.store), model, NULL);
		th_verify_check(fixture.store, NULL);
		most = count > most ? count : most;
		for (unsigned i = 0; i < gaps; i++)
			delete_one(&fixture, 1000000 + i * 7919 % 100000, model);
	}
	for (unsigned i = 0; i < most; i++)
		delete_one(&fixture, i, model);
	th_ok(th_store_checkpoint(fixture.store));
	ck_assert_uint_le(th_fixture_used(&fixture), before);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* --- promises --- */

/* Records that are merged, and not written yet. */
static void make_dirty(struct th_fixture *fixture, unsigned count)
{
	struct th_random random = { .state = 1 };

	for (unsigned i = 0; i < count; i++)
		th_ok(put(fixture, th_random_below(&random, 1000000), 500, 1, NULL));
}

/* The nodes take far more than the emergency reserve.  Then they and the data get what was promised to each. */
START_TEST(reserved_data_leaves_the_room_of_dirty_nodes)
{
	struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };
	struct th_fixture fixture;
	struct th_space_stat stat;
	uint32_t reserved = 0;
	struct th_txn *txn;
	struct th_run run;

	th_fixture_init(&fixture, 64, &options);
	make_dirty(&fixture, 20000);
	th_space_stat(fixture.store->space, &stat);
	ck_assert_uint_gt(fixture.store->dirty_bytes / TH_BLOCK_SIZE, 2 * stat.emergency);
	while (!th_chunk_reserve_now(fixture.store, 1, false))
		reserved++;
	ck_assert_uint_gt(reserved, 0);
	th_ok(th_store_checkpoint(fixture.store));
	th_ok(th_txn_begin(fixture.store, &txn));
	for (; reserved > 0; reserved -= run.blocks)
		th_ok(th_chunk_alloc(txn, reserved < TH_RUN_MAX ? reserved : TH_RUN_MAX, true, NULL, &run));
	th_txn_rollback(txn);
	th_ok(th_store_checkpoint(fixture.store));
	th_fixture_release(&fixture);
}
END_TEST

#define THREADS 4

struct crowd {
	struct th_fixture fixture;
	_Atomic unsigned threads, merged, refused;
};

static void *change_records(void *arg)
{
	struct crowd *crowd = arg;
	struct th_random random = { .state = atomic_fetch_add(&crowd->threads, 1) };

	for (unsigned i = 0; i < 3000; i++) {
		char name[32];
		struct th_txn *txn;
		int err = 0;

		th_ok(th_txn_begin(crowd->fixture.store, &txn));
		for (unsigned n = th_random_below(&random, 5); n < 5 && !err; n++) {
			struct th_slice key = key_of(name, th_random_below(&random, 100000));
			uint8_t value[600] = { 1 };

			err = th_random_below(&random, 2)
				      ? th_txn_delete(txn, key)
				      : th_txn_put(txn, key, (struct th_slice){ value, sizeof(value) });
		}
		th_ok(err);
		err = th_txn_commit(txn);
		th_true(!err || err == -ENOSPC);
		atomic_fetch_add(err ? &crowd->refused : &crowd->merged, 1);
	}
	return NULL;
}

/* Each is let in by itself: two never count on the same blocks. */
START_TEST(merges_of_many_threads_fit_together)
{
	struct crowd crowd = { .threads = 1 };
	pthread_t threads[THREADS];
	unsigned i = 0;

	th_fixture_init(&crowd.fixture, 16, NULL);
	while (put(&crowd.fixture, i * 7919 % 100000, 600, 1, NULL) == 0)
		i++;
	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, change_records, &crowd), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_gt(crowd.merged, 0);
	th_ok(th_store_checkpoint(crowd.fixture.store));
	th_verify_check(crowd.fixture.store, NULL);
	th_fixture_release(&crowd.fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("space");
	TCase *tcase = tcase_create("space"), *torture = tcase_create("torture");

	tcase_set_timeout(tcase, 0);
	tcase_set_timeout(torture, 0);
	tcase_add_test(tcase, pending_deletes_stay_within_their_bound);
	tcase_add_test(tcase, deleted_records_return_their_space);
	tcase_add_test(tcase, a_queue_of_new_keys_does_not_grow);
	tcase_add_test(tcase, reserved_data_leaves_the_room_of_dirty_nodes);
	tcase_add_test(tcase, merges_of_many_threads_fit_together);
	tcase_add_loop_test(torture, fragmented_space_takes_whole_checkpoints, 0,
			    sizeof(torture_mib) / sizeof(torture_mib[0]));
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, torture);
	return th_suite_run(suite);
}
