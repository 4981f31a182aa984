/* SPDX-License-Identifier: Apache-2.0 */
/* Range locks: conflicts, waiting, deadlocks. */
#include "tests/tree/fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define RING 6
#define CREW 6
#define CREW_KEYS 40
#define CREW_ROUNDS 400
#define SHORT_MS 20

static struct th_locker *locker_new(struct th_fixture *fixture)
{
	struct th_locker *locker;

	th_ok(th_locker_new(fixture->store, &locker));
	return locker;
}

/* Returns a range. "b-d": keys from b to before d; "b-": no upper bound; "-": all keys. */
static struct th_range parse_range(const char *text)
{
	const char *dash = strchr(text, '-');
	struct th_range range = { .from = { text, (size_t)(dash - text) } };

	if (dash[1])
		range.to = th_slice_of(dash + 1);
	return range;
}

static int ask(struct th_locker *locker, const char *text, enum th_lock_mode mode, int timeout_ms)
{
	struct th_range range = parse_range(text);

	return th_locker_lock(locker, &range, mode, timeout_ms);
}

static const struct {
	const char *a, *b;
	bool overlap;
} pairs[] = {
	{ "b-d", "b-d", true },   { "b-d", "c-e", true },  { "b-d", "d-e", false }, { "b-d", "a-b", false },
	{ "b-d", "a-bb", true },  { "b-d", "cz-e", true }, { "b-", "z-", true },    { "b-", "a-b", false },
	{ "-", "x-y", true },     { "-", "-", true },      { "-b", "a-", true },    { "-b", "b-", false },
	{ "b-d", "bb-bc", true }, { "b-d", "c-c", false }, /* it is empty */
};

