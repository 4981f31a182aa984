/* SPDX-License-Identifier: Apache-2.0 */
/* Disks in files: opening, locking, and transfers by system calls. */
#include "journal/disk/disk_file.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/journal/disk/disks.h"

START_TEST(lock_excludes_writers_and_admits_readers)
{
	const char *path = th_test_file(TH_BLOCK_SIZE * 8);
	struct th_disk *first, *second;

	th_ok(th_disk_open(path, 0, &first));
	ck_assert_int_eq(th_disk_open(path, 0, &second), -EBUSY);
	ck_assert_int_eq(th_disk_open(path, TH_DISK_READ_ONLY, &second), -EBUSY);
	th_disk_close(first);
	th_ok(th_disk_open(path, TH_DISK_READ_ONLY, &first));
	th_ok(th_disk_open(path, TH_DISK_READ_ONLY, &second));
	th_disk_close(first);
	ck_assert_int_eq(th_disk_open(path, 0, &first), -EBUSY);
	th_disk_close(second);
	th_ok(th_disk_open(path, 0, &first));
	th_disk_close(first);
	th_disk_close(NULL);
}
END_TEST

/* Otherwise a program whose standard streams are closed would print onto the disk. */
START_TEST(descriptor_is_not_that_of_a_standard_stream)
{
	const char *path = th_test_file(TH_BLOCK_SIZE * 8);
	int saved = dup(STDIN_FILENO);
	struct th_disk *disk;
	char found[PATH_MAX];

	close(STDIN_FILENO);
	th_ok(th_disk_open(path, _i ? TH_DISK_THREADS : 0, &disk));
	ck_assert(!realpath("/proc/self/fd/0", found) || !strstr(found, path));
	th_disk_close(disk);
	if (saved >= 0)
		dup2(saved, STDIN_FILENO);
}
END_TEST

START_TEST(read_only_disk_refuses_saves)
{
	const char *path = th_test_file(TH_BLOCK_SIZE * 8);
	char *block = th_test_block(1);
	struct iovec iov = { .iov_base = block, .iov_len = TH_BLOCK_SIZE };
	struct th_disk *disk;

	th_ok(chmod(path, 0400));
	th_ok(th_disk_open(path, TH_DISK_READ_ONLY | (_i ? TH_DISK_THREADS : 0), &disk));
	ck_assert_str_eq(disk->name, path);
	ck_assert_int_eq(th_disk_write(disk, 0, 1, block), -EROFS);
	ck_assert_int_eq(th_test_save(disk, 0, &iov, 1), -EROFS);
	th_ok(th_disk_read(disk, 0, 1, block));
	th_ok(th_disk_sync(disk));
	th_disk_close(disk);
	free(block);
}
END_TEST

START_TEST(only_files_and_devices_are_opened)
{
	struct th_disk *disk;

	ck_assert_int_eq(th_disk_open("/dev/null", 0, &disk), -ENOTBLK);
	ck_assert_int_eq(th_disk_open(".", 0, &disk), -EISDIR);
	ck_assert_int_eq(th_disk_open("no-such-file.img", 0, &disk), -ENOENT);
	th_ok(th_disk_open(th_test_file(100), 0, &disk));
	ck_assert_uint_eq(disk->blocks, 0);
	th_disk_close(disk);
}
END_TEST

START_TEST(file_shortened_while_open_gives_eio)
{
	struct th_disk *disk = th_test_disk(_i);
	char *buf = th_disk_buffer(8 * TH_BLOCK_SIZE);

	th_ok(truncate(disk->name, 4 * TH_BLOCK_SIZE));
	ck_assert_int_eq(th_disk_read(disk, 100, 1, buf), -EIO);
	ck_assert_int_eq(th_test_get(disk, 100, 1, buf), -EIO);
	ck_assert_int_eq(th_test_get(disk, 0, 8, buf), -EIO);
	th_ok(th_test_get(disk, 0, 4, buf));
	free(buf);
	th_disk_close(disk);
}
END_TEST

