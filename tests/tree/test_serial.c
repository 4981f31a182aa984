/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Isolation as thunderhead.h specifies it.  Transactions that lock the keys they use have a serial order; held views,
 * snapshots and the state after a crash are moments of it; the live view follows it for each key.  history.h describes
 * the check, the judge.  The first tests show that it rejects wrong histories.
 */
#include "tests/tree/fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/history.h"

#define KEYS TH_HISTORY_KEYS

/* Many other records lie between the keys, so that they are far apart in the tree. */
#define BALLAST 250 /* for each key */
#define BALLAST_BYTES 100

static struct th_slice serial_key(unsigned key, char *space)
{
	return (struct th_slice){ space, (size_t)snprintf(space, 16, "%02u", key) };
}

static uint64_t version_of(int found, struct th_value *value)
{
	uint64_t version = TH_HISTORY_NOTHING;

	if (found == -ENOENT)
		return version;
	th_ok(found);
	th_true(value->size == sizeof(version));
	memcpy(&version, value->data, sizeof(version));
	th_value_release(value);
	return version;
}

/* --- wrong histories --- */

struct line {
	uint64_t reads, writes; /* bits: keys */
	uint64_t version[2]; /* versions read of the keys 0 and 1: numbers of lines, from 1 on */
	uint64_t begin, end;
};

/* Checks a history whose transactions are the lines.  Returns as th_history_check(). */
static const char *judge(const struct line *lines, size_t count)
{
	struct th_history history = { 0 };
	uint64_t ids[8] = { TH_HISTORY_NOTHING };
	const char *why;

	for (size_t i = 0; i < count; i++) {
		struct th_history_txn txn = th_history_begin();

		ids[i + 1] = txn.id;
		txn.begin = lines[i].begin;
		txn.end = lines[i].end;
		for (unsigned key = 0; key < 2; key++) {
			if (lines[i].reads >> key & 1)
				txn.read[key] = ids[lines[i].version[key]];
			txn.wrote[key] = lines[i].writes >> key & 1;
		}
		th_history_add(&history, &txn);
	}
	why = th_history_check(&history);
	th_history_release(&history);
	return why;
}

static void expect_wrong(const char *why, const char *word)
{
	ck_assert_msg(why && strstr(why, word), "expected '%s', found '%s'", word, why ? why : "nothing wrong");
}

START_TEST(judge_finds_each_anomaly)
{
	const struct line fine[] = { { 3, 3, { 0, 0 }, 10, 20 },
				     { 1, 1, { 1, 0 }, 15, 40 },
				     { 3, 0, { 1, 1 }, 30, 50 } };
	const struct line lost[] = { { 1, 1, { 0, 0 }, 10, 20 }, { 1, 1, { 0, 0 }, 15, 25 } };
	const struct line skew[] = { { 3, 1, { 0, 0 }, 10, 20 }, { 3, 2, { 0, 0 }, 15, 25 } };
	const struct line half[] = { { 3, 3, { 0, 0 }, 10, 20 }, { 3, 0, { 1, 0 }, 12, 18 } };
	const struct line stale[] = { { 1, 1, { 0, 0 }, 10, 20 }, { 1, 0, { 0, 0 }, 30, 40 } };
	const struct line twice[] = { { 1, 1, { 0, 0 }, 10, 60 },
				      { 2, 2, { 0, 0 }, 10, 60 },
				      { 3, 0, { 1, 0 }, 20, 50 },
				      { 3, 0, { 0, 2 }, 20, 50 } };
	const struct line dirty[] = { { 2, 2, { 0, 0 }, 10, 20 }, { 1, 0, { 1, 0 }, 30, 40 } };

	ck_assert_ptr_null(judge(fine, 3));
	expect_wrong(judge(lost, 2), "lost update of key 0");
	expect_wrong(judge(skew, 2), "no serial order");
	expect_wrong(judge(half, 2), "no serial order");
	expect_wrong(judge(stale, 2), "no serial order");
	expect_wrong(judge(twice, 4), "no serial order");
	expect_wrong(judge(dirty, 2), "no transaction committed");
}
END_TEST

