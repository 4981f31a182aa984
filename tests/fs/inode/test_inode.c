/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes in memory: one for each id, references and lookups, loading, and attributes. */
#include "fs/inode/inode.h"

#include <check.h>
#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;

static void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/f", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
}

static void teardown(void)
{
	th_scene_close(&scene);
}

static bool in_memory(uint64_t nodeid)
{
	struct th_inode *inode = th_inode_find(scene.fs, nodeid);

	th_inode_put(inode);
	return inode;
}

/* Without the kernel and the dirty list nothing keeps an inode after its last put. */
static void write_back(void)
{
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
}

START_TEST(an_id_has_one_inode_until_its_last_reference)
{
	struct th_inode *inode = th_scene_get(&scene, "/f"), *again, *found;
	uint64_t nodeid = th_inode_nodeid(inode);

	ck_assert_int_eq(th_inode_get(scene.fs, NULL, inode->id, &again), 0);
	ck_assert_ptr_eq(again, inode);
	found = th_inode_find(scene.fs, nodeid);
	ck_assert_ptr_eq(found, inode);
	ck_assert_ptr_eq(th_inode_ref(inode), inode);
	write_back();
	ck_assert_uint_eq(inode->refs, 4);
	for (unsigned i = 0; i < 3; i++)
		th_inode_put(inode);
	ck_assert(in_memory(nodeid));
	th_inode_put(inode);
	ck_assert(!in_memory(nodeid));
	th_inode_put(NULL);
}
END_TEST

START_TEST(lookups_count_as_one_reference)
{
	struct th_inode *inode = th_scene_get(&scene, "/f");
	uint64_t nodeid = th_inode_nodeid(inode);

	write_back();
	ck_assert_uint_eq(inode->refs, 1);
	for (unsigned i = 0; i < 3; i++)
		th_inode_lookup(inode);
	ck_assert_uint_eq(inode->nlookup, 3);
	ck_assert_uint_eq(inode->refs, 2);
	th_inode_forget(inode, 2);
	ck_assert_uint_eq(inode->refs, 2);
	th_inode_put(inode);
	ck_assert(in_memory(nodeid));
	th_inode_forget(inode, 1);
	ck_assert(!in_memory(nodeid));
	/* A kernel that forgets too much drops only the reference that it has. */
	inode = th_scene_get(&scene, "/f");
	th_inode_forget(inode, 1);
	th_inode_lookup(inode);
	th_inode_forget(inode, 100);
	ck_assert_uint_eq(inode->nlookup, 0);
	ck_assert_uint_eq(inode->refs, 1);
	th_inode_put(inode);
}
END_TEST

START_TEST(missing_ids_leave_nothing_in_memory)
{
	struct th_inode *inode;

	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(th_inode_get(scene.fs, NULL, 12345, &inode), -ENOENT);
	ck_assert(!in_memory(12345));
	ck_assert(!in_memory(UINT64_MAX));
}
END_TEST

static char reported[256];

static void keep_report(void *arg, const char *line)
{
	(void)arg;
	snprintf(reported, sizeof(reported), "%s", line);
}

START_TEST(damaged_inode_is_reported_and_not_kept)
{
	uint64_t id = th_scene_id(&scene, "/f");
	struct th_fs_key key = th_fs_key_inode(id);
	struct th_inode *inode;

	write_back();
	th_scene_put(&scene, &key, "damage", 6);
	scene.fs->options.report = keep_report;
	for (unsigned i = 0; i < 2; i++) {
		reported[0] = 0;
		ck_assert_int_eq(th_inode_get(scene.fs, NULL, id, &inode), -EUCLEAN);
		ck_assert((strstr(reported, "6 bytes") == NULL) == (i > 0)); /* once */
	}
	ck_assert(!in_memory(id));
}
END_TEST

START_TEST(discarded_new_inode_leaves_no_keys)
{
	struct th_attr attr = { .mode = S_IFREG | 0600, .nlink = 1 };
	struct th_inode *inode, *found;
	uint64_t id;

	ck_assert_int_eq(th_inode_new(scene.fs, &attr, &inode), 0);
	id = inode->id;
	ck_assert_uint_eq(inode->xattr_state, TH_XATTR_NONE);
	ck_assert(in_memory(id));
	inode->deleted = true;
	th_inode_put(inode);
	ck_assert(!in_memory(id));
	ck_assert_int_eq(th_inode_get(scene.fs, NULL, id, &found), -ENOENT);
}
END_TEST

