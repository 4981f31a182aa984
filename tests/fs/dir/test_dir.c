/* SPDX-License-Identifier: Apache-2.0 */
/* Names with equal hashes, and walks through a directory that changes. */
#include "fs/dir/dir.h"

#include <check.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/check/check.h"
#include "fs/diff/diff.h"
#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

static struct th_scene scene;

/* Four hashes for all names. */
static uint64_t poor_hash(const void *name, size_t size)
{
	return size ? (uint64_t)(((const uint8_t *)name)[size - 1] & 3) << 62 : 0;
}

static uint64_t one_hash(const void *name, size_t size)
{
	(void)name;
	(void)size;
	return UINT64_MAX;
}

static void open_with(uint64_t (*hash)(const void *, size_t))
{
	th_scene_open(&scene, &(struct th_fs_options){ .name_hash = hash });
}

static int make(unsigned n)
{
	char path[32];

	snprintf(path, sizeof(path), "/d/%u", n);
	return th_scene_make(&scene, path, S_IFREG | 0644);
}

static int unmake(unsigned n)
{
	char path[32];

	snprintf(path, sizeof(path), "/d/%u", n);
	return th_scene_unlink(&scene, path);
}

#define NAMES 4096

struct seen {
	uint8_t times[NAMES];
	uint64_t last; /* cookie */
	unsigned room; /* names before the walk is interrupted */
	unsigned small; /* cookies that a 32-bit off_t holds */
};

static int see(void *arg, struct th_slice name, const struct th_dirent *entry, uint64_t next)
{
	struct seen *seen = arg;
	char text[16] = "";

	if (!seen->room--)
		return 1;
	ck_assert_uint_lt(name.size, sizeof(text));
	memcpy(text, name.data, name.size);
	ck_assert_uint_ne(next, seen->last);
	ck_assert_uint_gt(next, TH_DIR_COOKIE_MAX);
	ck_assert_uint_le(next, INT64_MAX);
	ck_assert_uint_gt(entry->id, TH_ROOT_ID);
	seen->last = next;
	seen->small += next <= INT32_MAX;
	seen->times[strtoul(text, NULL, 10)]++;
	return 0;
}

START_TEST(names_with_equal_hash_are_distinct)
{
	open_with(poor_hash);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	for (unsigned i = 0; i < 600; i++)
		ck_assert_int_eq(make(i), 0);
	ck_assert_int_eq(make(7), -EEXIST);
	th_scene_reopen(&scene);
	for (unsigned i = 0; i < 600; i += 2)
		ck_assert_int_eq(unmake(i), 0);
	struct th_inode *dir = th_scene_get(&scene, "/d");
	struct seen seen = { .room = NAMES };

	ck_assert_int_eq(th_dir_walk(dir, 0, see, &seen), 0);
	for (unsigned i = 0; i < 600; i++)
		ck_assert_uint_eq(seen.times[i], i % 2);
	th_inode_put(dir);
	th_scene_close(&scene);
}
END_TEST

#define COLLIDING 1500 /* more than a walk keeps in memory, and more than a byte counts */

static void expect_walk(const char *path, unsigned names, bool in_pieces)
{
	struct th_inode *dir = th_scene_get(&scene, path);
	struct seen seen = { 0 };
	int err;

	do {
		seen.room = in_pieces ? 7 : NAMES;
		err = th_dir_walk(dir, seen.last, see, &seen);
	} while (err == 1);
	ck_assert_int_eq(err, 0);
	for (unsigned i = 0; i < NAMES; i++)
		ck_assert_uint_eq(seen.times[i], i < names);
	th_inode_put(dir);
}

static void fail_on_problem(void *arg, const char *line)
{
	(void)arg;
	ck_abort_msg("%s", line);
}

static void expect_no_problem(void)
{
	struct th_fs_check_options options = { .problem = fail_on_problem };
	struct th_check_result result;

	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	ck_assert_int_eq(th_fs_check(scene.fs, &options, &result), 0);
	ck_assert_uint_eq(result.problems, 0);
}

static void expect_changes(const char *since, unsigned expected)
{
	struct th_fs_diff_options options = { .from = since, .ranges = true };
	struct th_fs_change change;
	struct th_fs_diff *diff;
	unsigned count = 0;
	int err;

	ck_assert_int_eq(th_fs_diff_open(scene.fs, &options, &diff), 0);
	while (!(err = th_fs_diff_next(diff, &change)) || err == -EAGAIN) {
		if (err)
			continue;
		th_fs_change_release(&change);
		count++;
	}
	ck_assert_int_eq(err, 1);
	th_fs_diff_close(diff);
	ck_assert_uint_eq(count, expected);
}

/* All names have one hash: creation works, each has a position of its own, and all are there after a remount, below a
 * directory that was renamed, and in a snapshot. */