static const char *judge_glances(uint64_t first, uint64_t second)
{
	struct th_history history = { 0 };
	struct th_history_txn a = th_history_begin(), b = th_history_begin();
	const uint64_t versions[] = { TH_HISTORY_NOTHING, a.id, b.id };
	const char *why;

	a.read[0] = TH_HISTORY_NOTHING;
	b.read[0] = a.id;
	a.wrote[0] = b.wrote[0] = true;
	a.begin = 10;
	a.end = 20;
	b.begin = 30;
	b.end = 60;
	th_history_add(&history, &a);
	th_history_add(&history, &b);
	th_history_add_glance(&history, &(struct th_history_glance){ 0, versions[first], 25, 40 });
	th_history_add_glance(&history, &(struct th_history_glance){ 0, versions[second], 45, 50 });
	why = th_history_check(&history);
	th_history_release(&history);
	return why;
}

START_TEST(judge_finds_reads_that_go_back)
{
	ck_assert_ptr_null(judge_glances(1, 1));
	ck_assert_ptr_null(judge_glances(1, 2));
	ck_assert_ptr_null(judge_glances(2, 2));
	expect_wrong(judge_glances(2, 1), "after a newer one");
	expect_wrong(judge_glances(0, 1), "after a newer one");
}
END_TEST

/* --- one transaction, on the store --- */

struct crew {
	struct th_fixture fixture;
	uint64_t seed;
	_Atomic unsigned writers; /* threads that still run */
	_Atomic uint64_t synced; /* transactions that ended before this tick are durable */
};

struct member {
	pthread_t thread;
	struct crew *crew;
	struct th_random random;
	unsigned number;
	struct th_history history;
	unsigned deadlocks;
};

struct work {
	struct member *member;
	struct th_txn *txn;
	struct th_history_txn record;
};

static void work_begin(struct work *work, struct member *member)
{
	*work = (struct work){ .member = member, .record = th_history_begin() };
	th_ok(th_txn_begin(member->crew->fixture.store, &work->txn));
}

static void work_commit(struct work *work)
{
	work->record.begin = th_history_tick();
	th_ok(th_txn_commit(work->txn));
	work->record.end = th_history_tick();
	th_history_add(&work->member->history, &work->record);
}

static void note_read(struct work *work, unsigned key, uint64_t version)
{
	struct th_history_txn *record = &work->record;

	if (record->wrote[key])
		th_true(version == record->id);
	else if (record->read[key] != TH_HISTORY_UNREAD)
		th_true(version == record->read[key]);
	else
		record->read[key] = version;
}

static void work_read(struct work *work, unsigned key)
{
	struct th_value value;
	char space[16];

	note_read(work, key, version_of(th_txn_get(work->txn, serial_key(key, space), &value), &value));
}

static void work_write(struct work *work, unsigned key)
{
	char space[16];

	work->record.wrote[key] = true;
	th_ok(th_txn_put(work->txn, serial_key(key, space),
			 (struct th_slice){ &work->record.id, sizeof(work->record.id) }));
}

/* Reads the keys from <= key < to, absent ones too. */
static void work_scan(struct work *work, unsigned from, unsigned to)
{
	char spaces[2][16];
	struct th_range range = { serial_key(from, spaces[0]), serial_key(to, spaces[1]) };
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	uint64_t versions[KEYS] = { TH_HISTORY_NOTHING };

	th_ok(th_txn_cursor(work->txn, &range, &cursor));
	while (th_cursor_next(cursor, &entry) == 0)
		if (entry.key.size == 2)
			memcpy(&versions[strtoul((const char[3]){ ((const char *)entry.key.data)[0],
								  ((const char *)entry.key.data)[1] },
						 NULL, 10)],
			       entry.value.data, sizeof(versions[0]));
	th_cursor_close(cursor);
	for (unsigned key = from; key < to; key++)
		note_read(work, key, versions[key]);
}

/* --- without locks there is no serial order --- */

