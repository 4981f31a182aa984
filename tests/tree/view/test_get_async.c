/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrent reads: th_get_async, th_prefetch, and readahead of cursors.  On three disks: one completes transfers at
 * once (memory), one on other threads (the pool), one on the thread that polls (io_uring).
 */
#include "tests/tree/fixture.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "journal/disk/future.h"
#include "tests/support/keys.h"

#define KEYS 6000
#define UNDER_WAY 32
#define MIB 128

static struct th_fixture fixture;
static struct th_model *model;
static struct th_random rng;
static char lines[4096]; /* reported lines */

static void note_report(void *arg, const char *line)
{
	(void)arg;
	snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines), "%s\n", line);
}

enum where { IN_MEMORY, IN_URING, IN_THREADS, WHERES };

static struct th_disk *new_disk(enum where where)
{
	char path[] = "/tmp/thunderhead-async.XXXXXX";
	struct th_disk *disk;
	int fd;

	if (where == IN_MEMORY) {
		th_ok(th_disk_memory_new(MIB << (20 - TH_BLOCK_SHIFT), &disk));
		return disk;
	}
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)MIB << 20), 0);
	close(fd);
	th_ok(th_disk_open(path, where == IN_THREADS ? TH_DISK_THREADS : 0, &disk));
	unlink(path);
	return disk;
}

static struct th_slice make_key(unsigned number, char *space)
{
	return (struct th_slice){ space, (size_t)sprintf(space, "async/%06u", number) };
}

static void put(struct th_txn *txn, unsigned number, size_t size)
{
	static uint8_t value[TH_KEYS_VALUE_MAX];
	struct th_slice key;
	char space[32];

	key = make_key(number, space);
	th_value_make(value, size, key, th_random_next(&rng));
	th_ok(th_txn_put(txn, key, (struct th_slice){ value, size }));
	th_model_put(model, key, (struct th_slice){ value, size });
}

/* Makes a store with every third key missing and some large values, and opens it again with a small cache, so that most
 * nodes are on disk only. */
static void begin(enum where where, const char *test)
{
	struct th_disk *disk = new_disk(where), *lent = th_disk_lend(disk);
	struct th_store_options options = { .cache_bytes = 1 << 20, .report = note_report };
	struct th_txn *txn;

	lines[0] = 0;
	rng.state = th_test_seed(test);
	model = th_model_new();
	th_ok(th_store_format(lent, NULL));
	th_disk_close(lent);
	th_fixture_adopt(&fixture, disk, &options);
	th_fixture_open(&fixture);
	th_ok(th_txn_begin(fixture.store, &txn));
	for (unsigned i = 0; i < KEYS; i++)
		if (i % 3)
			put(txn, i, i % 500 == 1 ? 5000 : 300 + th_random_below(&rng, 600));
	th_ok(th_txn_commit(txn));
	th_fixture_reopen(&fixture);
}

static void end(void)
{
	th_model_unref(model);
	th_fixture_release(&fixture);
}

static void finish(struct th_get *get, struct th_slice key)
{
	const struct th_model_entry *entry = th_model_get(model, key);
	struct th_value value;

	th_expect(th_get_finish(get, &value), entry ? 0 : -ENOENT);
	if (!entry)
		return;
	ck_assert(th_model_same(entry->value, (struct th_slice){ value.data, value.size }));
	th_value_release(&value);
}

/* Reads random keys, up to UNDER_WAY of them concurrently. */
static void read_many(struct th_view *view, unsigned count)
{
	struct th_get *get[UNDER_WAY];
	char space[UNDER_WAY][32];
	struct th_slice key[UNDER_WAY];

	for (unsigned i = 0; i < count + UNDER_WAY; i++) {
		unsigned at = i % UNDER_WAY;

		if (i >= UNDER_WAY)
			finish(get[at], key[at]);
		if (i < count) {
			key[at] = make_key(th_random_below(&rng, KEYS), space[at]);
			th_ok(th_get_async(view, key[at], &get[at]));
		}
	}
}

START_TEST(get_async_returns_the_same_as_get)
{
	for (enum where where = 0; where < WHERES; where++) {
		struct th_view *view;
		struct th_txn *txn;

		begin(where, "get_async_returns_the_same_as_get");
		read_many(th_view_live(fixture.store), 3000);
		th_ok(th_view_freeze(fixture.store, &view));
		read_many(view, 500);
		th_view_close(view);
		/* with transient nodes above those on disk */
		th_ok(th_txn_begin(fixture.store, &txn));
		for (unsigned i = 0; i < 300; i++)
			put(txn, th_random_below(&rng, KEYS), 100);
		th_ok(th_txn_commit(txn));
		read_many(th_view_live(fixture.store), 3000);
		ck_assert_str_eq(lines, "");
		end();
	}
}
END_TEST

struct counter {
	_Atomic unsigned calls;
};

static void count_call(struct th_future *future, void *arg)
{
	struct counter *counter = arg;

	(void)future;
	atomic_fetch_add(&counter->calls, 1);
}

