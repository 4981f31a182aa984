/* SPDX-License-Identifier: Apache-2.0 */
/* Checking the meta tree: each malformed entry, and each contradiction between entries, is reported as one problem. */
#include <stdlib.h>

#include "tests/tree/check/check_lines.h"
#include "tests/tree/fixture.h"
#include "tree/catalogue/meta_format.h"
#include "tree/check/check.h"

static struct th_check_lines lines;
static struct th_check check;

/* A store of generation 100 on branch 1, whose next ids are 10. */
static void begin(void)
{
	lines.count = 0;
	check = (struct th_check){
		.options = { .problem = th_check_lines_take, .arg = &lines },
		.super = { .blocks = 1000, .generation = 100, .sequence = 1000, .next_snapshot_id = 10 },
	};
	check.super.counters[TH_SUPER_BRANCH] = 1;
	check.super.counters[TH_SUPER_NEXT_BRANCH] = 10;
	check.super.counters[TH_SUPER_HOLD] = 9;
	check.super.counters[TH_SUPER_ABANDONED] = 9;
}

static void end(void)
{
	free(check.snapshots);
	free(check.branches);
	free(check.holds);
	free(check.abandoned);
	free(check.claims.event);
}

/* Expects exactly one new problem, with this text. */
static void expect(const char *text)
{
	ck_assert_msg(lines.count == 1, "%u problems, expected one: %s", lines.count, text);
	th_check_lines_expect(&lines, text);
	lines.count = 0;
}

static void take(enum th_meta_kind kind, uint64_t number, const void *value, size_t size)
{
	struct th_meta_key key = th_meta_key(kind, number);

	th_ok(th_check_meta_entry(&check, (struct th_slice){ &key, sizeof(key) }, (struct th_slice){ value, size }));
}

static const struct th_ptr a_root = { .addr = 500, .birth = 3, .blocks = 1 };

struct snapshot {
	struct th_snapshot_disk disk;
	char name[TH_SNAPSHOT_NAME_MAX + 2];
};

/* A valid snapshot of branch 1, of generation and message 10 x its id. */
static struct snapshot snapshot(uint64_t id, const char *name)
{
	struct snapshot s = {
		.disk = { .generation = th_le64(10 * id), .sequence = th_le64(10 * id), .branch = th_le64(1) }
	};

	th_ptr_pack(&a_root, &s.disk.root);
	snprintf(s.name, sizeof(s.name), "%s", name);
	return s;
}

static void take_snapshot(uint64_t id, const struct snapshot *s)
{
	take(TH_META_SNAPSHOT, id, s, sizeof(s->disk) + strlen(s->name));
}

struct branch {
	struct th_branch_disk disk;
	char name[TH_BRANCH_NAME_MAX + 2];
};

/* A valid branch; branch 1 is the current one, whose head is in the superblock. */
static struct branch branch(uint64_t id, const char *name)
{
	struct branch b = { 0 };

	if (id != 1)
		th_ptr_pack(&a_root, &b.disk.root);
	snprintf(b.name, sizeof(b.name), "%s", name);
	return b;
}

static void take_branch(uint64_t id, const struct branch *b)
{
	take(TH_META_BRANCH, id, b, sizeof(b->disk) + strlen(b->name));
}

static void take_hold(uint64_t id, uint64_t of, const char *tag)
{
	struct {
		struct th_hold_disk disk;
		char tag[TH_HOLD_TAG_MAX + 1];
	} hold = { .disk = { .snapshot = th_le64(of) } };

	snprintf(hold.tag, sizeof(hold.tag), "%s", tag);
	take(TH_META_HOLD, id, &hold, sizeof(hold.disk) + strlen(tag));
}

static void take_main(void)
{
	struct branch b = branch(1, "main");

	take_branch(1, &b);
}

START_TEST(valid_entries_are_kept)
{
	struct snapshot two = snapshot(2, "two"), one = snapshot(1, "one");
	struct branch work = branch(2, "work");
	const struct th_block_refs_disk share = { th_le32(4), th_le32(2) };
	const struct th_check_branch *found;

	begin();
	take_snapshot(2, &two);
	take_snapshot(1, &one);
	work.disk.origin = th_le64(2);
	take_branch(2, &work);
	take_main();
	take_hold(1, 1, "backup");
	take_hold(2, 2, "backup");
	take(TH_META_SHARE, 600, &share, sizeof(share));
	th_ok(th_check_catalogue(&check));
	ck_assert_uint_eq(lines.count, 0);
	ck_assert(!check.incomplete);
	ck_assert_uint_eq(check.snapshots_count, 2);
	ck_assert_str_eq(check.snapshots[0].name, "one"); /* sorted */
	ck_assert_uint_eq(check.claims.count, 4); /* of the share and of its count */
	found = th_check_branch(&check, 2);
	ck_assert_str_eq(found->name, "work");
	ck_assert_uint_eq(found->origin_generation, 20);
	ck_assert_ptr_null(th_check_branch(&check, 3));
	ck_assert_uint_eq(th_check_newest(&check, 1, 2)->id, 2);
	ck_assert_uint_eq(th_check_newest(&check, 1, 1)->id, 1);
	ck_assert_ptr_null(th_check_newest(&check, 2, 2));
	end();
}
END_TEST

