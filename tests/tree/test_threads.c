/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many threads on one store.  Every writer owns the keys under its number, so it can compare them with its own model at
 * any time.  Each of its transactions writes one stamp to a whole group of keys, so that readers of any held view or
 * snapshot can verify that transactions are whole.
 */
#include "tests/tree/extents.h"
#include "tests/tree/walk.h"
#include "tree/chunk.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define WRITERS 3
#define READERS 2
#define GROUP 12
#define TURNS 150

struct crew {
	struct th_fixture fixture;
	uint64_t seed;
	_Atomic bool done;
};

struct member {
	pthread_t thread;
	struct crew *crew;
	struct th_random random;
	unsigned number;
	struct th_model *model; /* of a writer's keys */
};

static struct th_slice member_key(const struct member *member, const char *kind, unsigned number, char *space)
{
	snprintf(space, 40, "%u/%s/%06u", member->number, kind, number);
	return th_slice_of(space);
}

static void member_put(struct member *member, struct th_txn *txn, struct th_slice key, struct th_slice value)
{
	th_ok(th_txn_put(txn, key, value));
	th_model_put(member->model, key, value);
}

static void write_group(struct member *member, struct th_txn *txn)
{
	uint64_t stamp = th_random_next(&member->random);
	char space[40];

	for (unsigned i = 0; i < GROUP; i++)
		member_put(member, txn, member_key(member, "group", i * 1000, space),
			   (struct th_slice){ &stamp, sizeof(stamp) });
}

static void write_some(struct member *member, struct th_txn *txn)
{
	unsigned count = th_random_below(&member->random, 60);
	uint8_t value[300];
	char space[40];

	while (count--) {
		struct th_slice key = member_key(member, "some", th_random_below(&member->random, 3000), space);

		if (th_random_percent(&member->random, 20)) {
			th_ok(th_txn_delete(txn, key));
			th_model_delete(member->model, key);
		} else {
			th_value_make(value, sizeof(value), key, th_random_next(&member->random));
			member_put(member, txn, key,
				   (struct th_slice){ value, th_random_below(&member->random, sizeof(value)) });
		}
	}
}

/* Replaces the data of one file. */
static void write_file(struct member *member, struct th_txn *txn)
{
	struct th_extents file = { .count = 1 }, old;
	uint8_t value[sizeof(file)];
	const struct th_model_entry *entry;
	char space[40];
	struct th_slice key;
	uint64_t hint = 0;

	snprintf(space, sizeof(space), "file/%u/%u", member->number, th_random_below(&member->random, 20));
	key = th_slice_of(space);
	entry = th_model_get(member->model, key);
	if (entry) {
		th_extents_unpack(entry->value, &old);
		th_extents_read(member->crew->fixture.store, entry->value);
		th_ok(th_chunk_drop(txn, &old.extents[0].run));
	}
	th_ok(th_extent_write(txn, &member->random, th_random_between(&member->random, 1, 20), false, &hint,
			      &file.extents[0]));
	member_put(member, txn, key, (struct th_slice){ value, th_extents_pack(&file, value) });
}

/* Verifies a writer's keys.  Only this thread changes them, so even the live view is stable there. */
static void verify_own(struct member *member, struct th_view *view)
{
	char from[8], to[8];
	struct th_range range;

	snprintf(from, sizeof(from), "%u/", member->number);
	snprintf(to, sizeof(to), "%u0", member->number); /* '0' follows '/' */
	range = (struct th_range){ th_slice_of(from), th_slice_of(to) };
	th_verify_scan(view, member->model, &range);
}

static void *writer_main(void *arg)
{
	struct member *member = arg;
	struct th_store *store = member->crew->fixture.store;

	for (unsigned turn = 0; turn < TURNS * th_test_rounds(1); turn++) {
		struct th_txn *txn;

		th_ok(th_txn_begin(store, &txn));
		write_group(member, txn);
		write_some(member, txn);
		if (turn % 4 == 0)
			write_file(member, txn);
		th_ok(th_txn_commit(txn));
		if (th_random_percent(&member->random, 10))
			th_ok(th_store_sync(store));
		if (th_random_percent(&member->random, 5))
			th_ok(th_store_checkpoint(store));
		if (th_random_percent(&member->random, 10))
			verify_own(member, th_view_live(store));
	}
	return NULL;
}

