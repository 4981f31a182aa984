/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads under way at one time: th_get_async, th_prefetch, and cursors that read ahead, on disks that complete transfers
 * at once (memory), on other threads (the pool), and when somebody looks (io_uring).
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
static char lines[4096]; /* what was reported */

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

/* A store with every third key missing and some large values, read anew with a small cache: most is on disk. */
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

/* Reads with up to UNDER_WAY of them begun and not finished. */
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

START_TEST(async_reads)
{
	for (enum where where = 0; where < WHERES; where++) {
		struct th_view *view;
		struct th_txn *txn;

		begin(where, "async_reads");
		read_many(th_view_live(fixture.store), 3000);
		th_ok(th_view_freeze(fixture.store, &view));
		read_many(view, 500);
		th_view_close(view);
		/* with nodes that may change above what is on disk */
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

struct tale {
	_Atomic unsigned told;
};

static void tell(struct th_future *future, void *arg)
{
	struct tale *tale = arg;

	(void)future;
	atomic_fetch_add(&tale->told, 1);
}

/* Each continuation runs once, whether anybody waits or not. */
START_TEST(async_continues)
{
	for (enum where where = 0; where < WHERES; where++) {
		struct th_get *get[UNDER_WAY];
		struct tale tale = { 0 };
		char space[UNDER_WAY][32];

		begin(where, "async_continues");
		for (unsigned i = 0; i < UNDER_WAY; i++) {
			th_ok(th_get_async(th_view_live(fixture.store), make_key(i * (KEYS / UNDER_WAY), space[i]),
					   &get[i]));
			th_future_then(th_get_future(get[i]), tell, &tale);
		}
		while (atomic_load(&tale.told) < UNDER_WAY)
			usleep(100);
		for (unsigned i = 0; i < UNDER_WAY; i++) {
			ck_assert(th_future_poll(th_get_future(get[i])));
			finish(get[i], th_slice_of(space[i]));
		}
		ck_assert_uint_eq(tale.told, UNDER_WAY);
		end();
	}
}
END_TEST

/* Turns one bit over in each block of a part of the disk where nodes are. */
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

/* What fails is an error of its own read, and is said; others go on. */
START_TEST(async_fails)
{
	struct th_get *get;
	char space[32];
	unsigned failed = 0, right = 0;

	begin(IN_MEMORY, "async_fails");
	th_expect(th_get_async(th_view_live(fixture.store), (struct th_slice){ space, TH_KEY_MAX + 1 }, &get), -EINVAL);
	damage();
	for (unsigned i = 1; i < KEYS; i += 6) {
		struct th_slice key = make_key(i, space);
		struct th_value value;
		int err;

		th_ok(th_get_async(th_view_live(fixture.store), key, &get));
		err = th_get_finish(get, &value);
		if (err == 0) {
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
	damage(); /* and back */
	read_many(th_view_live(fixture.store), 500);
	ck_assert_str_eq(lines, "");
	end();
}
END_TEST

/* What was prefetched is not read again. */
START_TEST(async_prefetch)
{
	struct th_store_info before, after;
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	struct th_range range;
	char from[32], to[32];
	unsigned seen = 0;

	begin(IN_MEMORY, "async_prefetch");
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
	/* nor is anything outside it */
	th_ok(th_prefetch(th_view_live(fixture.store), &range));
	th_store_info(fixture.store, &after);
	ck_assert_uint_eq(after.node_reads, before.node_reads);
	end();
}
END_TEST

/* Reading ahead in either direction, with turns, sees what is there and reads no node more than once. */
START_TEST(async_cursors)
{
	for (enum where where = 0; where < WHERES; where++) {
		struct th_cursor *cursor;
		struct th_cursor_entry entry;

		begin(where, "async_cursors");
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
		/* closed while reads are under way */
		th_ok(th_prefetch(th_view_live(fixture.store), NULL));
		ck_assert_str_eq(lines, "");
		end();
	}
}
END_TEST

/* A store that fits the cache is read once, however much is read ahead. */
START_TEST(async_reads_once)
{
	struct th_store_info info;
	uint64_t nodes;

	begin(IN_MEMORY, "async_reads_once");
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

/* The first entry from the key on.  1: there is none. */
static int first_from(struct th_view *view, struct th_slice key)
{
	struct th_range range = { .from = key };
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int err;

	th_ok(th_cursor_open(view, &range, &cursor));
	err = th_cursor_next(cursor, &entry);
	if (err == 0)
		ck_assert(entry.key.size == key.size && memcmp(entry.key.data, key.data, key.size) >= 0);
	th_cursor_close(cursor);
	return err;
}

/* What a read that does not wait misses it does not read; then it is there. */
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

START_TEST(async_nowait)
{
	unsigned missed = 0;
	struct th_txn *txn;

	begin(IN_MEMORY, "async_nowait");
	th_true(th_nowait_again(-EINPROGRESS) && !th_nowait_again(0)); /* of nothing that was missed */
	for (unsigned i = 0; i < 2000; i++)
		missed += read_without_waiting(th_view_live(fixture.store), i % 2);
	ck_assert_uint_gt(missed, 100);
	/* a commit waits */
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

/* Nodes read for many short ranges, each with a cursor of its own, or all with one. */
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

/* A cursor that was sought again expects to be read as far as the last time, and reads ahead no further. */
START_TEST(async_expected)
{
	uint64_t each, one;

	begin(IN_MEMORY, "async_expected");
	each = reads_of_ranges(false);
	one = reads_of_ranges(true);
	ck_assert_msg(one < each - each / 8, "%" PRIu64 " and %" PRIu64 " nodes read", each, one);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { async_reads,    async_continues, async_fails,      async_prefetch,
				       async_expected, async_cursors,   async_reads_once, async_nowait };

	return th_tests_run("async", tests, sizeof(tests) / sizeof(tests[0]));
}
