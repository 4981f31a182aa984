/* SPDX-License-Identifier: Apache-2.0 */
/* Holds: tags that keep a snapshot from being deleted, by itself or with its branch. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/catalogue/meta.h"
#include "tree/catalogue/meta_format.h"
#include "tree/checkpoint/checkpoint.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };

static void snapshot(struct th_fixture *fixture, const char *name)
{
	th_ok(th_snapshot_create(fixture->store, name, NULL));
}

/* Verifies the tags of a snapshot, in the order in which they were put; NULL ends them. */
static void expect_tags(struct th_store *store, const char *name, const char *const *tags)
{
	struct th_snapshot info;
	struct th_hold *list;
	size_t count, at = 0;
	uint64_t last = 0;

	th_ok(th_snapshot_find(store, name, &info));
	th_ok(th_snapshot_holds(store, name, &list, &count));
	ck_assert_uint_eq(info.holds, count);
	for (; tags[at]; at++) {
		ck_assert_uint_lt(at, count);
		ck_assert_str_eq(list[at].tag, tags[at]);
		ck_assert_uint_eq(list[at].snapshot, info.id);
		ck_assert_uint_gt(list[at].id, last);
		ck_assert_uint_ge(list[at].created_ns, info.created_ns);
		last = list[at].id;
	}
	ck_assert_uint_eq(at, count);
	free(list);
}

#define tags(...) ((const char *const[]){ __VA_ARGS__, NULL })
static const char *const no_tags[] = { NULL };