/* Verifies that the stamps of each group are equal: the view has a transaction whole, or not at all. */
static void verify_groups(struct th_view *view)
{
	for (unsigned writer = 0; writer < WRITERS; writer++) {
		struct th_cursor_entry entry;
		struct th_cursor *cursor;
		uint8_t space[16];
		char prefix[16];
		struct th_range range;
		uint64_t first = 0, stamp;
		unsigned count = 0;

		snprintf(prefix, sizeof(prefix), "%u/group/", writer);
		range = th_range_prefix(th_slice_of(prefix), space);
		th_ok(th_cursor_open(view, &range, &cursor));
		for (; th_cursor_next(cursor, &entry) == 0; count++) {
			th_true(entry.value.size == sizeof(stamp));
			memcpy(&stamp, entry.value.data, sizeof(stamp));
			if (count == 0)
				first = stamp;
			th_true(stamp == first);
		}
		th_cursor_close(cursor);
		th_true(count == 0 || count == GROUP);
	}
}

/* Verifies that each key in the diff of two views differs. */
static void verify_changes(struct th_view *from, struct th_view *to)
{
	struct th_change change;
	struct th_diff *diff;
	int err;

	th_ok(th_diff_open(from, to, NULL, &diff));
	while (!(err = th_diff_next(diff, &change))) {
		struct th_value value;
		int there = th_get(to, change.key, &value);

		th_expect(there, change.to.data ? 0 : -ENOENT);
		if (there)
			continue;
		th_true(th_model_same(change.to, (struct th_slice){ value.data, value.size }));
		th_value_release(&value);
	}
	th_expect(err, 1);
	th_diff_close(diff);
}

static void *reader_main(void *arg)
{
	struct member *member = arg;
	struct th_store *store = member->crew->fixture.store;
	struct th_view *held = NULL, *next;
	uint64_t hash = 0;

	while (!member->crew->done) {
		th_ok(th_view_freeze(store, &next));
		verify_groups(next);
		if (held) {
			th_true(th_view_hash(held) == hash);
			verify_changes(held, next);
			verify_changes(next, held);
			th_view_close(held);
		}
		held = next;
		hash = th_view_hash(held);
	}
	if (held)
		th_view_close(held);
	return NULL;
}

static void *snapshot_main(void *arg)
{
	struct member *member = arg;
	struct th_store *store = member->crew->fixture.store;
	struct th_snapshot snapshot;
	struct th_view *view;
	uint64_t hash;

	for (unsigned turn = 0; !member->crew->done; turn++) {
		char name[24];

		snprintf(name, sizeof(name), "turn %u", turn);
		th_ok(th_snapshot_create(store, name, &snapshot));
		th_ok(th_view_snapshot(store, snapshot.id, &view));
		verify_groups(view);
		hash = th_view_hash(view);
		if (turn >= 4) {
			snprintf(name, sizeof(name), "turn %u", turn - th_random_between(&member->random, 0, 4));
			th_snapshot_delete(store, name); /* its view may be open; it may be deleted already */
		}
		th_true(th_view_hash(view) == hash);
		th_view_close(view);
	}
	return NULL;
}

static void *inspector_main(void *arg)
{
	struct member *member = arg;
	struct th_store *store = member->crew->fixture.store;

	while (!member->crew->done) {
		struct th_snapshot *list;
		struct th_store_info info;
		size_t count;

		th_store_info(store, &info);
		th_true(info.blocks_free <= info.blocks && !info.read_only);
		th_ok(th_snapshot_list(store, &list, &count));
		for (size_t i = 1; i < count; i++)
			th_true(list[i].id > list[i - 1].id);
		free(list);
	}
	return NULL;
}

static void start(struct member *member, struct crew *crew, unsigned number, void *(*body)(void *))
{
	member->crew = crew;
	member->number = number;
	member->random.state = crew->seed * 1000 + number;
	ck_assert_int_eq(pthread_create(&member->thread, NULL, body, member), 0);
}

