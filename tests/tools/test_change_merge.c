/* SPDX-License-Identifier: Apache-2.0 */
/* Removed and added names that are one file, replaced; and those that are not. */
#include "tools/change_merge.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/suite.h"

static struct th_fs_change list[8];
static size_t count;

static void setup(void)
{
	count = 0;
}

static void teardown(void)
{
	while (count)
		th_fs_change_release(&list[--count]);
}

static void add(enum th_fs_change_kind kind, uint64_t inode, const char *path, const char *old_path, uint32_t mode)
{
	struct th_fs_change_side side = { .mode = mode, .links = 1, .size = inode };

	list[count++] = (struct th_fs_change){
		.kind = kind,
		.inode = inode,
		.path = strdup(path),
		.old_path = old_path ? strdup(old_path) : NULL,
		.from = kind == TH_CHANGE_ADDED ? (struct th_fs_change_side){ 0 } : side,
		.to = kind == TH_CHANGE_REMOVED ? (struct th_fs_change_side){ 0 } : side,
	};
}

static void expect(size_t nth, enum th_fs_change_kind kind, const char *path, uint64_t replaced)
{
	ck_assert_uint_lt(nth, count);
	ck_assert_int_eq(list[nth].kind, kind);
	ck_assert_str_eq(list[nth].path, path);
	ck_assert_uint_eq(list[nth].replaced, replaced);
}

static void merge(void)
{
	th_changes_merge(list, &count);
	th_changes_sort(list, count);
}

START_TEST(a_replaced_file_is_modified)
{
	const struct th_fs_change *change;

	add(TH_CHANGE_ADDED, 20, "/f", NULL, S_IFREG | 0600);
	list[0].ranges = calloc(2, sizeof(*list[0].ranges));
	list[0].nranges = 2;
	add(TH_CHANGE_MODIFIED, 3, "/a", NULL, S_IFREG | 0644);
	add(TH_CHANGE_REMOVED, 10, "/f", NULL, S_IFREG | 0644);
	merge();
	ck_assert_uint_eq(count, 2);
	expect(0, TH_CHANGE_MODIFIED, "/a", 0);
	expect(1, TH_CHANGE_MODIFIED, "/f", 10);
	change = &list[1];
	ck_assert_uint_eq(change->inode, 20);
	ck_assert_uint_eq(change->from.size, 10);
	ck_assert_uint_eq(change->to.size, 20);
	ck_assert_uint_eq(change->what, TH_CHANGED_CONTENT | TH_CHANGED_SIZE | TH_CHANGED_MODE);
	/* The parts that were holes in the new file differ too. */
	ck_assert_uint_eq(change->nranges, 1);
	ck_assert_uint_eq(change->ranges[0].offset, 0);
	ck_assert_uint_eq(change->ranges[0].length, 20);
	ck_assert(change->rough);
}
END_TEST

START_TEST(a_replaced_file_is_found_below_a_renamed_directory)
{
	add(TH_CHANGE_REMOVED, 10, "/old/f", NULL, S_IFREG | 0644);
	add(TH_CHANGE_ADDED, 20, "/new/f", "/old/f", S_IFREG | 0644);
	add(TH_CHANGE_RENAMED, 5, "/new", "/old", S_IFDIR | 0755);
	merge();
	ck_assert_uint_eq(count, 2);
	expect(0, TH_CHANGE_RENAMED, "/new", 0);
	expect(1, TH_CHANGE_MODIFIED, "/new/f", 10);
	ck_assert_str_eq(list[1].old_path, "/old/f");
}
END_TEST

START_TEST(another_type_is_removed_and_added)
{
	add(TH_CHANGE_ADDED, 20, "/f", NULL, S_IFDIR | 0755);
	add(TH_CHANGE_REMOVED, 10, "/f", NULL, S_IFREG | 0644);
	merge();
	ck_assert_uint_eq(count, 2);
	expect(0, TH_CHANGE_REMOVED, "/f", 0);
	expect(1, TH_CHANGE_ADDED, "/f", 0);
}
END_TEST

START_TEST(a_renaming_over_a_file_stays_a_renaming)
{
	add(TH_CHANGE_RENAMED, 20, "/f", "/tmp", S_IFREG | 0644);
	add(TH_CHANGE_REMOVED, 10, "/f", NULL, S_IFREG | 0644);
	merge();
	ck_assert_uint_eq(count, 2);
	expect(0, TH_CHANGE_REMOVED, "/f", 0);
	expect(1, TH_CHANGE_RENAMED, "/f", 0);
}
END_TEST

/* An abbreviated path does not name one file. */
START_TEST(abbreviated_paths_are_not_merged)
{
	add(TH_CHANGE_REMOVED, 10, "/d//...7...//f", NULL, S_IFREG | 0644);
	add(TH_CHANGE_ADDED, 20, "/d//...7...//f", NULL, S_IFREG | 0644);
	merge();
	ck_assert_uint_eq(count, 2);
}
END_TEST

START_TEST(a_directory_or_symlink_made_again_is_modified)
{
	static const struct {
		uint32_t mode, what;
	} types[] = { { S_IFDIR | 0755, TH_CHANGED_SIZE }, { S_IFLNK | 0777, TH_CHANGED_SIZE | TH_CHANGED_CONTENT } };

	add(TH_CHANGE_REMOVED, 10, "/d", NULL, types[_i].mode);
	add(TH_CHANGE_ADDED, 20, "/d", NULL, types[_i].mode);
	merge();
	ck_assert_uint_eq(count, 1);
	expect(0, TH_CHANGE_MODIFIED, "/d", 10);
	ck_assert_uint_eq(list[0].what, types[_i].what);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("change_merge");
	TCase *tc = tcase_create("change_merge");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_replaced_file_is_modified);
	tcase_add_test(tc, a_replaced_file_is_found_below_a_renamed_directory);
	tcase_add_test(tc, another_type_is_removed_and_added);
	tcase_add_test(tc, a_renaming_over_a_file_stays_a_renaming);
	tcase_add_test(tc, abbreviated_paths_are_not_merged);
	tcase_add_loop_test(tc, a_directory_or_symlink_made_again_is_modified, 0, 2);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