/* A transfer that stopped after `done` bytes: only the rest is transferred, at the right place. */
START_TEST(rest_of_a_short_transfer_is_transferred)
{
	static const size_t dones[] = { 0, 1, 1000, TH_BLOCK_SIZE, TH_BLOCK_SIZE + 5, 3 * TH_BLOCK_SIZE - 1 };
	size_t done = dones[_i], size = 3 * TH_BLOCK_SIZE;
	char *buf = th_disk_buffer(size), *found = th_disk_buffer(size);
	struct iovec iov[] = { { buf, TH_BLOCK_SIZE }, { buf + TH_BLOCK_SIZE, 2 * TH_BLOCK_SIZE } };
	struct th_transfer save = th_transfer_save(2, iov, 2), get = th_transfer_get(2, 3, found);
	struct th_disk_file file = { .fd = -1 };
	const char *path = th_test_file(TH_BLOCK_SIZE * 8);

	th_ok(th_disk_file_open(&file, path, "name", TH_DISK_BUFFERED));
	ck_assert_str_eq(file.disk.name, "name");
	for (size_t i = 0; i < size; i++)
		buf[i] = (char)(1 + i % 100);
	th_ok(th_disk_file_run(&file, &save, done));
	memset(found, 0x7f, size);
	th_ok(th_disk_file_run(&file, &get, 0));
	for (size_t i = 0; i < size; i++)
		th_check(found[i] == (i < done ? 0 : buf[i]));
	memset(found, 0x7f, size);
	th_ok(th_disk_file_run(&file, &get, done));
	for (size_t i = 0; i < size; i++)
		th_check(found[i] == (i < done ? 0x7f : buf[i]));
	th_disk_file_release(&file);
	free(buf);
	free(found);
}
END_TEST

static blkcnt_t sectors_of(const char *path)
{
	struct stat st;

	th_ok(stat(path, &st));
	return st.st_blocks;
}

START_TEST(discarding_punches_a_hole_into_the_file)
{
	const char *path = th_test_file(TH_BLOCK_SIZE * 64);
	char *blocks = th_disk_buffer(64 * TH_BLOCK_SIZE);
	struct th_disk *disk;
	blkcnt_t before;
	int err;

	memset(blocks, 1, 64 * TH_BLOCK_SIZE);
	th_ok(th_disk_open(path, _i ? TH_DISK_THREADS : 0, &disk));
	th_ok(th_disk_write(disk, 0, 64, blocks));
	th_ok(th_disk_sync(disk));
	before = sectors_of(path);
	err = th_disk_discard(disk, 16, 32);
	ck_assert(!err || err == -EOPNOTSUPP);
	if (!err)
		ck_assert_int_le(sectors_of(path), before - 32 * (TH_BLOCK_SIZE / 512));
	ck_assert_uint_eq(disk->blocks, 64);
	th_disk_close(disk);
	th_ok(th_disk_open(path, TH_DISK_READ_ONLY | (_i ? TH_DISK_THREADS : 0), &disk));
	ck_assert_int_eq(th_disk_discard(disk, 0, 1), -EROFS);
	th_disk_close(disk);
	free(blocks);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("disk_file");
	TCase *tcase = tcase_create("disk_file");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, NULL, th_test_file_remove);
	tcase_add_test(tcase, lock_excludes_writers_and_admits_readers);
	tcase_add_loop_test(tcase, descriptor_is_not_that_of_a_standard_stream, 0, 2);
	tcase_add_loop_test(tcase, read_only_disk_refuses_saves, 0, 2);
	tcase_add_loop_test(tcase, discarding_punches_a_hole_into_the_file, 0, 2);
	tcase_add_test(tcase, only_files_and_devices_are_opened);
	tcase_add_loop_test(tcase, file_shortened_while_open_gives_eio, 0, TH_TEST_FILE_KINDS);
	tcase_add_loop_test(tcase, rest_of_a_short_transfer_is_transferred, 0, 6);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