static void verify_end(struct crew *crew, struct member *writers)
{
	for (unsigned i = 0; i < WRITERS; i++) {
		verify_own(&writers[i], th_view_live(crew->fixture.store));
		th_extents_verify(crew->fixture.store, writers[i].model);
	}
	th_verify_check(crew->fixture.store, &th_extents_check);
}

static void run_crew(const char *name, size_t txn_bytes)
{
	struct th_store_options options = { .cache_bytes = 512 << 10,
					    .txn_bytes = txn_bytes,
					    .checkpoint_interval_ms = 7 };
	struct member writers[WRITERS], others[READERS + 2];
	struct crew *crew = calloc(1, sizeof(*crew));

	ck_assert_ptr_nonnull(crew);
	crew->seed = th_test_seed(name);
	th_fixture_init(&crew->fixture, 512, &options);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].model = th_model_new();
		start(&writers[i], crew, i, writer_main);
	}
	for (unsigned i = 0; i < READERS; i++)
		start(&others[i], crew, 10 + i, reader_main);
	start(&others[READERS], crew, 20, snapshot_main);
	start(&others[READERS + 1], crew, 21, inspector_main);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	crew->done = true;
	for (unsigned i = 0; i < READERS + 2; i++)
		pthread_join(others[i].thread, NULL);
	th_ok(th_store_checkpoint(crew->fixture.store));
	verify_end(crew, writers);
	th_fixture_reopen(&crew->fixture);
	verify_end(crew, writers);
	th_fixture_release(&crew->fixture);
	for (unsigned i = 0; i < WRITERS; i++)
		th_model_unref(writers[i].model);
	free(crew);
}

START_TEST(held_views_show_transactions_whole)
{
	run_crew("held_views_show_transactions_whole", 0);
}
END_TEST

/* Some transactions are committed in bulk while other threads merge, sync, make checkpoints and read. */
START_TEST(held_views_show_bulk_commits_whole)
{
	run_crew("held_views_show_bulk_commits_whole", 8000);
}
END_TEST

static void *syncer_main(void *arg)
{
	struct member *member = arg;
	char space[40];

	for (unsigned i = 0; i < 40; i++) {
		struct th_txn *txn;

		th_ok(th_txn_begin(member->crew->fixture.store, &txn));
		member_put(member, txn, member_key(member, "synced", i, space), th_slice_of("x"));
		th_ok(th_txn_commit(txn));
		th_ok(th_store_sync(member->crew->fixture.store));
	}
	return NULL;
}

START_TEST(synced_transactions_of_many_threads_are_durable)
{
	struct crew *crew = calloc(1, sizeof(*crew));
	struct th_model *model = th_model_new();
	struct member members[8];
	struct th_fixture crashed;
	struct th_disk *image;
	char space[40];

	ck_assert_ptr_nonnull(crew);
	th_fixture_init(&crew->fixture, 64, NULL);
	for (unsigned i = 0; i < 8; i++) {
		members[i].model = th_model_new();
		start(&members[i], crew, i, syncer_main);
	}
	for (unsigned i = 0; i < 8; i++) {
		pthread_join(members[i].thread, NULL);
		for (unsigned j = 0; j < 40; j++)
			th_model_put(model, member_key(&members[i], "synced", j, space), th_slice_of("x"));
		th_model_unref(members[i].model);
	}
	th_ok(th_disk_fault_crash_image(crew->fixture.disk, th_disk_fault_events(crew->fixture.disk), 1, &image));
	th_fixture_adopt(&crashed, image, NULL);
	th_fixture_open(&crashed);
	th_verify_scan(th_view_live(crashed.store), model, NULL);
	th_fixture_release(&crashed);
	th_fixture_release(&crew->fixture);
	th_model_unref(model);
	free(crew);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { held_views_show_transactions_whole, held_views_show_bulk_commits_whole,
				       synced_transactions_of_many_threads_are_durable };

	return th_tests_run("threads", tests, sizeof(tests) / sizeof(tests[0]));
}