START_TEST(malformed_snapshots_are_reported)
{
	struct snapshot good = snapshot(1, "one"), bad;

	begin();
	take(TH_META_SNAPSHOT, 1, &good, sizeof(good.disk) - 1);
	expect("a snapshot of the wrong size");
	take(TH_META_SNAPSHOT, 1, &good, sizeof(good.disk) + TH_SNAPSHOT_NAME_MAX + 1);
	expect("a snapshot of the wrong size");
	take(TH_META_SNAPSHOT, 1, &good, sizeof(good.disk)); /* no name */
	expect("a snapshot's name is malformed");
	take(TH_META_SNAPSHOT, 1, &good, sizeof(good.disk) + 4); /* with its zero byte */
	expect("a snapshot's name is malformed");
	for (const char *const *name = (const char *const[]){ "a/b", ".", "..", NULL }; *name; name++) {
		bad = snapshot(1, *name);
		take_snapshot(1, &bad);
		expect("a snapshot's name is malformed");
	}
	bad = good;
	bad.disk.deleting = 2;
	take_snapshot(1, &bad);
	expect("unknown flags of a snapshot");
	bad = good;
	bad.disk.reserved[6] = 1;
	take_snapshot(1, &bad);
	expect("unknown flags of a snapshot");
	bad = good;
	memset(&bad.disk.root, 0, sizeof(bad.disk.root));
	take_snapshot(1, &bad);
	expect("a snapshot's root pointer is broken");
	bad = good;
	bad.disk.dead.entries = th_le64(1); /* without a page */
	take_snapshot(1, &bad);
	expect("a snapshot's dead list is broken");
	bad = good;
	bad.disk.strays.entries = th_le64(1);
	take_snapshot(1, &bad);
	expect("a snapshot's list of strays is broken");
	ck_assert_uint_eq(check.snapshots_count, 0);
	end();
}
END_TEST

START_TEST(malformed_branches_are_reported)
{
	struct branch good = branch(2, "work"), bad;

	begin();
	take(TH_META_BRANCH, 2, &good, sizeof(good.disk) - 1);
	expect("a branch of the wrong size");
	bad = branch(2, "..");
	take_branch(2, &bad);
	expect("a branch's name is malformed");
	bad = good;
	bad.disk.detached = 2;
	take_branch(2, &bad);
	expect("unknown flags of a branch");
	bad = good;
	bad.disk.root.level = TH_HEIGHT_MAX;
	take_branch(2, &bad);
	expect("a branch's root pointer is broken");
	bad = good;
	bad.disk.dead.entries = th_le64(1); /* without a page */
	take_branch(2, &bad);
	expect("a branch's dead list is broken");
	ck_assert_uint_eq(check.branches_count, 0);
	end();
}
END_TEST

START_TEST(other_malformed_entries_are_reported)
{
	struct th_hold_disk hold = { .snapshot = th_le64(1) };
	struct th_abandoned_disk abandoned = { 0 };
	struct th_block_refs_disk share = { th_le32(4), th_le32(0) };

	begin();
	take(TH_META_HOLD, 1, &hold, sizeof(hold)); /* without a tag */
	expect("of the wrong size");
	take(TH_META_SHARE, 600, &share, sizeof(share));
	expect("out of range");
	share = (struct th_block_refs_disk){ th_le32(401), th_le32(1) }; /* beyond the end */
	take(TH_META_SHARE, 600, &share, sizeof(share));
	expect("out of range");
	take(TH_META_SHARE, 600, &share, sizeof(share) - 1);
	expect("a share of the wrong size");
	take(TH_META_ABANDONED, 1, &abandoned, sizeof(abandoned) - 1);
	expect("an abandoned head of the wrong size");
	take(TH_META_ABANDONED, 1, &abandoned, sizeof(abandoned));
	expect("an abandoned head's root pointer is broken");
	th_ptr_pack(&a_root, &abandoned.root);
	take(TH_META_ABANDONED, 10, &abandoned, sizeof(abandoned));
	expect("its id was never assigned (last: 9)");
	take('?', 1, &hold, sizeof(hold));
	expect("of a kind that is not defined");
	th_ok(th_check_meta_entry(&check, th_slice_of("S"), TH_SLICE_EMPTY)); /* a key of another size */
	expect("of a kind that is not defined");
	end();
}
END_TEST