START_TEST(overlapping_locks_conflict_if_one_is_exclusive)
{
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, NULL);
	for (unsigned i = 0; i < 4 * sizeof(pairs) / sizeof(pairs[0]); i++) {
		enum th_lock_mode a_mode = i & 1 ? TH_LOCK_EXCLUSIVE : TH_LOCK_SHARED;
		enum th_lock_mode b_mode = i & 2 ? TH_LOCK_EXCLUSIVE : TH_LOCK_SHARED;
		struct th_locker *a = locker_new(&fixture), *b = locker_new(&fixture);
		int expected = pairs[i / 4].overlap && (i & 3) ? -EBUSY : 0;

		th_ok(ask(a, pairs[i / 4].a, a_mode, TH_LOCK_TRY));
		th_ok(ask(a, pairs[i / 4].a, TH_LOCK_EXCLUSIVE,
			  TH_LOCK_TRY)); /* a locker does not conflict with itself */
		th_locker_unlock(a);
		th_ok(ask(a, pairs[i / 4].a, a_mode, TH_LOCK_TRY));
		th_expect(ask(b, pairs[i / 4].b, b_mode, TH_LOCK_TRY), expected);
		th_locker_unlock(a);
		th_ok(ask(b, pairs[i / 4].b, b_mode, TH_LOCK_TRY));
		th_locker_free(a);
		th_locker_free(b);
	}
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(lock_without_range_covers_all_keys)
{
	struct th_fixture fixture;
	struct th_locker *a, *b;

	th_fixture_init(&fixture, 16, NULL);
	a = locker_new(&fixture);
	b = locker_new(&fixture);
	th_ok(th_locker_lock(a, NULL, TH_LOCK_EXCLUSIVE, TH_LOCK_WAIT));
	th_expect(ask(b, "x-y", TH_LOCK_SHARED, TH_LOCK_TRY), -EBUSY);
	th_locker_free(a);
	th_ok(ask(b, "x-y", TH_LOCK_SHARED, TH_LOCK_TRY));
	th_locker_free(b);
	th_locker_free(NULL);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(wait_ends_with_etimedout)
{
	struct th_fixture fixture;
	struct th_locker *a, *b, *c;

	th_fixture_init(&fixture, 16, NULL);
	a = locker_new(&fixture);
	b = locker_new(&fixture);
	c = locker_new(&fixture);
	th_ok(ask(a, "b-d", TH_LOCK_SHARED, TH_LOCK_WAIT));
	th_expect(ask(b, "c-e", TH_LOCK_EXCLUSIVE, SHORT_MS), -ETIMEDOUT);
	th_ok(ask(c, "c-e", TH_LOCK_SHARED, TH_LOCK_TRY)); /* the request has ended */
	th_locker_unlock(a);
	th_locker_unlock(c);
	th_ok(ask(b, "c-e", TH_LOCK_EXCLUSIVE, SHORT_MS));
	th_locker_free(a);
	th_locker_free(b);
	th_locker_free(c);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(locks_of_a_transaction_end_with_it)
{
	struct th_range range = parse_range("b-d");
	struct th_fixture fixture;
	struct th_locker *other;
	struct th_txn *txn;

	th_fixture_init(&fixture, 16, NULL);
	other = locker_new(&fixture);
	for (int commits = 0; commits < 2; commits++) {
		th_ok(th_txn_begin(fixture.store, &txn));
		th_ok(th_txn_lock(txn, &range, TH_LOCK_EXCLUSIVE, TH_LOCK_WAIT));
		th_ok(th_txn_put(txn, th_slice_of("c"), th_slice_of("1")));
		th_expect(ask(other, "c-e", TH_LOCK_SHARED, TH_LOCK_TRY), -EBUSY);
		if (commits)
			th_ok(th_txn_commit(txn));
		else
			th_txn_rollback(txn);
		th_ok(ask(other, "c-e", TH_LOCK_SHARED, TH_LOCK_TRY));
		th_locker_unlock(other);
	}
	th_locker_free(other);
	th_fixture_release(&fixture);
}
END_TEST

/* A thread that locks one range with waiting, then drops all its locks, and ends. */
struct asker {
	pthread_t thread;
	struct th_locker *locker;
	const char *range;
	enum th_lock_mode mode;
	int result;
};

static void *ask_once(void *arg)
{
	struct asker *asker = arg;

	asker->result = ask(asker->locker, asker->range, asker->mode, TH_LOCK_WAIT);
	th_locker_unlock(asker->locker);
	return NULL;
}

static void start(struct asker *asker)
{
	ck_assert_int_eq(pthread_create(&asker->thread, NULL, ask_once, asker), 0);
}

/* Each holds a range and requests the next one's: exactly one fails with -EDEADLK, and all others get theirs. */
START_TEST(cycle_of_waiters_fails_one_of_them)
{
	static const char *const ranges[RING] = { "a-b", "b-c", "c-d", "d-e", "e-f", "f-g" };
	struct asker askers[RING];
	struct th_fixture fixture;
	int count[2] = { 0 };

	th_fixture_init(&fixture, 16, NULL);
	for (int members = 2; members <= RING; members++) {
		for (int i = 0; i < members; i++) {
			askers[i] = (struct asker){ .locker = locker_new(&fixture),
						    .range = ranges[(i + 1) % members],
						    .mode = i % 2 ? TH_LOCK_SHARED : TH_LOCK_EXCLUSIVE };
			th_ok(ask(askers[i].locker, ranges[i], TH_LOCK_EXCLUSIVE, TH_LOCK_TRY));
		}
		for (int i = 0; i < members; i++)
			start(&askers[i]);
		for (int i = 0; i < members; i++) {
			pthread_join(askers[i].thread, NULL);
			th_true(askers[i].result == 0 || askers[i].result == -EDEADLK);
			count[askers[i].result != 0]++;
			th_locker_free(askers[i].locker);
		}
	}
	ck_assert_int_eq(count[1], RING - 1);
	ck_assert_int_eq(count[0], RING * (RING + 1) / 2 - 1 - (RING - 1));
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(two_upgrades_of_a_shared_lock_fail_one)
{
	struct asker askers[2];
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, NULL);
	for (int i = 0; i < 2; i++) {
		askers[i] = (struct asker){ .locker = locker_new(&fixture), .range = "b-d", .mode = TH_LOCK_EXCLUSIVE };
		th_ok(ask(askers[i].locker, "b-d", TH_LOCK_SHARED, TH_LOCK_TRY));
	}
	start(&askers[0]);
	start(&askers[1]);
	for (int i = 0; i < 2; i++) {
		pthread_join(askers[i].thread, NULL);
		th_locker_free(askers[i].locker);
	}
	ck_assert_int_eq(askers[0].result + askers[1].result, -EDEADLK);
	th_fixture_release(&fixture);
}
END_TEST

/* Except the reader that the writer waits for. */
START_TEST(later_reader_does_not_pass_a_waiting_writer)
{
	struct th_fixture fixture;
	struct th_locker *reader, *later;
	struct asker writer;
	int err;

	th_fixture_init(&fixture, 16, NULL);
	reader = locker_new(&fixture);
	later = locker_new(&fixture);
	writer = (struct asker){ .locker = locker_new(&fixture), .range = "b-d", .mode = TH_LOCK_EXCLUSIVE };
	th_ok(ask(reader, "b-d", TH_LOCK_SHARED, TH_LOCK_TRY));
	start(&writer);
	while ((err = ask(later, "c-e", TH_LOCK_SHARED, TH_LOCK_TRY)) == 0) {
		th_locker_unlock(later); /* the writer has not requested its lock yet */
		sched_yield();
	}
	ck_assert_int_eq(err, -EBUSY);
	th_ok(ask(later, "d-e", TH_LOCK_SHARED, TH_LOCK_TRY));
	th_ok(ask(reader, "b-c", TH_LOCK_SHARED, TH_LOCK_WAIT));
	th_locker_unlock(reader);
	pthread_join(writer.thread, NULL);
	ck_assert_int_eq(writer.result, 0);
	th_locker_free(reader);
	th_locker_free(later);
	th_locker_free(writer.locker);
	th_fixture_release(&fixture);
}
END_TEST

/* --- many threads --- */

/* The locks guard plain memory, so that the thread sanitizer finds a lock that was wrongly granted. */

struct crew {
	struct th_fixture fixture;
	uint64_t cell[CREW_KEYS];
};

struct member {
	pthread_t thread;
	struct crew *crew;
	struct th_random random;
	uint64_t written, refused;
};

/* Locks some cells and works on them.  Returns 0 or the error of locking. */
static int work(struct member *member, struct th_locker *locker)
{
	unsigned first = th_random_below(&member->random, CREW_KEYS);
	unsigned end = th_random_between(&member->random, first + 1, CREW_KEYS);
	bool writes = th_random_percent(&member->random, 40);
	uint8_t from = (uint8_t)first, to = (uint8_t)end;
	struct th_range range = { { &from, 1 }, { &to, 1 } };
	int timeout_ms =
		th_random_percent(&member->random, 20) ? (int)th_random_below(&member->random, 3) : TH_LOCK_WAIT;
	int err = th_locker_lock(locker, &range, writes ? TH_LOCK_EXCLUSIVE : TH_LOCK_SHARED, timeout_ms);

	if (err)
		return err;
	for (unsigned i = first; i < end; i++) {
		uint64_t before = member->crew->cell[i];

		if (writes)
			member->crew->cell[i] = before + 1;
		else
			sched_yield();
		th_true(member->crew->cell[i] == before + writes);
		member->written += writes;
	}
	return 0;
}

static void *run_member(void *arg)
{
	struct member *member = arg;
	struct th_locker *locker = locker_new(&member->crew->fixture);

	for (int i = 0; i < CREW_ROUNDS; i++) {
		unsigned steps = th_random_between(&member->random, 1, 3);
		int err = 0;

		while (steps-- > 0 && !err)
			err = work(member, locker);
		th_true(!err || err == -EDEADLK || err == -EBUSY || err == -ETIMEDOUT);
		member->refused += err != 0;
		th_locker_unlock(locker);
	}
	th_locker_free(locker);
	return NULL;
}

START_TEST(exclusive_locks_exclude_in_many_threads)
{
	uint64_t seed = th_test_seed("exclusive_locks_exclude_in_many_threads"), written = 0, sum = 0, refused = 0;
	struct crew *crew = calloc(1, sizeof(*crew));
	struct member members[CREW] = { 0 };

	ck_assert_ptr_nonnull(crew);
	th_fixture_init(&crew->fixture, 16, NULL);
	for (unsigned i = 0; i < CREW; i++) {
		members[i].crew = crew;
		members[i].random.state = seed * 1000 + i;
		ck_assert_int_eq(pthread_create(&members[i].thread, NULL, run_member, &members[i]), 0);
	}
	for (unsigned i = 0; i < CREW; i++) {
		pthread_join(members[i].thread, NULL);
		written += members[i].written;
		refused += members[i].refused;
	}
	for (unsigned i = 0; i < CREW_KEYS; i++)
		sum += crew->cell[i];
	ck_assert_uint_eq(sum, written);
	th_true(refused < (uint64_t)CREW * CREW_ROUNDS);
	th_fixture_release(&crew->fixture);
	free(crew);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { overlapping_locks_conflict_if_one_is_exclusive,
				       lock_without_range_covers_all_keys,
				       wait_ends_with_etimedout,
				       locks_of_a_transaction_end_with_it,
				       cycle_of_waiters_fails_one_of_them,
				       two_upgrades_of_a_shared_lock_fail_one,
				       later_reader_does_not_pass_a_waiting_writer,
				       exclusive_locks_exclude_in_many_threads };

	return th_tests_run("range_lock", tests, sizeof(tests) / sizeof(tests[0]));
}