START_TEST(continuation_runs_once_without_a_waiter)
{
	for (enum where where = 0; where < WHERES; where++) {
		struct th_get *get[UNDER_WAY];
		struct counter counter = { 0 };
		char space[UNDER_WAY][32];

		begin(where, "continuation_runs_once_without_a_waiter");
		for (unsigned i = 0; i < UNDER_WAY; i++) {
			th_ok(th_get_async(th_view_live(fixture.store), make_key(i * (KEYS / UNDER_WAY), space[i]),
					   &get[i]));
			th_future_then(th_get_future(get[i]), count_call, &counter);
		}
		while (atomic_load(&counter.calls) < UNDER_WAY)
			usleep(100);
		for (unsigned i = 0; i < UNDER_WAY; i++) {
			ck_assert(th_future_poll(th_get_future(get[i])));
			finish(get[i], th_slice_of(space[i]));
		}
		ck_assert_uint_eq(counter.calls, UNDER_WAY);
		end();
	}
}
END_TEST

/* Inverts one bit in each block of a part of the disk that has nodes; a second call repairs them. */
static void damage(void)
{
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);

	for (uint64_t addr = 1400; addr < 1800; addr++) {
		th_ok(th_disk_read(fixture.disk, addr, 1, block));
		block[100] ^= 4;
		th_ok(th_disk_write(fixture.disk, addr, 1, block));
	}
	free(block);
}

START_TEST(failed_read_fails_alone_and_is_reported)
{
	struct th_get *get;
	char space[32];
	unsigned failed = 0, right = 0;

	begin(IN_MEMORY, "failed_read_fails_alone_and_is_reported");
	th_expect(th_get_async(th_view_live(fixture.store), (struct th_slice){ space, TH_KEY_MAX + 1 }, &get), -EINVAL);
	damage();
	for (unsigned i = 1; i < KEYS; i += 6) {
		struct th_slice key = make_key(i, space);
		struct th_value value;
		int err;

		th_ok(th_get_async(th_view_live(fixture.store), key, &get));
		err = th_get_finish(get, &value);
		if (!err) {
			ck_assert(th_model_same(th_model_get(model, key)->value,
						(struct th_slice){ value.data, value.size }));
			th_value_release(&value);
			right++;
		} else {
			th_expect(err, -EBADMSG);
			failed++;
		}
	}
	ck_assert_uint_gt(failed, 10);
	ck_assert_uint_gt(right, 10);
	ck_assert_ptr_nonnull(strstr(lines, "wrong checksum"));
	lines[0] = 0;
	damage(); /* repaired */
	read_many(th_view_live(fixture.store), 500);
	ck_assert_str_eq(lines, "");
	end();
}
END_TEST

START_TEST(prefetched_nodes_are_not_read_again)
{
	struct th_store_info before, after;
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	struct th_range range;
	char from[32], to[32];
	unsigned seen = 0;

	begin(IN_MEMORY, "prefetched_nodes_are_not_read_again");
	fixture.options.cache_bytes = 64 << 20;
	th_fixture_reopen(&fixture);
	range = (struct th_range){ make_key(2000, from), make_key(2300, to) };
	th_ok(th_prefetch(th_view_live(fixture.store), &range));
	th_store_info(fixture.store, &before);
	th_ok(th_cursor_open(th_view_live(fixture.store), &range, &cursor));
	while (th_cursor_next(cursor, &entry) == 0)
		seen++;
	th_cursor_close(cursor);
	th_store_info(fixture.store, &after);
	ck_assert_uint_eq(seen, 200);
	ck_assert_uint_eq(after.node_reads, before.node_reads);
	ck_assert_uint_gt(before.node_reads, 5);
	/* nor are nodes outside the range read */
	th_ok(th_prefetch(th_view_live(fixture.store), &range));
	th_store_info(fixture.store, &after);
	ck_assert_uint_eq(after.node_reads, before.node_reads);
	end();
}
END_TEST

START_TEST(readahead_with_changes_of_direction_reads_correctly)
{
	for (enum where where = 0; where < WHERES; where++) {
		struct th_cursor *cursor;
		struct th_cursor_entry entry;

		begin(where, "readahead_with_changes_of_direction_reads_correctly");
		th_verify_scan(th_view_live(fixture.store), model, NULL);
		th_ok(th_cursor_open(th_view_live(fixture.store), NULL, &cursor));
		for (unsigned turn = 0; turn < 20; turn++) {
			unsigned steps = th_random_below(&rng, 2000);
			bool forward = th_random_percent(&rng, 50);

			while (steps-- &&
			       (forward ? th_cursor_next(cursor, &entry) : th_cursor_prev(cursor, &entry)) == 0)
				;
		}
		th_cursor_close(cursor);
		/* the store is closed while reads are in progress */
		th_ok(th_prefetch(th_view_live(fixture.store), NULL));
		ck_assert_str_eq(lines, "");
		end();
	}
}
END_TEST