#define MANY 3000 /* more than the first size of the table */

START_TEST(many_inodes_are_found)
{
	static struct th_inode *inodes[MANY];
	struct th_attr attr = { .mode = S_IFREG | 0600, .nlink = 1, .name = "n", .name_size = 1 };

	for (unsigned i = 0; i < MANY; i++)
		ck_assert_int_eq(th_inode_new(scene.fs, &attr, &inodes[i]), 0);
	for (unsigned i = 0; i < MANY; i++) {
		struct th_inode *found = th_inode_find(scene.fs, th_inode_nodeid(inodes[i]));

		ck_assert_ptr_eq(found, inodes[i]);
		ck_assert(i == 0 || found->id > inodes[i - 1]->id);
		th_inode_put(found);
	}
	for (unsigned i = 0; i < MANY; i++) {
		inodes[i]->deleted = true;
		th_inode_put(inodes[i]);
	}
}
END_TEST

#define THREADS 8

static void *get_again(void *arg)
{
	uint64_t id = *(uint64_t *)arg;
	struct th_inode *inode;

	for (unsigned i = 0; i < 500; i++) {
		ck_assert_int_eq(th_inode_get(scene.fs, NULL, id, &inode), 0);
		ck_assert_int_eq(inode->loaded, 1);
		ck_assert_uint_eq(inode->attr.mode, S_IFREG | 0644);
		th_inode_put(inode);
	}
	return NULL;
}

START_TEST(threads_see_only_loaded_inodes)
{
	uint64_t id = th_scene_id(&scene, "/f");
	pthread_t threads[THREADS];

	write_back();
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, get_again, &id), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert(!in_memory(id));
}
END_TEST

START_TEST(collect_lists_the_inodes_of_one_snapshot)
{
	struct th_inode *old = NULL, *snapdir, **list;
	size_t count;

	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "s", NULL), 0);
	old = th_scene_get(&scene, "/.snapshots/s/f");
	snapdir = th_scene_get(&scene, "/d/.snapshots");
	ck_assert_int_eq(th_inode_collect(scene.fs, old->snapshot->id, &list, &count), 0);
	ck_assert_uint_eq(count, 1);
	ck_assert_ptr_eq(list[0], old);
	th_inode_put(list[0]);
	free(list);
	ck_assert_int_eq(th_inode_collect(scene.fs, TH_SNAPDIR_SNAPSHOT, &list, &count), 0);
	ck_assert_uint_eq(count, 1);
	ck_assert_ptr_eq(list[0], snapdir);
	th_inode_put(list[0]);
	free(list);
	ck_assert_int_eq(th_inode_collect(scene.fs, 999, &list, &count), 0);
	ck_assert_uint_eq(count, 0);
	free(list);
	th_inode_put(snapdir);
	th_inode_put(old);
}
END_TEST

START_TEST(publish_takes_attributes_and_name)
{
	struct th_inode *inode = th_scene_get(&scene, "/f");
	struct th_attr attr = inode->attr;

	inode->attr_dirty = true;
	attr.uid = 77;
	attr.parent = 5;
	attr.name = strdup("other");
	attr.name_size = 5;
	th_inode_publish(inode, &attr);
	ck_assert_uint_eq(inode->attr.uid, 77);
	ck_assert_uint_eq(inode->parent, 5);
	ck_assert_ptr_eq(inode->attr.name, attr.name);
	ck_assert(!inode->attr_dirty);
	attr.uid = 78; /* the same name again: the inode keeps it */
	th_inode_publish(inode, &attr);
	ck_assert_uint_eq(inode->attr.uid, 78);
	ck_assert_mem_eq(inode->attr.name, "other", 5);
	th_inode_put(inode);
}
END_TEST

