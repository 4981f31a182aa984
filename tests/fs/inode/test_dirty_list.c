/* SPDX-License-Identifier: Apache-2.0 */
/* The dirty list: order, references and counters.  fs/data/test_writeback_list.c tests its writeback. */
#include "fs/inode/dirty_list.h"

#include <check.h>

#include "tests/fs/data/file_scene.h"
#include "tests/support/suite.h"

static struct th_file_scene scene;
static struct th_inode *files[3];

static void setup(void)
{
	static const char *const names[] = { "a", "b", "c" };

	th_file_scene_open(&scene, (16u << 20) / TH_BLOCK_SIZE, 0);
	for (unsigned i = 0; i < 3; i++)
		files[i] = th_file_scene_make(&scene, names[i]);
	th_file_scene_check(&scene); /* empties the list */
	ck_assert_uint_eq(th_dirty_count(scene.fs), 0);
}

static void teardown(void)
{
	for (unsigned i = 0; i < 3; i++)
		th_inode_put(files[i]);
	th_file_scene_close(&scene);
}

static void mark_dirty(struct th_inode *inode)
{
	pthread_rwlock_wrlock(&inode->lock);
	th_inode_mark_dirty(inode);
	pthread_rwlock_unlock(&inode->lock);
}

static bool remove_clean(struct th_inode *inode)
{
	bool removed;

	pthread_rwlock_wrlock(&inode->lock);
	inode->attr_dirty = false;
	removed = th_dirty_remove(inode);
	pthread_rwlock_unlock(&inode->lock);
	return removed;
}

START_TEST(the_oldest_inode_is_taken_first)
{
	static const unsigned order[] = { 1, 0, 2 };

	for (unsigned i = 0; i < 3; i++)
		mark_dirty(files[order[i]]);
	mark_dirty(files[1]); /* on it already: keeps its place */
	ck_assert_uint_eq(th_dirty_count(scene.fs), 3);
	for (unsigned i = 0; i < 3; i++) {
		struct th_inode *taken = th_dirty_take(scene.fs);

		ck_assert_ptr_eq(taken, files[order[i]]);
		ck_assert(!taken->on_dirty_list);
		th_inode_put(taken);
	}
	ck_assert_ptr_null(th_dirty_take(scene.fs));
}
END_TEST

START_TEST(the_list_holds_one_reference)
{
	uint32_t refs = files[0]->refs;

	mark_dirty(files[0]);
	mark_dirty(files[0]);
	ck_assert(files[0]->on_dirty_list);
	ck_assert_uint_eq(files[0]->refs, refs + 1);
	ck_assert(remove_clean(files[0]));
	ck_assert_uint_eq(files[0]->refs, refs + 1); /* the caller has it */
	th_inode_put(files[0]);
	ck_assert(!remove_clean(files[0]));
	ck_assert_uint_eq(files[0]->refs, refs);
}
END_TEST

START_TEST(an_inode_can_be_removed_from_the_middle)
{
	for (unsigned i = 0; i < 3; i++)
		mark_dirty(files[i]);
	ck_assert(remove_clean(files[1]));
	th_inode_put(files[1]);
	ck_assert_uint_eq(th_dirty_count(scene.fs), 2);
	ck_assert_ptr_eq(th_dirty_take(scene.fs), files[0]);
	ck_assert_ptr_eq(th_dirty_take(scene.fs), files[2]);
	th_inode_put(files[0]);
	th_inode_put(files[2]);
}
END_TEST

START_TEST(an_inode_stays_in_memory_while_it_is_on_the_list)
{
	uint64_t id = files[0]->id;
	struct th_inode *inode = files[0];

	mark_dirty(inode);
	th_inode_put(inode);
	ck_assert_int_eq(th_inode_get(scene.fs, NULL, id, &files[0]), 0);
	ck_assert_ptr_eq(files[0], inode);
}
END_TEST

START_TEST(pages_are_counted)
{
	th_dirty_charge(scene.fs, 5);
	th_dirty_charge(scene.fs, -2);
	ck_assert_int_eq(th_dirty_pages(scene.fs), 3);
	th_dirty_charge(scene.fs, -3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dirty_list");
	TCase *cases = tcase_create("dirty_list");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, the_oldest_inode_is_taken_first);
	tcase_add_test(cases, the_list_holds_one_reference);
	tcase_add_test(cases, an_inode_can_be_removed_from_the_middle);
	tcase_add_test(cases, an_inode_stays_in_memory_while_it_is_on_the_list);
	tcase_add_test(cases, pages_are_counted);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