START_TEST(snapshots_that_contradict_one_another_are_reported)
{
	struct snapshot one = snapshot(1, "same"), two = snapshot(2, "same"), later = snapshot(3, "later");

	begin();
	take_main();
	take_snapshot(1, &one);
	two.disk.deleting = 1; /* its name may be in use again */
	take_snapshot(2, &two);
	th_ok(th_check_catalogue(&check));
	ck_assert_uint_eq(lines.count, 0);
	two.disk.deleting = 0;
	check.snapshots_count = 1;
	take_snapshot(2, &two);
	th_ok(th_check_catalogue(&check));
	expect("snapshots 1 and 2 are both named 'same'");
	check.snapshots_count = 1;
	later.disk.generation = th_le64(101); /* newer than the store */
	take_snapshot(3, &later);
	th_ok(th_check_catalogue(&check));
	expect("snapshot 3 'later': generation 101");
	check.snapshots_count = 1;
	later.disk.generation = th_le64(10); /* not newer than the one before */
	take_snapshot(3, &later);
	th_ok(th_check_catalogue(&check));
	expect("snapshot 3 'later': generation 10");
	check.snapshots_count = 1;
	later = snapshot(10, "later");
	take_snapshot(10, &later);
	th_ok(th_check_catalogue(&check));
	expect("its id was never assigned (next: 10)");
	end();
}
END_TEST

START_TEST(holds_that_contradict_snapshots_are_reported)
{
	struct snapshot one = snapshot(1, "one");

	begin();
	take_main();
	one.disk.deleting = 1;
	take_snapshot(1, &one);
	take_hold(1, 1, "a");
	th_ok(th_check_catalogue(&check));
	expect("is being deleted");
	check.snapshots[0].deleting = false;
	take_hold(2, 1, "a");
	th_ok(th_check_catalogue(&check));
	expect("snapshot 1 is held by 'a' twice");
	check.holds_count = 0;
	take_hold(3, 7, "b");
	th_ok(th_check_catalogue(&check));
	expect("its snapshot 7 does not exist");
	check.holds_count = 0;
	take_hold(10, 1, "b");
	th_ok(th_check_catalogue(&check));
	expect("its id was never assigned (last: 9)");
	ck_assert(!check.incomplete); /* a hold has no blocks */
	end();
}
END_TEST

START_TEST(branches_that_contradict_snapshots_are_reported)
{
	struct branch work = branch(2, "main"), detached = branch(3, "old");
	struct snapshot one = snapshot(1, "one");

	begin();
	th_ok(th_check_catalogue(&check));
	expect("there is no branch");
	take_main();
	take_branch(2, &work);
	th_ok(th_check_catalogue(&check));
	expect("branches 1 and 2 are both named 'main'");
	check.branches_count = 1;
	memset(&detached.disk.root, 0, sizeof(detached.disk.root));
	take_branch(3, &detached);
	th_ok(th_check_catalogue(&check));
	expect("branch 3 'old': has no head");
	check.branches_count = 1;
	detached.disk.detached = 1;
	take_branch(3, &detached);
	th_ok(th_check_catalogue(&check));
	expect("branch 3 'old': has neither a head nor snapshots");
	one.disk.branch = th_le64(3);
	take_snapshot(1, &one);
	th_ok(th_check_catalogue(&check));
	ck_assert_uint_eq(lines.count, 0);
	check.branches_count = 1;
	th_ok(th_check_catalogue(&check));
	expect("its branch 3 does not exist");
	ck_assert(check.incomplete); /* the blocks of the branch are not known */
	end();
}
END_TEST

START_TEST(a_branch_begins_from_a_snapshot_of_another_one)
{
	struct branch work = branch(2, "work");
	struct snapshot one = snapshot(1, "one");

	begin();
	take_main();
	work.disk.origin = th_le64(1);
	take_branch(2, &work);
	th_ok(th_check_catalogue(&check));
	expect("branch 2 'work': cannot begin from snapshot 1"); /* there is none */
	one.disk.branch = th_le64(2);
	take_snapshot(1, &one);
	th_ok(th_check_catalogue(&check));
	expect("branch 2 'work': cannot begin from snapshot 1"); /* it is its own */
	check.super.counters[TH_SUPER_BRANCH] = 5;
	check.branches_count = 0;
	work.disk.origin = th_le64(0);
	take_branch(2, &work);
	th_ok(th_check_catalogue(&check));
	expect("the current branch 5 does not exist");
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { valid_entries_are_kept,
				       malformed_snapshots_are_reported,
				       malformed_branches_are_reported,
				       other_malformed_entries_are_reported,
				       snapshots_that_contradict_one_another_are_reported,
				       holds_that_contradict_snapshots_are_reported,
				       branches_that_contradict_snapshots_are_reported,
				       a_branch_begins_from_a_snapshot_of_another_one };

	return th_tests_run("check_meta", tests, sizeof(tests) / sizeof(tests[0]));
}
