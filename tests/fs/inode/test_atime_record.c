/* SPDX-License-Identifier: Apache-2.0 */
/* Times of access apart from their inodes: which of the two counts, the cache, snapshots, deletion, and the diff. */
#include "fs/inode/atime_record.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fs/attr/atime.h"
#include "fs/attr/attr.h"
#include "fs/data/writeback_list.h"
#include "fs/diff/diff.h"
#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

#define FILES 10000

static struct th_scene scene;

static void setup(void)
{
	struct th_fs_options options = { .atime = TH_ATIME_STRICT };

	th_scene_open(&scene, &options);
}

static void teardown(void)
{
	th_scene_close(&scene);
}

static const char *path_of(unsigned n)
{
	static char path[32];

	snprintf(path, sizeof(path), "/f%u", n);
	return path;
}

static void make_files(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(th_scene_make(&scene, path_of(i), S_IFREG | 0644), 0);
	ck_assert_int_eq(th_writeback_all(scene.fs), 0);
}

/* Reads a file, as far as its time of access is concerned.  Returns that time. */
static struct th_time touch(const char *path)
{
	struct th_inode *inode = th_scene_get(&scene, path);
	struct th_time time;

	th_atime_touch(inode);
	time = inode->attr.atime;
	th_inode_put(inode);
	return time;
}

static void expect_atime(const char *path, struct th_time expected)
{
	struct th_time found = th_scene_attr(&scene, path).atime;

	ck_assert_int_eq(found.seconds, expected.seconds);
	ck_assert_uint_eq(found.nanoseconds, expected.nanoseconds);
}

static void set(const char *path, unsigned what, struct th_attr attr)
{
	struct th_inode *inode = th_scene_get(&scene, path);

	ck_assert_int_eq(th_attr_set(inode, what, &attr), 0);
	th_inode_put(inode);
}

/* Returns 0 or -ENOENT. */
static int has_record(uint64_t id)
{
	struct th_fs_key key = th_fs_key_atime(id);
	struct th_value value;
	int err = th_get(scene.fs->live, th_fs_key_slice(&key), &value);

	if (!err)
		th_value_release(&value);
	return err;
}

START_TEST(each_inode_has_its_time_after_a_remount)
{
	static struct th_time times[300];

	make_files(300);
	for (unsigned i = 0; i < 300; i += 1 + i % 3)
		times[i] = touch(path_of(i));
	for (unsigned i = 0; i < 300; i++) {
		if (!times[i].seconds)
			times[i] = th_scene_attr(&scene, path_of(i)).atime;
	}
	th_scene_reopen(&scene);
	for (unsigned round = 0; round < 2; round++) { /* the second one from the cache */
		for (unsigned i = 0; i < 300; i++)
			expect_atime(path_of(i), times[i]);
	}
}
END_TEST

/* An inode that is read after its neighbours were cached. */
START_TEST(a_cached_group_follows_new_records)
{
	struct th_time time;

	make_files(3);
	th_scene_reopen(&scene);
	th_scene_attr(&scene, "/f0");
	time = touch("/f1");
	ck_assert_int_eq(th_writeback_all(scene.fs), 0);
	expect_atime("/f1", time);
	time = touch("/f1");
	ck_assert_int_eq(th_writeback_all(scene.fs), 0);
	expect_atime("/f1", time);
}
END_TEST

START_TEST(a_time_that_was_set_counts_whatever_the_record_says)
{
	struct th_time old = { -5, 7 }, later = { INT64_C(1) << 40, 1 };

	make_files(1);
	touch("/f0");
	ck_assert_int_eq(th_writeback_all(scene.fs), 0);
	set("/f0", TH_ATTR_ATIME, (struct th_attr){ .atime = old });
	th_scene_reopen(&scene);
	expect_atime("/f0", old);
	set("/f0", TH_ATTR_ATIME, (struct th_attr){ .atime = later });
	th_scene_reopen(&scene);
	expect_atime("/f0", later);
	later = touch("/f0");
	th_scene_reopen(&scene);
	expect_atime("/f0", later);
	/* The clock was wrong when the record was made. */
	struct th_time_disk wrong = th_atime_encode((struct th_time){ INT64_C(1) << 41, 0 });
	struct th_fs_key key = th_fs_key_atime(th_scene_id(&scene, "/f0"));

	th_scene_put(&scene, &key, &wrong, sizeof(wrong));
	th_scene_reopen(&scene);
	set("/f0", TH_ATTR_ATIME, (struct th_attr){ .atime = old });
	th_scene_reopen(&scene);
	expect_atime("/f0", old);
}
END_TEST