START_TEST(holds_keep_a_snapshot)
{
	struct th_fixture fixture;
	struct th_store *store;

	th_fixture_init(&fixture, 16, &options);
	store = fixture.store;
	snapshot(&fixture, "s");
	snapshot(&fixture, "other");
	expect_tags(store, "s", no_tags);
	th_ok(th_snapshot_hold(store, "s", "backup"));
	th_ok(th_snapshot_hold(store, "s", "a/b \n \xff"));
	th_ok(th_snapshot_hold(store, "other", "backup"));
	expect_tags(store, "s", tags("backup", "a/b \n \xff"));
	th_expect(th_snapshot_delete(store, "s"), -EBUSY);
	th_ok(th_snapshot_release(store, "s", "backup"));
	th_expect(th_snapshot_delete(store, "s"), -EBUSY);
	th_ok(th_snapshot_hold(store, "s", "backup")); /* again, and it is the younger one now */
	expect_tags(store, "s", tags("a/b \n \xff", "backup"));
	th_ok(th_snapshot_release(store, "s", "a/b \n \xff"));
	th_expect(th_snapshot_delete(store, "s"), -EBUSY);
	th_ok(th_snapshot_release(store, "s", "backup"));
	expect_tags(store, "s", no_tags);
	th_ok(th_snapshot_delete(store, "s"));
	th_expect(th_snapshot_hold(store, "s", "late"), -ENOENT);
	snapshot(&fixture, "s"); /* another one */
	expect_tags(store, "s", no_tags);
	expect_tags(store, "other", tags("backup"));
	th_verify_check(store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(refused_requests_write_nothing)
{
	char longest[TH_HOLD_TAG_MAX + 2], name[300];
	struct th_fixture fixture;
	struct th_store *store;
	struct th_hold *list;
	uint64_t commits;
	size_t count;

	th_fixture_init(&fixture, 16, &options);
	store = fixture.store;
	snapshot(&fixture, "s");
	memset(longest, 't', sizeof(longest) - 1);
	longest[TH_HOLD_TAG_MAX + 1] = 0;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	commits = store->checkpoints;
	th_expect(th_snapshot_hold(store, "s", ""), -EINVAL);
	th_expect(th_snapshot_hold(store, "s", longest), -ENAMETOOLONG);
	th_expect(th_snapshot_hold(store, "none", "t"), -ENOENT);
	th_expect(th_snapshot_hold(store, name, "t"), -ENOENT);
	th_expect(th_snapshot_release(store, "s", ""), -EINVAL);
	th_expect(th_snapshot_release(store, "s", longest), -ENAMETOOLONG);
	th_expect(th_snapshot_release(store, "s", "t"), -ENOENT);
	th_expect(th_snapshot_release(store, "none", "t"), -ENOENT);
	th_expect(th_snapshot_holds(store, "none", &list, &count), -ENOENT);
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_eq(store->checkpoints, commits); /* no checkpoint was written */
	longest[TH_HOLD_TAG_MAX] = 0;
	th_ok(th_snapshot_hold(store, "s", longest));
	th_expect(th_snapshot_hold(store, "s", longest), -EEXIST);
	th_fixture_reopen(&fixture);
	expect_tags(fixture.store, "s", tags(longest));
	th_verify_check(fixture.store, NULL);
	fixture.options.read_only = true;
	th_fixture_reopen(&fixture);
	expect_tags(fixture.store, "s", tags(longest));
	th_expect(th_snapshot_hold(fixture.store, "s", "t"), -EROFS);
	th_expect(th_snapshot_release(fixture.store, "s", longest), -EROFS);
	expect_tags(fixture.store, "s", tags(longest));
	th_fixture_release(&fixture);
}
END_TEST

/* They are on the snapshot, whatever its name. */
START_TEST(holds_are_durable_at_once)
{
	struct th_fixture fixture, crashed;

	th_fixture_init(&fixture, 16, &options);
	snapshot(&fixture, "s");
	th_ok(th_snapshot_hold(fixture.store, "s", "one"));
	th_fixture_crash(&fixture, &crashed);
	expect_tags(crashed.store, "s", tags("one"));
	th_expect(th_snapshot_delete(crashed.store, "s"), -EBUSY);
	th_fixture_release(&crashed);
	th_ok(th_snapshot_hold(fixture.store, "s", "two"));
	th_ok(th_snapshot_rename(fixture.store, "s", "t"));
	th_expect(th_snapshot_release(fixture.store, "s", "one"), -ENOENT);
	th_fixture_reopen(&fixture);
	expect_tags(fixture.store, "t", tags("one", "two"));
	th_ok(th_snapshot_release(fixture.store, "t", "one"));
	th_fixture_crash(&fixture, &crashed);
	expect_tags(crashed.store, "t", tags("two"));
	th_verify_check(crashed.store, NULL);
	th_fixture_release(&crashed);
	th_ok(th_snapshot_release(fixture.store, "t", "two"));
	th_ok(th_snapshot_delete(fixture.store, "t"));
	th_ok(th_store_sync(fixture.store));
	th_fixture_reopen(&fixture);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

/* A crash undoes a deletion that no checkpoint has, but no refused hold was lost by it; and a deletion that a release
 * made possible is never durable without the release. */
START_TEST(a_crash_leaves_a_hold_or_a_deletion)
{
	struct th_fixture fixture, crashed;
	struct th_snapshot found;

	th_fixture_init(&fixture, 16, &options);
	snapshot(&fixture, "s");
	th_ok(th_snapshot_hold(fixture.store, "s", "one"));
	th_ok(th_snapshot_release(fixture.store, "s", "one"));
	th_ok(th_snapshot_delete(fixture.store, "s"));
	th_expect(th_snapshot_hold(fixture.store, "s", "two"), -ENOENT);
	th_fixture_crash(&fixture, &crashed);
	expect_tags(crashed.store, "s", no_tags);
	th_verify_check(crashed.store, NULL);
	th_fixture_release(&crashed);
	th_ok(th_store_sync(fixture.store));
	th_fixture_crash(&fixture, &crashed);
	th_expect(th_snapshot_find(crashed.store, "s", &found), -ENOENT);
	th_verify_check(crashed.store, NULL);
	th_fixture_release(&crashed);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(holds_beyond_the_superblock_go_to_the_meta_tree)
{
	struct th_fixture fixture;
	struct th_hold *list;
	char name[16], tag[TH_HOLD_TAG_MAX + 1];
	size_t count;

	th_fixture_init(&fixture, 16, &options);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "s%u", i % 7);
		snprintf(tag, sizeof(tag), "%0*u", (int)(i % 2 ? sizeof(tag) - 1 : 5), i);
		if (i < 7)
			snapshot(&fixture, name);
		th_ok(th_snapshot_hold(fixture.store, name, tag));
		if (i % 3 == 2)
			th_ok(th_snapshot_release(fixture.store, name, tag));
		if (i % 50 == 0)
			th_fixture_reopen(&fixture);
	}
	th_verify_check(fixture.store, NULL);
	th_fixture_reopen(&fixture);
	th_ok(th_snapshot_holds(fixture.store, NULL, &list, &count));
	ck_assert_uint_eq(count, 200);
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(atoi(list[i].tag), (int)(i / 2 * 3 + i % 2));
	free(list);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(holds_keep_a_branch)
{
	struct th_fixture fixture;
	struct th_branch branch;

	th_fixture_init(&fixture, 16, &options);
	snapshot(&fixture, "s");
	th_ok(th_branch_create(fixture.store, "work", "s", NULL));
	th_fixture_switch(&fixture, "work");
	snapshot(&fixture, "one");
	th_fixture_put(&fixture, "k", "v");
	snapshot(&fixture, "two");
	snapshot(&fixture, "three");
	th_ok(th_snapshot_hold(fixture.store, "two", "tag"));
	th_fixture_switch(&fixture, "main");
	th_expect(th_branch_delete(fixture.store, "work", false), -ENOTEMPTY);
	th_expect(th_branch_delete(fixture.store, "work", true), -EBUSY);
	th_ok(th_branch_find(fixture.store, "work", &branch));
	ck_assert_uint_eq(branch.snapshots, 3);
	th_ok(th_snapshot_release(fixture.store, "two", "tag"));
	th_ok(th_branch_delete(fixture.store, "work", true));
	th_ok(th_store_checkpoint(fixture.store));
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(rollback_keeps_holds)
{
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "k", "1");
	snapshot(&fixture, "one");
	th_fixture_put(&fixture, "k", "2");
	snapshot(&fixture, "two");
	th_ok(th_snapshot_hold(fixture.store, "one", "a"));
	th_ok(th_snapshot_hold(fixture.store, "two", "b"));
	th_ok(th_store_rollback(fixture.store, "one"));
	expect_tags(fixture.store, "one", tags("a"));
	expect_tags(fixture.store, "two", tags("b"));
	th_expect(th_snapshot_delete(fixture.store, "two"), -EBUSY);
	th_fixture_reopen(&fixture);
	th_ok(th_snapshot_release(fixture.store, "two", "b"));
	th_ok(th_snapshot_delete(fixture.store, "two"));
	th_expect(th_snapshot_delete(fixture.store, "one"), -EBUSY);
	th_ok(th_snapshot_release(fixture.store, "one", "a"));
	th_ok(th_store_checkpoint(fixture.store));
	th_ok(th_snapshot_delete(fixture.store, "one"));
	th_ok(th_store_checkpoint(fixture.store));
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

/* --- at the same time --- */

#define RACE_ROUNDS 60

struct race {
	struct th_fixture fixture;
	pthread_barrier_t barrier;
	int held; /* the result of th_snapshot_hold() */
};

static void *hold_thread(void *arg)
{
	struct race *race = arg;

	for (unsigned i = 0; i < RACE_ROUNDS; i++) {
		pthread_barrier_wait(&race->barrier);
		race->held = th_snapshot_hold(race->fixture.store, "s", "tag");
		pthread_barrier_wait(&race->barrier);
	}
	return NULL;
}

/* No checkpoint has both. */
START_TEST(hold_and_deletion_exclude_each_other)
{
	struct race race;
	struct th_fixture crashed;
	pthread_t thread;

	th_fixture_init(&race.fixture, 16, &options);
	pthread_barrier_init(&race.barrier, NULL, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, hold_thread, &race), 0);
	for (unsigned i = 0; i < RACE_ROUNDS; i++) {
		int deleted;

		snapshot(&race.fixture, "s");
		pthread_barrier_wait(&race.barrier);
		deleted = th_snapshot_delete(race.fixture.store, "s");
		pthread_barrier_wait(&race.barrier);
		th_expect(race.held, deleted == 0 ? -ENOENT : 0);
		th_expect(deleted, race.held == 0 ? -EBUSY : 0);
		if (i % 10 == 0) {
			th_fixture_crash(&race.fixture, &crashed);
			th_verify_check(crashed.store, NULL);
			th_fixture_release(&crashed);
		}
		if (race.held == 0) {
			th_ok(th_snapshot_release(race.fixture.store, "s", "tag"));
			th_ok(th_snapshot_delete(race.fixture.store, "s"));
		}
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&race.barrier);
	th_fixture_release(&race.fixture);
}
END_TEST

/* --- broken entries --- */

struct broken {
	const char *expected; /* the report of the checker */
	bool opens; /* the store can be opened */
	uint64_t id, snapshot;
	size_t size; /* of the tag */
	const char *tag;
};

/* Snapshots 1 "s" and 2 "gone", which is being deleted but held by a view; hold 1 is "tag" on 1. */
static const struct broken brokens[] = {
	{ "hold 2: of the wrong size", false, 2, 1, 0, "" },
	{ "hold 2: of the wrong size", false, 2, 1, 256, NULL },
	{ "hold 2: its tag is malformed", false, 2, 1, 3, "a\0b" },
	{ "hold 0 'x': its id was never assigned", true, 0, 1, 1, "x" },
	{ "hold 9 'x': its id was never assigned", true, 9, 1, 1, "x" },
	{ "hold 2 'x': its snapshot 77 does not exist", true, 2, 77, 1, "x" },
	{ "hold 2 'x': its snapshot 0 does not exist", true, 2, 0, 1, "x" },
	{ "hold 2 'x': its snapshot 2 'gone' is being deleted", true, 2, 2, 1, "x" },
	{ "snapshot 1 is held by 'tag' twice", true, 2, 1, 3, "tag" },
};

static int break_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	const struct broken *broken = arg;
	struct th_meta_key key = th_meta_key(TH_META_HOLD, broken->id);
	struct th_hold_disk disk = { .snapshot = th_le64(broken->snapshot) };
	uint8_t value[sizeof(disk) + 256];

	(void)state;
	memset(value, 'x', sizeof(value));
	memcpy(value, &disk, sizeof(disk));
	if (broken->tag)
		memcpy(value + sizeof(disk), broken->tag, broken->size);
	store->super.counters[TH_SUPER_HOLD] = 2;
	return th_meta_put(store, (struct th_slice){ &key, sizeof(key) },
			   (struct th_slice){ value, sizeof(disk) + broken->size });
}

static void take_line(void *arg, const char *line)
{
	snprintf(arg, 600, "%s", line);
}

static void ignore_report(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static void verify_report(struct th_store *store, const char *expected)
{
	char line[600] = "nothing";
	struct th_check_options check = { .problem = take_line, .arg = line };
	struct th_check_result result;

	th_ok(th_store_check(store, &check, &result));
	ck_assert_uint_eq(result.problems, 1);
	ck_assert_msg(!strncmp(line, expected, strlen(expected)), "the checker reports '%s', expected '%s'", line,
		      expected);
	ck_assert_uint_eq(result.leaked_blocks, 0); /* no claims are unknown */
}

static void one_broken(const struct broken *broken)
{
	struct th_fixture fixture;
	struct th_store_info info;
	struct th_snapshot gone;
	struct th_store *store;
	struct th_view *view;
	struct th_disk *lent;

	th_fixture_init(&fixture, 16, &options);
	fixture.options.report = ignore_report;
	snapshot(&fixture, "s");
	th_ok(th_snapshot_create(fixture.store, "gone", &gone));
	th_ok(th_view_snapshot(fixture.store, gone.id, &view));
	th_ok(th_snapshot_hold(fixture.store, "s", "tag"));
	th_ok(th_snapshot_delete(fixture.store, "gone"));
	th_ok(th_checkpoint(fixture.store, break_step, (void *)broken, 0));
	verify_report(fixture.store, broken->expected);
	th_view_close(view);
	th_fixture_close(&fixture);
	lent = th_disk_lend(fixture.disk);
	if (!broken->opens)
		th_expect(th_store_open(lent, &fixture.options, &store), -EUCLEAN);
	fixture.options.read_only = true;
	th_ok(th_store_open(lent, &fixture.options, &store));
	th_store_info(store, &info);
	ck_assert_uint_eq(info.lost, broken->opens ? 0 : TH_LOST_CATALOGUE);
	th_expect(th_snapshot_delete(store, "s"), -EBUSY);
	verify_report(store,
		      broken->snapshot == gone.id ? "hold 2 'x': its snapshot 2 does not exist" : broken->expected);
	th_ok(th_store_close(store));
	th_fixture_release(&fixture);
}

START_TEST(broken_entries_are_reported)
{
	for (size_t i = 0; i < sizeof(brokens) / sizeof(brokens[0]); i++)
		one_broken(&brokens[i]);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		holds_keep_a_snapshot,
		refused_requests_write_nothing,
		holds_are_durable_at_once,
		a_crash_leaves_a_hold_or_a_deletion,
		holds_beyond_the_superblock_go_to_the_meta_tree,
		holds_keep_a_branch,
		rollback_keeps_holds,
		hold_and_deletion_exclude_each_other,
		broken_entries_are_reported,
	};

	return th_tests_run("hold", tests, sizeof(tests) / sizeof(tests[0]));
}
