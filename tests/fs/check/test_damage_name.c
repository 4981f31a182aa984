/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged data is named by path, offset, block and trees, and once. */
#include "fs/check/damage_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene_fixture.h"
#include "tests/support/suite.h"

static char lines[4096];

static void take_line(void *arg, const char *line)
{
	(void)arg;
	ck_assert_uint_lt(strlen(lines) + strlen(line) + 2, sizeof(lines));
	strcat(strcat(lines, line), "\n");
}

static void begin(void)
{
	*lines = 0;
	th_scene_open(&scene, &(struct th_fs_options){ .report = take_line });
}

/* Makes a file of three blocks and damages one of them.  Returns the address of that block. */
static uint64_t make_damaged(const char *path, uint32_t nth)
{
	static char content[3 * TH_BLOCK_SIZE];
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);
	struct th_fs_key key;
	struct th_extent extent;
	struct th_value value;
	const char *why;
	uint64_t addr;

	memset(content, 'x', sizeof(content) - 1);
	ck_assert_int_eq(make_file(path), 0);
	th_scene_write(&scene, path, content);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "one", NULL), 0);
	key = th_fs_key_extent(th_scene_id(&scene, path), 0);
	ck_assert_int_eq(th_get(scene.fs->live, th_fs_key_slice(&key), &value), 0);
	ck_assert_int_eq(th_extent_decode(0, (struct th_slice){ value.data, value.size }, &extent, &why), 0);
	ck_assert_uint_eq(extent.blocks, 3);
	addr = extent.run.addr + nth;
	memset(block, 'y', TH_BLOCK_SIZE);
	ck_assert_int_eq(th_disk_write(scene.fs->disk, addr, 1, block), 0);
	th_value_release(&value);
	free(block);
	return addr;
}

static void expect_line(const char *names, uint64_t id, uint64_t offset, uint64_t addr, const char *trees)
{
	char line[512];

	snprintf(line, sizeof(line),
		 "damaged data: %s (inode %llu) at offset %llu, disk block %llu, in %s: wrong checksum\n", names,
		 (unsigned long long)id, (unsigned long long)offset, (unsigned long long)addr, trees);
	ck_assert_msg(strstr(lines, line), "expected: %sfound: %s", line, lines);
}

START_TEST(read_names_the_damaged_block_once)
{
	uint64_t addr, id;
	size_t size;

	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_dir("/d/e"), 0);
	addr = make_damaged("/d/e/f", 1);
	ck_assert_int_eq(th_scene_link(&scene, "/d/e/f", "/g"), 0);
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	id = th_scene_id(&scene, "/d/e/f");
	th_damage_name_read(scene.fs, scene.fs->live, id, 0, TH_BLOCK_SIZE);
	ck_assert_str_eq(lines, ""); /* the bytes of that read are whole */
	th_damage_name_read(scene.fs, scene.fs->live, id, 0, 3 * TH_BLOCK_SIZE);
	expect_line("'d/e/f', 'g'", id, TH_BLOCK_SIZE, addr, "the live tree, snapshot 'one'");
	size = strlen(lines);
	th_damage_name_read(scene.fs, scene.fs->live, id, TH_BLOCK_SIZE, 1);
	ck_assert_uint_eq(strlen(lines), size);
}
END_TEST

/* The live tree does not have the file any more. */
START_TEST(trees_without_the_block_are_not_named)
{
	uint64_t addr = make_damaged("/f", 0), id = th_scene_id(&scene, "/f");
	struct th_snapshot snapshot;
	struct th_view *view;

	ck_assert_int_eq(th_scene_unlink(&scene, "/f"), 0);
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	th_damage_name_read(scene.fs, scene.fs->live, id, 0, 3 * TH_BLOCK_SIZE);
	ck_assert_str_eq(lines, "");
	ck_assert_int_eq(th_snapshot_find(scene.fs->store, "one", &snapshot), 0);
	ck_assert_int_eq(th_view_snapshot(scene.fs->store, snapshot.id, &view), 0);
	th_damage_name_read(scene.fs, view, id, 0, 3 * TH_BLOCK_SIZE);
	expect_line("'f'", id, 0, addr, "snapshot 'one'");
	th_view_close(view);
}
END_TEST

/* A parent that cannot be read is shown by its number. */
START_TEST(lost_directory_is_shown_by_its_number)
{
	struct th_fs_key key;
	struct th_txn *txn;
	uint64_t addr, id, directory;
	char names[64];

	ck_assert_int_eq(make_dir("/d"), 0);
	addr = make_damaged("/d/f", 2);
	id = th_scene_id(&scene, "/d/f");
	directory = th_scene_id(&scene, "/d");
	key = th_fs_key_inode(directory);
	ck_assert_int_eq(th_txn_begin(scene.fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_delete(txn, th_fs_key_slice(&key)), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
	th_damage_name_read(scene.fs, scene.fs->live, id, 0, 3 * TH_BLOCK_SIZE);
	snprintf(names, sizeof(names), "'#%llu/f'", (unsigned long long)directory);
	expect_line(names, id, 2 * TH_BLOCK_SIZE, addr, "the live tree, snapshot 'one'");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("damage_name");
	TCase *tcase = tcase_create("damage_name");

	tcase_add_checked_fixture(tcase, begin, teardown);
	tcase_add_test(tcase, read_names_the_damaged_block_once);
	tcase_add_test(tcase, trees_without_the_block_are_not_named);
	tcase_add_test(tcase, lost_directory_is_shown_by_its_number);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