START_TEST(a_change_takes_the_time_along)
{
	struct th_time time;

	make_files(1);
	touch("/f0");
	ck_assert_int_eq(th_writeback_all(scene.fs), 0);
	time = touch("/f0");
	set("/f0", TH_ATTR_MODE, (struct th_attr){ .mode = 0600 });
	th_scene_reopen(&scene);
	expect_atime("/f0", time);
	set("/f0", TH_ATTR_MODE, (struct th_attr){ .mode = 0644 });
	th_scene_reopen(&scene);
	expect_atime("/f0", time);
}
END_TEST

START_TEST(a_snapshot_has_the_times_of_its_moment)
{
	struct th_time then, now;

	make_files(100);
	then = touch("/f7");
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "s", NULL), 0);
	now = touch("/f7");
	ck_assert(then.seconds != now.seconds || then.nanoseconds != now.nanoseconds);
	th_scene_reopen(&scene);
	expect_atime("/.snapshots/s/f7", then);
	expect_atime("/f7", now);
	expect_atime("/.snapshots/s/f7", then);
}
END_TEST

START_TEST(a_record_ends_with_its_inode)
{
	uint64_t id;

	make_files(2);
	id = th_scene_id(&scene, "/f0");
	ck_assert_int_eq(has_record(id), -ENOENT);
	touch("/f0");
	ck_assert_int_eq(th_writeback_all(scene.fs), 0);
	ck_assert_int_eq(has_record(id), 0);
	th_scene_reopen(&scene);
	ck_assert_int_eq(th_scene_unlink(&scene, "/f0"), 0);
	ck_assert_int_eq(has_record(id), -ENOENT);
	id = th_scene_id(&scene, "/f1");
	touch("/f1");
	ck_assert_int_eq(th_scene_unlink(&scene, "/f1"), 0);
	ck_assert_int_eq(th_writeback_all(scene.fs), 0);
	ck_assert_int_eq(has_record(id), -ENOENT);
}
END_TEST

START_TEST(a_damaged_record_counts_as_none)
{
	struct th_fs_key key;
	struct th_time time;

	make_files(1);
	time = th_scene_attr(&scene, "/f0").atime;
	key = th_fs_key_atime(th_scene_id(&scene, "/f0"));
	th_scene_put(&scene, &key, "bad", 3);
	th_scene_reopen(&scene);
	expect_atime("/f0", time);
}
END_TEST

static uint64_t nodes_of_diff(const char *from, const char *to, unsigned *ret_changes)
{
	struct th_fs_diff_options options = { .from = from, .to = to };
	struct th_diff_stats stats;
	struct th_fs_change change;
	struct th_fs_diff *diff;
	int err;

	*ret_changes = 0;
	ck_assert_int_eq(th_fs_diff_open(scene.fs, &options, &diff), 0);
	while (!(err = th_fs_diff_next(diff, &change)) || err == -EAGAIN) {
		if (err)
			continue;
		++*ret_changes;
		th_fs_change_release(&change);
	}
	ck_assert_int_eq(err, 1);
	th_fs_diff_stats(diff, &stats);
	th_fs_diff_close(diff);
	return stats.nodes_read;
}

START_TEST(a_diff_does_not_visit_files_that_were_only_read)
{
	uint64_t nodes, all;
	unsigned changes;

	make_files(FILES);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "before", NULL), 0);
	for (unsigned i = 0; i < FILES; i++)
		touch(path_of(i));
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "read", NULL), 0);
	nodes = nodes_of_diff("before", "read", &changes);
	ck_assert_uint_eq(changes, 0);
	for (unsigned i = 0; i < FILES; i++)
		set(path_of(i), TH_ATTR_MODE, (struct th_attr){ .mode = 0600 });
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "changed", NULL), 0);
	all = nodes_of_diff("read", "changed", &changes);
	ck_assert_uint_eq(changes, FILES);
	/* A leaf may hold both kinds of records, and messages wait where the random hashes of names have put them. */
	ck_assert_msg(nodes * 2 < all, "%llu nodes read, of %llu", (unsigned long long)nodes, (unsigned long long)all);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("atime_record");
	TCase *tc = tcase_create("atime_record");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, each_inode_has_its_time_after_a_remount);
	tcase_add_test(tc, a_cached_group_follows_new_records);
	tcase_add_test(tc, a_time_that_was_set_counts_whatever_the_record_says);
	tcase_add_test(tc, a_change_takes_the_time_along);
	tcase_add_test(tc, a_snapshot_has_the_times_of_its_moment);
	tcase_add_test(tc, a_record_ends_with_its_inode);
	tcase_add_test(tc, a_damaged_record_counts_as_none);
	tcase_add_test(tc, a_diff_does_not_visit_files_that_were_only_read);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
