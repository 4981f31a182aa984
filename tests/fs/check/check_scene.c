/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fs/check/check_scene.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/check/check.h"
#include "fs/data/file.h"
#include "fs/dir/namei.h"
#include "journal/disk/disk.h"

struct th_fs *check_fs;
struct th_disk *check_image;
uint64_t check_directory, check_file;
char check_report[4096];

static uint64_t make(struct th_inode *dir, const char *name, uint32_t mode, struct th_inode **ret)
{
	struct th_namei_new new_inode = { .mode = mode };

	ck_assert_int_eq(th_namei_create(dir, (struct th_slice){ name, strlen(name) }, &new_inode, ret), 0);
	return (*ret)->id;
}

void check_scene_open(void)
{
	static uint8_t bytes[20000];
	struct th_format_options format = { 0 };
	struct th_fs_options options = { 0 };
	struct th_inode *d, *f;

	ck_assert_int_eq(th_disk_memory_new((64u << 20) / TH_BLOCK_SIZE, &check_image), 0);
	ck_assert_int_eq(th_fs_format(check_image, &format, 0, 0), 0);
	ck_assert_int_eq(th_fs_open(check_image, &options, &check_fs), 0);
	check_directory = make(check_fs->root, "d", S_IFDIR | 0755, &d);
	check_file = make(d, "f", S_IFREG | 0644, &f);
	memset(bytes, 'x', sizeof(bytes));
	ck_assert_int_eq(th_file_write(f, bytes, sizeof(bytes), 0, 0), sizeof(bytes));
	ck_assert_int_eq(th_namei_link(f, check_fs->root, (struct th_slice){ "l", 1 }), 0);
	th_inode_put(f);
	th_inode_put(d);
	ck_assert_int_eq(th_fs_sync(check_fs), 0);
	ck_assert_int_eq(th_store_checkpoint(check_fs->store), 0);
}

void check_scene_close(void)
{
	th_fs_close(check_fs);
}

/* Appends a line to the report. */
static void note(void *arg, const char *line)
{
	size_t used = strlen(check_report);

	(void)arg;
	snprintf(check_report + used, sizeof(check_report) - used, "%s\n", line);
}

uint64_t check_problems(void)
{
	struct th_fs_check_options options = { .read_data = true, .problem = note };
	struct th_check_result result;

	check_report[0] = 0;
	ck_assert_int_eq(th_store_checkpoint(check_fs->store), 0);
	ck_assert_int_eq(th_fs_check(check_fs, &options, &result), 0);
	return result.problems;
}

void check_expect(const char *words)
{
	uint64_t found = check_problems();

	ck_assert_msg(found > 0 && strstr(check_report, words), "%llu problems, none '%s':\n%s",
		      (unsigned long long)found, words, check_report);
}