/* The store fits the cache. */
START_TEST(readahead_reads_no_node_twice)
{
	struct th_store_info info;
	uint64_t nodes;

	begin(IN_MEMORY, "readahead_reads_no_node_twice");
	fixture.options.cache_bytes = 64 << 20;
	th_fixture_reopen(&fixture);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_store_info(fixture.store, &info);
	nodes = info.node_reads;
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_store_info(fixture.store, &info);
	ck_assert_uint_eq(info.node_reads, nodes);
	ck_assert_uint_gt(nodes, 100);
	end();
}
END_TEST

static uint64_t node_reads(void)
{
	struct th_store_info info;

	th_store_info(fixture.store, &info);
	return info.node_reads;
}

/* Reads the first entry from the key on.  Returns 0, 1 if there is none, or the error. */
static int first_from(struct th_view *view, struct th_slice key)
{
	struct th_range range = { .from = key };
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int end;

	th_ok(th_cursor_open(view, &range, &cursor));
	end = th_cursor_next(cursor, &entry);
	if (end == 0)
		ck_assert(entry.key.size == key.size && memcmp(entry.key.data, key.data, key.size) >= 0);
	th_cursor_close(cursor);
	return end;
}

/* Reads a random key with non-blocking reads, retried until none would wait.  Returns true if one would have waited. */
static bool read_without_waiting(struct th_view *view, bool point)
{
	struct th_value value;
	uint64_t before;
	bool missed = false;
	char space[32];
	struct th_slice key = make_key(th_random_below(&rng, KEYS), space);
	const struct th_model_entry *entry = th_model_get(model, key);
	int err;

	do {
		before = node_reads();
		th_nowait_begin();
		err = point ? th_get(view, key, &value) : first_from(view, key);
		th_nowait_end();
		if (err == -EINPROGRESS)
			ck_assert_uint_eq(node_reads(), before);
		missed |= err == -EINPROGRESS;
	} while (th_nowait_again(err));
	if (!point) {
		ck_assert_int_ge(err, 0);
		return missed;
	}
	th_expect(err, entry ? 0 : -ENOENT);
	if (entry)
		th_value_release(&value);
	return missed;
}

START_TEST(nonblocking_read_does_no_io)
{
	unsigned missed = 0;
	struct th_txn *txn;

	begin(IN_MEMORY, "nonblocking_read_does_no_io");
	th_true(th_nowait_again(-EINPROGRESS) && !th_nowait_again(0)); /* no node was missed */
	for (unsigned i = 0; i < 2000; i++)
		missed += read_without_waiting(th_view_live(fixture.store), i % 2);
	ck_assert_uint_gt(missed, 100);
	/* a transaction commit waits for nodes all the same */
	th_nowait_begin();
	th_ok(th_txn_begin(fixture.store, &txn));
	for (unsigned i = 0; i < KEYS; i++)
		put(txn, i, 100);
	th_ok(th_txn_commit(txn));
	th_nowait_end();
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	ck_assert_str_eq(lines, "");
	end();
}
END_TEST

/* Returns the number of nodes read for many short ranges, each with its own cursor, or all with one. */
static uint64_t reads_of_ranges(bool one)
{
	struct th_store_info before, after;
	struct th_cursor *cursor = NULL;
	struct th_cursor_entry entry;
	char space[32];

	fixture.options.cache_bytes = 64 << 20;
	th_fixture_reopen(&fixture);
	th_store_info(fixture.store, &before);
	for (unsigned i = 0; i + 600 <= KEYS; i += 600) {
		if (!cursor)
			th_ok(th_cursor_open(th_view_live(fixture.store), NULL, &cursor));
		th_ok(th_cursor_seek(cursor, make_key(i, space)));
		for (unsigned k = 0; k < 60; k++)
			th_ok(th_cursor_next(cursor, &entry));
		ck_assert(th_model_same(entry.key, make_key(i + 89, space)));
		if (one)
			continue;
		th_cursor_close(cursor);
		cursor = NULL;
	}
	th_cursor_close(cursor);
	th_store_info(fixture.store, &after);
	return after.node_reads - before.node_reads;
}

START_TEST(cursor_reads_ahead_only_as_far_as_the_last_time)
{
	uint64_t each, one;

	begin(IN_MEMORY, "cursor_reads_ahead_only_as_far_as_the_last_time");
	each = reads_of_ranges(false);
	one = reads_of_ranges(true);
	ck_assert_msg(one < each - each / 8, "%" PRIu64 " and %" PRIu64 " nodes read", each, one);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { get_async_returns_the_same_as_get,
				       continuation_runs_once_without_a_waiter,
				       failed_read_fails_alone_and_is_reported,
				       prefetched_nodes_are_not_read_again,
				       cursor_reads_ahead_only_as_far_as_the_last_time,
				       readahead_with_changes_of_direction_reads_correctly,
				       readahead_reads_no_node_twice,
				       nonblocking_read_does_no_io };

	return th_tests_run("get_async", tests, sizeof(tests) / sizeof(tests[0]));
}