START_TEST(stored_size_does_not_run_ahead_of_the_data)
{
	struct th_inode *inode = th_scene_get(&scene, "/f");
	struct th_fs_key key = th_fs_key_inode(inode->id);
	struct th_attr attr;
	struct th_value value;
	struct th_txn *txn;

	inode->attr.size = 4096;
	inode->stored_size = 100;
	ck_assert_int_eq(th_txn_begin(scene.fs->store, &txn), 0);
	ck_assert_int_eq(th_inode_store(txn, inode, &inode->attr), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
	ck_assert_int_eq(th_get(scene.fs->live, th_fs_key_slice(&key), &value), 0);
	ck_assert_int_eq(th_inode_decode(value.data, value.size, value.refs, &attr), 0);
	ck_assert_uint_eq(attr.size, 100);
	th_value_release(&value);
	inode->attr.size = inode->stored_size = 0;
	th_inode_put(inode);
}
END_TEST

START_TEST(stat_shows_the_attributes)
{
	struct th_inode *inode = th_scene_get(&scene, "/d");
	struct stat status;

	th_inode_stat(inode, &status);
	ck_assert_uint_eq(status.st_ino, inode->id);
	ck_assert_uint_eq(status.st_mode, S_IFDIR | 0755);
	ck_assert_uint_eq(status.st_nlink, 2);
	th_inode_put(inode);
	ck_assert_uint_eq(th_inode_nodeid(scene.fs->root), TH_ROOT_ID);
	inode = th_scene_get(&scene, "/f");
	inode->attr.size = 700; /* inline data has no block, but must not look like a hole */
	th_inode_stat(inode, &status);
	ck_assert_int_eq(status.st_blocks, 2);
	inode->attr.size = 1 << 20;
	inode->attr.blocks = 3;
	th_inode_stat(inode, &status);
	ck_assert_int_eq(status.st_blocks, 24);
	inode->attr.size = inode->attr.blocks = 0;
	th_inode_put(inode);
}
END_TEST

static uint32_t killed(uint32_t mode, bool outsider)
{
	struct th_attr attr = { .mode = mode };

	ck_assert_int_eq(th_attr_kill_privileges(&attr, outsider), attr.mode != mode);
	return attr.mode;
}

START_TEST(privileges_are_cleared_as_on_disk_filesystems)
{
	ck_assert_uint_eq(killed(S_IFREG | 06755, false), S_IFREG | 0755);
	ck_assert_uint_eq(killed(S_IFREG | 06745, false), S_IFREG | 02745);
	ck_assert_uint_eq(killed(S_IFREG | 06745, true), S_IFREG | 0745);
	ck_assert_uint_eq(killed(S_IFREG | 0755, true), S_IFREG | 0755);
	ck_assert_uint_eq(killed(S_IFDIR | 06755, true), S_IFDIR | 06755);
}
END_TEST

START_TEST(flags_restrict_changes_of_data)
{
	struct th_inode inode = { .attr = { .size = 100 } };

	ck_assert_int_eq(th_inode_check_data(&inode, 0), 0);
	inode.attr.flags = FS_APPEND_FL;
	ck_assert_int_eq(th_inode_check_data(&inode, 99), -EPERM);
	ck_assert_int_eq(th_inode_check_data(&inode, 100), 0);
	inode.attr.flags = FS_IMMUTABLE_FL;
	ck_assert_int_eq(th_inode_check_data(&inode, 100), -EPERM);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inode");
	TCase *tcase = tcase_create("inodes");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, an_id_has_one_inode_until_its_last_reference);
	tcase_add_test(tcase, lookups_count_as_one_reference);
	tcase_add_test(tcase, missing_ids_leave_nothing_in_memory);
	tcase_add_test(tcase, damaged_inode_is_reported_and_not_kept);
	tcase_add_test(tcase, discarded_new_inode_leaves_no_keys);
	tcase_add_test(tcase, many_inodes_are_found);
	tcase_add_test(tcase, threads_see_only_loaded_inodes);
	tcase_add_test(tcase, collect_lists_the_inodes_of_one_snapshot);
	tcase_add_test(tcase, publish_takes_attributes_and_name);
	tcase_add_test(tcase, stored_size_does_not_run_ahead_of_the_data);
	tcase_add_test(tcase, stat_shows_the_attributes);
	tcase_add_test(tcase, privileges_are_cleared_as_on_disk_filesystems);
	tcase_add_test(tcase, flags_restrict_changes_of_data);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