static void serial_init(struct crew *crew, const struct th_store_options *options)
{
	crew->seed = th_test_seed("serial");
	th_fixture_init(&crew->fixture, 256, options);
}

/* Runs two transactions that each read two keys and then write one, both before either is committed. */
static const char *at_the_same_time(unsigned first, unsigned second)
{
	struct crew *crew = calloc(1, sizeof(*crew));
	struct member member = { .crew = crew };
	struct work a, b;
	const char *why;

	ck_assert_ptr_nonnull(crew);
	serial_init(crew, NULL);
	work_begin(&a, &member);
	work_begin(&b, &member);
	work_scan(&a, 0, 2);
	work_scan(&b, 0, 2);
	work_write(&a, first);
	work_write(&b, second);
	work_commit(&a);
	work_commit(&b);
	why = th_history_check(&member.history);
	th_history_release(&member.history);
	th_fixture_release(&crew->fixture);
	free(crew);
	return why;
}

START_TEST(transactions_without_locks_are_not_serializable)
{
	expect_wrong(at_the_same_time(0, 0), "lost update");
	expect_wrong(at_the_same_time(0, 1), "no serial order");
}
END_TEST

/* --- with locks there is one --- */

/* Locks a key for the transaction, which is to be retried after -EDEADLK or -EBUSY. */
static int lock_key(struct work *work, unsigned key, enum th_lock_mode mode)
{
	char spaces[2][16];
	struct th_range range = { serial_key(key, spaces[0]), serial_key(key, spaces[1]) };
	int timeout = th_random_percent(&work->member->random, 90) ? TH_LOCK_WAIT : TH_LOCK_TRY;

	range.to.size++; /* the terminating 0 */
	return th_txn_lock(work->txn, &range, mode, timeout);
}

static int step_read(struct work *work, unsigned key)
{
	int err = lock_key(work, key, TH_LOCK_SHARED);

	if (!err)
		work_read(work, key);
	return err;
}

static int step_update(struct work *work, unsigned key)
{
	int err = th_random_percent(&work->member->random, 40) ? step_read(work, key) : 0;

	if (!err)
		err = lock_key(work, key, TH_LOCK_EXCLUSIVE);
	if (err)
		return err;
	work_read(work, key);
	work_write(work, key);
	return 0;
}

static int step_scan(struct work *work, unsigned from)
{
	unsigned to = from + 1 + th_random_below(&work->member->random, KEYS - from);
	char spaces[2][16];
	struct th_range range = { serial_key(from, spaces[0]), serial_key(to, spaces[1]) };
	int err = th_txn_lock(work->txn, &range, TH_LOCK_SHARED, TH_LOCK_WAIT);

	if (!err)
		work_scan(work, from, to);
	return err;
}

/* Writes other records between the keys, so that nodes are split, pushed down and loaded. */
static void put_ballast(struct th_random *random, struct th_txn *txn, unsigned count)
{
	char key[24], value[BALLAST_BYTES];

	while (count--) {
		snprintf(key, sizeof(key), "%02u-%05u", th_random_below(random, KEYS),
			 th_random_below(random, BALLAST));
		th_random_fill(random, value, sizeof(value));
		th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, sizeof(value) }));
	}
}

static int work_steps(struct work *work)
{
	struct th_random *random = &work->member->random;
	unsigned steps = th_random_between(random, 1, 7);
	int err = 0;

	while (steps-- && !err) {
		unsigned what = th_random_below(random, 10), key = th_random_below(random, KEYS);

		if (what < 4)
			err = step_read(work, key);
		else if (what < 9)
			err = step_update(work, key);
		else
			err = step_scan(work, key);
	}
	return err;
}

/* Runs one transaction, and commits it or rolls it back at random. */
static void transact(struct member *member)
{
	bool drop = th_random_percent(&member->random, 10);
	struct work work;

	for (;;) {
		int err;

		work_begin(&work, member);
		err = work_steps(&work);
		if (!err && !drop)
			break;
		th_txn_rollback(work.txn);
		if (!err)
			return;
		th_true(err == -EDEADLK || err == -EBUSY);
		member->deadlocks += err == -EDEADLK;
	}
	put_ballast(&member->random, work.txn, 8);
	work_commit(&work);
}

