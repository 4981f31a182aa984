/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are copied out of a whole and of a damaged filesystem. */
#include "fs/rescue/rescue.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/data/extent.h"
#include "fs/dir/dir.h"
#include "tests/fs/scene_fixture.h"
#include "tests/support/suite.h"

static char target[64], lines[65536];
static struct th_rescue_result result;

static void take_line(void *arg, const char *line)
{
	(void)arg;
	ck_assert_uint_lt(strlen(lines) + strlen(line) + 2, sizeof(lines));
	strcat(strcat(lines, line), "\n");
}

static void begin(void)
{
	setup();
	strcpy(target, "/tmp/thunderhead-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(target));
}

static void end(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", target);
	ck_assert_int_eq(system(command), 0);
	teardown();
}

static void rescue(void)
{
	*lines = 0;
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	ck_assert_int_eq(th_rescue(scene.fs, scene.fs->live, target, take_line, NULL, &result), 0);
}

/* Reads a file that was written; fails the test if it is not there. */
static size_t read_target(const char *path, char *bytes, size_t size)
{
	char whole[256];
	ssize_t n;
	int fd;

	snprintf(whole, sizeof(whole), "%s/%s", target, path);
	fd = open(whole, O_RDONLY | O_NOFOLLOW);
	ck_assert_msg(fd >= 0, "%s is missing", path);
	n = read(fd, bytes, size);
	ck_assert_int_ge(n, 0);
	close(fd);
	return (size_t)n;
}

static void expect_text(const char *path, const char *text)
{
	char bytes[4096];
	size_t size = read_target(path, bytes, sizeof(bytes));

	ck_assert_msg(size == strlen(text) && !memcmp(bytes, text, size), "%s: %.*s", path, (int)size, bytes);
}

static struct stat stat_target(const char *path)
{
	struct stat status;
	char whole[256];

	snprintf(whole, sizeof(whole), "%s/%s", target, path);
	ck_assert_msg(!lstat(whole, &status), "%s is missing", path);
	return status;
}

static void make_files(void)
{
	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_dir("/d/e"), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/d/e/f", S_IFREG | 0640), 0);
	th_scene_write(&scene, "/d/e/f", "content");
	ck_assert_int_eq(th_scene_link(&scene, "/d/e/f", "/link"), 0);
	ck_assert_int_eq(th_scene_symlink(&scene, "somewhere/else", "/symlink"), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/fifo", S_IFIFO | 0600), 0);
}

START_TEST(whole_filesystem_is_copied_without_loss)
{
	char text[32] = "";

	make_files();
	rescue();
	ck_assert_str_eq(lines, "");
	ck_assert_uint_eq(result.directories, 2);
	ck_assert_uint_eq(result.files, 1);
	ck_assert_uint_eq(result.other, 2);
	ck_assert_uint_eq(result.bytes, 7);
	ck_assert_uint_eq(result.lost + result.failed, 0);
	expect_text("d/e/f", "content");
	ck_assert_uint_eq(stat_target("d/e/f").st_mode, S_IFREG | 0640);
	ck_assert_uint_eq(stat_target("d/e/f").st_ino, stat_target("link").st_ino);
	ck_assert_uint_eq(stat_target("d").st_mode, S_IFDIR | 0755);
	ck_assert_int_eq(stat_target("d").st_mtim.tv_nsec, (long)th_scene_attr(&scene, "/d").mtime.nanoseconds);
	ck_assert(S_ISFIFO(stat_target("fifo").st_mode));
	strcat(strcpy(text, ""), "somewhere/else");
	ck_assert_int_eq(stat_target("symlink").st_size, (off_t)strlen(text));
}
END_TEST

static void drop_key(struct th_fs_key key)
{
	struct th_txn *txn;

	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	ck_assert_int_eq(th_txn_begin(scene.fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_delete(txn, th_fs_key_slice(&key)), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
}

START_TEST(directory_without_inode_keeps_its_name_and_content)
{
	make_files();
	drop_key(th_fs_key_inode(th_scene_id(&scene, "/d/e")));
	rescue();
	expect_text("d/e/f", "content");
	ck_assert_str_eq(lines, "d/e: its attributes cannot be read\n");
	ck_assert_uint_eq(result.lost, 1);
}
END_TEST

START_TEST(file_without_inode_keeps_its_data)
{
	make_files();
	drop_key(th_fs_key_inode(th_scene_id(&scene, "/d/e/f")));
	rescue();
	expect_text("d/e/f", "content");
	ck_assert_uint_ge(result.lost, 1);
}
END_TEST

/* Neither the entry nor the inode of a directory is left: its files show it. */
START_TEST(nameless_directory_is_put_into_lost_and_found)
{
	char path[64];
	uint64_t id;

	make_files();
	id = th_scene_id(&scene, "/d/e");
	drop_key(th_fs_key_entry(th_scene_id(&scene, "/d"), th_dir_hash(scene.fs, th_scene_slice("e")), "e", 1));
	drop_key(th_fs_key_inode(id));
	rescue();
	snprintf(path, sizeof(path), "lost+found/#%llu/f", (unsigned long long)id);
	expect_text(path, "content");
	ck_assert_ptr_nonnull(strstr(lines, "its name is lost"));
}
END_TEST

/* A manipulated directory that is its own child, and one below its child, end. */
START_TEST(circles_of_directories_end)
{
	struct th_dirent_disk loop = { .type = DT_DIR };
	struct th_fs_key key;

	make_files();
	for (unsigned i = 0; i < 2; i++) { /* with the inode, and without */
		uint64_t id = th_scene_id(&scene, "/d/e");

		loop.target = th_le64(id);
		key = th_fs_key_entry(id, 9, "again", 5);
		th_scene_put(&scene, &key, &loop, sizeof(loop));
		loop.target = th_le64(TH_ROOT_ID);
		key = th_fs_key_entry(id, 10, "root", 4);
		th_scene_put(&scene, &key, &loop, sizeof(loop));
		if (i)
			drop_key(th_fs_key_inode(id));
		rescue();
		expect_text("d/e/f", "content");
		ck_assert_uint_le(result.directories, 2);
		ck_assert_uint_gt(result.lost, 0);
		if (!i) {
			end();
			begin();
			make_files();
		}
	}
}
END_TEST

/* One block of a file is damaged: the others are copied, and it is named by path and bytes. */
START_TEST(damaged_block_is_named_and_left_out)
{
	static char content[5 * TH_BLOCK_SIZE], found[sizeof(content) + 1];
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);
	struct th_fs_key key;
	struct th_extent extent;
	struct th_value value;
	const char *why;

	memset(content, 'x', sizeof(content) - 1);
	ck_assert_int_eq(make_file("/f"), 0);
	th_scene_write(&scene, "/f", content);
	th_scene_reopen(&scene);
	key = th_fs_key_extent(th_scene_id(&scene, "/f"), 0);
	ck_assert_int_eq(th_get(scene.fs->live, th_fs_key_slice(&key), &value), 0);
	ck_assert_int_eq(th_extent_decode(0, (struct th_slice){ value.data, value.size }, &extent, &why), 0);
	ck_assert_uint_eq(extent.blocks, 5);
	memset(block, 'y', TH_BLOCK_SIZE);
	ck_assert_int_eq(th_disk_write(scene.fs->disk, extent.run.addr + 2, 1, block), 0);
	th_value_release(&value);
	free(block);
	rescue();
	ck_assert_str_eq(lines, "f: bytes 8192 to 12287 cannot be read\n");
	ck_assert_uint_eq(read_target("f", found, sizeof(found)), sizeof(content) - 1);
	memset(content + 8192, 0, TH_BLOCK_SIZE);
	ck_assert_mem_eq(found, content, sizeof(content) - 1);
}
END_TEST

START_TEST(missing_target_is_an_error)
{
	ck_assert_int_eq(th_rescue(scene.fs, scene.fs->live, "/nowhere", take_line, NULL, &result), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rescue");
	TCase *tcase = tcase_create("rescue");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, whole_filesystem_is_copied_without_loss);
	tcase_add_test(tcase, directory_without_inode_keeps_its_name_and_content);
	tcase_add_test(tcase, file_without_inode_keeps_its_data);
	tcase_add_test(tcase, nameless_directory_is_put_into_lost_and_found);
	tcase_add_test(tcase, circles_of_directories_end);
	tcase_add_test(tcase, damaged_block_is_named_and_left_out);
	tcase_add_test(tcase, missing_target_is_an_error);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