START_TEST(any_number_of_names_may_have_one_hash)
{
	struct th_snapshot snapshot;

	open_with(one_hash);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	for (unsigned i = 0; i < COLLIDING; i++)
		ck_assert_int_eq(make(i), 0);
	ck_assert_int_eq(make(COLLIDING - 1), -EEXIST);
	expect_walk("/d", COLLIDING, false);
	expect_walk("/d", COLLIDING, true);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "s", &snapshot), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/d", "/e", 0), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/e/100", "/e/200", RENAME_EXCHANGE), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/e/1499", "/e/1500", 0), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/e/1500", "/e/1498", 0), 0);
	th_scene_reopen(&scene);
	expect_walk("/e", COLLIDING - 1, true);
	expect_walk("/.snapshots/s/d", COLLIDING, true);
	ck_assert_uint_eq(th_scene_attr(&scene, "/e").size, COLLIDING - 1);
	expect_no_problem();
	expect_changes("s", 6); /* 3 files and the directory renamed, one replaced, the root modified */
	for (unsigned i = 0; i < COLLIDING; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/.snapshots/s/d/%u", i);
		ck_assert_uint_eq(th_scene_attr(&scene, path).nlink, 1);
	}
	th_scene_close(&scene);
}
END_TEST

START_TEST(cookies_have_31_bits_unless_too_many_names_have_one_hash)
{
	static const struct {
		uint64_t (*hash)(const void *data, size_t size);
		unsigned small;
	} cases[] = { { NULL, 2000 }, { one_hash, 256 } };

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_with(cases[i].hash);
		ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
		for (unsigned n = 0; n < 2000; n++)
			ck_assert_int_eq(make(n), 0);
		struct th_inode *dir = th_scene_get(&scene, "/d");
		struct seen seen = { .room = NAMES };

		ck_assert_int_eq(th_dir_walk(dir, 0, see, &seen), 0);
		ck_assert_uint_eq(seen.small, cases[i].small);
		th_inode_put(dir);
		th_scene_close(&scene);
	}
}
END_TEST

/* A position that a removed name leaves is given to a new name, and no other name moves. */
START_TEST(positions_are_used_again)
{
	struct th_dirent before, after;

	open_with(one_hash);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(make(i), 0);
	struct th_inode *dir = th_scene_get(&scene, "/d");

	ck_assert_int_eq(th_dir_find(dir, th_scene_slice("4"), &before), 0);
	ck_assert_int_eq(unmake(4), 0);
	ck_assert_int_eq(make(10), 0);
	ck_assert_int_eq(th_dir_find(dir, th_scene_slice("10"), &after), 0);
	ck_assert_uint_eq(after.twin, before.twin);
	ck_assert_int_eq(make(11), 0);
	ck_assert_int_eq(th_dir_find(dir, th_scene_slice("11"), &after), 0);
	ck_assert_uint_eq(after.twin, 10);
	th_inode_put(dir);
	th_scene_close(&scene);
}
END_TEST

/* Two filesystems sort the same names in different orders, and each in the same order after a remount. */
START_TEST(each_filesystem_has_a_secret_order)
{
	struct th_scene other;
	struct th_slice name = th_scene_slice("name");

	open_with(NULL);
	th_scene_open(&other, NULL);
	uint64_t hash = th_dir_hash(scene.fs, name);

	ck_assert_uint_ne(hash, th_dir_hash(other.fs, name));
	ck_assert_uint_eq(hash >> TH_NAME_HASH_BITS, 0);
	th_scene_close(&other);
	th_scene_reopen(&scene);
	ck_assert_uint_eq(th_dir_hash(scene.fs, name), hash);
	th_scene_close(&scene);
}
END_TEST

/* Names below 1000 do not change and must be seen exactly once, wherever the walk is interrupted.  Others are created
 * and removed during the walk. */
static void walk_while_changing(struct th_random *random)
{
	struct th_inode *dir = th_scene_get(&scene, "/d");
	struct seen seen = { 0 };
	int err;

	do {
		seen.room = th_random_between(random, 1, 50);
		err = th_dir_walk(dir, seen.last, see, &seen);
		for (unsigned i = 0; i < 5; i++) {
			unsigned n = th_random_between(random, 1000, 1400);

			if (make(n) == -EEXIST)
				ck_assert_int_eq(unmake(n), 0);
		}
	} while (err == 1);
	ck_assert_int_eq(err, 0);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_uint_eq(seen.times[i], i < 700);
	th_inode_put(dir);
}

START_TEST(walk_sees_unchanged_names_exactly_once)
{
	struct th_random random = { th_test_seed("dir") };

	open_with(_i ? poor_hash : NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	for (unsigned i = 0; i < 700; i++)
		ck_assert_int_eq(make(i), 0);
	for (unsigned i = 0; i < 20; i++)
		walk_while_changing(&random);
	th_scene_close(&scene);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dir");
	TCase *tcase = tcase_create("hashes");

	tcase_set_timeout(tcase, 0);
	tcase_add_test(tcase, names_with_equal_hash_are_distinct);
	tcase_add_test(tcase, any_number_of_names_may_have_one_hash);
	tcase_add_test(tcase, cookies_have_31_bits_unless_too_many_names_have_one_hash);
	tcase_add_test(tcase, positions_are_used_again);
	tcase_add_test(tcase, each_filesystem_has_a_secret_order);
	tcase_add_loop_test(tcase, walk_sees_unchanged_names_exactly_once, 0, 2);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