static void sync_all(struct crew *crew)
{
	uint64_t before = th_history_tick(), known = crew->synced;

	th_ok(th_store_sync(crew->fixture.store));
	while (known < before &&
	       !__atomic_compare_exchange_n(&crew->synced, &known, before, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

static void *writer_main(void *arg)
{
	struct member *member = arg;

	for (unsigned turn = 0; turn < 150 * th_test_rounds(1); turn++) {
		transact(member);
		if (th_random_percent(&member->random, 3))
			sync_all(member->crew);
	}
	member->crew->writers--;
	return NULL;
}

/* --- readers --- */

/* Returns all keys of a held view as a transaction that reads them at a moment between begin and end. */
static struct th_history_txn picture(struct th_view *view, uint64_t begin, uint64_t end)
{
	struct th_history_txn record = th_history_begin();
	struct th_value value;
	char space[16];

	for (unsigned key = 0; key < KEYS; key++)
		record.read[key] = version_of(th_get(view, serial_key(key, space), &value), &value);
	record.begin = begin;
	record.end = end;
	return record;
}

/* Verifies that the diff has exactly the keys whose versions differ. */
static void verify_diff(struct th_view *from, const struct th_history_txn *a, struct th_view *to,
			const struct th_history_txn *b)
{
	struct th_change change;
	struct th_diff *diff;
	bool changed[KEYS] = { false };
	char space[16];

	th_ok(th_diff_open(from, to, NULL, &diff));
	while (th_diff_next(diff, &change) == 0)
		for (unsigned key = 0; key < KEYS && change.key.size == 2; key++)
			if (th_model_same(change.key, serial_key(key, space)))
				changed[key] = true;
	th_diff_close(diff);
	for (unsigned key = 0; key < KEYS; key++)
		th_true(changed[key] == (a->read[key] != b->read[key]));
}

/* A held view, and its content when it was opened. */
struct held {
	struct th_view *view;
	struct th_history_txn record;
};

static void held_close(struct held *held)
{
	struct th_history_txn again;

	if (!held->view)
		return;
	again = picture(held->view, 0, 0);
	th_true(memcmp(again.read, held->record.read, sizeof(again.read)) == 0);
	th_view_close(held->view);
}

/* Replaces an older held view, after verifying the diff between the two. */
static void held_next(struct member *member, struct held *held, struct held *next)
{
	th_history_add(&member->history, &next->record);
	if (held->view) {
		verify_diff(held->view, &held->record, next->view, &next->record);
		verify_diff(next->view, &next->record, held->view, &held->record);
	}
	held_close(held);
	*held = *next;
}

static void *freezer_main(void *arg)
{
	struct member *member = arg;
	struct held held = { NULL }, next;

	while (member->crew->writers) {
		uint64_t begin = th_history_tick();

		th_ok(th_view_freeze(member->crew->fixture.store, &next.view));
		next.record = picture(next.view, begin, th_history_tick());
		held_next(member, &held, &next);
	}
	held_close(&held);
	return NULL;
}

static void *snapshot_main(void *arg)
{
	struct member *member = arg;
	struct th_store *store = member->crew->fixture.store;
	struct held held = { NULL }, next;

	for (unsigned turn = 0; member->crew->writers; turn++) {
		struct th_snapshot snapshot;
		uint64_t begin = th_history_tick(), end;
		char name[24];

		snprintf(name, sizeof(name), "turn %u", turn);
		th_ok(th_snapshot_create(store, name, &snapshot));
		end = th_history_tick();
		th_ok(th_view_snapshot(store, snapshot.id, &next.view));
		next.record = picture(next.view, begin, end);
		held_next(member, &held, &next);
		if (th_random_percent(&member->random, 50))
			th_ok(th_snapshot_delete(store, name)); /* although its view is open */
	}
	held_close(&held);
	return NULL;
}

/* Reads single keys of the live view. */
static void *glancer_main(void *arg)
{
	struct member *member = arg;
	struct th_view *live = th_view_live(member->crew->fixture.store);

	while (member->crew->writers && member->history.nglances < 20000) {
		struct th_history_glance glance = { .key = th_random_below(&member->random, KEYS) };
		struct th_value value;
		char space[16];

		glance.begin = th_history_tick();
		glance.version = version_of(th_get(live, serial_key(glance.key, space), &value), &value);
		glance.end = th_history_tick();
		th_history_add_glance(&member->history, &glance);
	}
	return NULL;
}

/* --- the run --- */

enum { WRITERS = 4, MEMBERS = WRITERS + 4 };

/* Adds the last state, after closing and opening the store, and the state after a crash, which has at least all synced
 * transactions. */
static void add_ends(struct crew *crew, struct th_history *history)
{
	struct th_history_txn record;
	struct th_fixture crashed;
	struct th_disk *image;

	th_ok(th_disk_fault_crash_image(crew->fixture.disk, th_disk_fault_events(crew->fixture.disk), crew->seed,
					&image));
	th_fixture_adopt(&crashed, image, NULL);
	th_fixture_open(&crashed);
	record = picture(th_view_live(crashed.store), crew->synced, UINT64_MAX);
	th_history_add(history, &record);
	th_fixture_release(&crashed);
	th_fixture_reopen(&crew->fixture);
	record = picture(th_view_live(crew->fixture.store), th_history_tick(), UINT64_MAX);
	th_history_add(history, &record);
}

static void fill(struct crew *crew)
{
	struct th_random random = { .state = crew->seed };
	struct th_txn *txn;

	th_ok(th_txn_begin(crew->fixture.store, &txn));
	put_ballast(&random, txn, KEYS * BALLAST);
	th_ok(th_txn_commit(txn));
	th_ok(th_store_checkpoint(crew->fixture.store));
}

static void run_crew(struct crew *crew, struct member *members)
{
	static void *(*const bodies[])(void *) = { writer_main,  writer_main,  writer_main,  writer_main,
						   freezer_main, glancer_main, glancer_main, snapshot_main };

	crew->writers = WRITERS;
	for (unsigned i = 0; i < MEMBERS; i++) {
		members[i] = (struct member){ .crew = crew, .number = i, .random.state = crew->seed * 1000 + i };
		ck_assert_int_eq(pthread_create(&members[i].thread, NULL, bodies[i], &members[i]), 0);
	}
	for (unsigned i = 0; i < MEMBERS; i++)
		pthread_join(members[i].thread, NULL);
}

START_TEST(transactions_with_locks_are_serializable)
{
	struct th_store_options options = { .cache_bytes = 256 << 10, .checkpoint_interval_ms = 5 };
	struct crew *crew = calloc(1, sizeof(*crew));
	struct member members[MEMBERS];
	struct th_history history = { 0 };
	unsigned deadlocks = 0;
	const char *why;

	ck_assert_ptr_nonnull(crew);
	serial_init(crew, &options);
	fill(crew);
	run_crew(crew, members);
	for (unsigned i = 0; i < MEMBERS; i++) {
		th_history_join(&history, &members[i].history);
		deadlocks += members[i].deadlocks;
	}
	add_ends(crew, &history);
	printf("transactions_with_locks_are_serializable: %zu transactions and pictures, %zu glances, %u deadlocks\n",
	       history.count, history.nglances, deadlocks);
	why = th_history_check(&history);
	ck_assert_msg(!why, "%s", why);
	th_history_release(&history);
	th_verify_check(crew->fixture.store, NULL);
	th_fixture_release(&crew->fixture);
	free(crew);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { judge_finds_each_anomaly, judge_finds_reads_that_go_back,
				       transactions_without_locks_are_not_serializable,
				       transactions_with_locks_are_serializable };

	return th_tests_run("serial", tests, sizeof(tests) / sizeof(tests[0]));
}
