/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File data and power cuts.  Files are written once, each with bytes computed from its number, some with fsync; then
 * crash images of random ages are opened.  Synced files must be complete.  All other data must be the file's own bytes
 * or zeros, never those of another file, and the checker must find no problem.  A disk that fails at any time must
 * cause errors only, not a crash.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/check/check.h"
#include "fs/data/file.h"
#include "fs/data/file_pages.h"
#include "fs/dir/namei.h"
#include "journal/disk/disk.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

#define IMAGE_BLOCKS ((48u << 20) >> TH_BLOCK_SHIFT)
#define FILES 60
#define SIZE_MAX_KIB 600

struct file {
	uint64_t size;
	uint64_t synced; /* events of the disk when fsync returned; 0: not synced */
};

static struct th_random rnd;
static struct th_disk *disk;
static struct th_fs *fs;
static struct file files[FILES];
static unsigned nfiles;

static int fs_open(struct th_disk *on, unsigned commit_ms, struct th_fs **ret)
{
	struct th_fs_options options = { .checkpoint_interval_ms = commit_ms };

	return th_fs_open(on, &options, ret);
}

static void fs_make(void)
{
	struct th_format_options format = { .label = "crash" };
	struct th_disk *memory;

	ck_assert_int_eq(th_disk_memory_new(IMAGE_BLOCKS, &memory), 0);
	ck_assert_int_eq(th_disk_fault_new(memory, &disk), 0);
	ck_assert_int_eq(th_fs_format(disk, &format, 0, 0), 0);
	ck_assert_int_eq(th_disk_fault_reset(disk), 0);
	ck_assert_int_eq(fs_open(disk, 30, &fs), 0);
}

static struct th_slice file_name(unsigned i, char *space)
{
	return (struct th_slice){ space, sprintf(space, "file%u", i) };
}

/* Returns byte `at` of file i, which is never 0. */
static uint8_t file_byte(unsigned i, uint64_t at)
{
	return 1 + (i * 7919 + at * 31 + (at >> 12) * 101) % 255;
}

static int file_write(unsigned i)
{
	struct th_namei_new what = { .mode = S_IFREG | 0600 };
	uint64_t size = 1 + th_random_below(&rnd, th_random_percent(&rnd, 40) ? 2000 : SIZE_MAX_KIB << 10);
	uint8_t *data = malloc(size);
	struct th_inode *inode = NULL;
	char name[16];
	int err = th_namei_create(fs->root, file_name(i, name), &what, &inode);

	for (uint64_t at = 0; at < size; at++)
		data[at] = file_byte(i, at);
	for (uint64_t at = 0; !err && at < size;) {
		uint64_t part = 1 + th_random_below(&rnd, 200000);
		ssize_t done = th_file_write(inode, data + at, part < size - at ? part : size - at, at, 0);

		err = done < 0 ? done : 0;
		at += err ? 0 : done;
	}
	files[i] = (struct file){ .size = size };
	if (!err && th_random_percent(&rnd, 40)) {
		err = th_file_sync(inode);
		if (!err)
			files[i].synced = th_disk_fault_events(disk);
	}
	th_inode_put(inode);
	free(data);
	return err;
}

/* --- checking a crash image --- */

/* whole: the file was synced before the crash. */
static void check_file(struct th_fs *crashed, unsigned i, bool whole)
{
	struct th_file_data data;
	struct th_inode *inode;
	char name[16];
	int err = th_namei_lookup(crashed->root, file_name(i, name), &inode);

	if (err == -ENOENT && !whole)
		return;
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(th_file_read(inode, 0, files[i].size + 1, &data), 0);
	if (whole)
		ck_assert_uint_eq(data.size, files[i].size);
	ck_assert_uint_le(data.size, files[i].size);
	for (uint64_t at = 0; at < data.size; at++) {
		uint8_t byte = ((const uint8_t *)data.data)[at];

		if (byte != file_byte(i, at) && (whole || byte))
			ck_abort_msg("file %u: byte %llu is %02x, expected %02x", i, (unsigned long long)at, byte,
				     file_byte(i, at));
	}
	th_file_data_release(&data);
	th_inode_put(inode);
}

static void problem(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "check: %s\n", line);
}

static void check_image(uint64_t events)
{
	struct th_fs_check_options options = { .read_data = true, .problem = problem };
	struct th_check_result result;
	struct th_disk *image;
	struct th_fs *crashed;

	ck_assert_int_eq(th_disk_fault_crash_image(disk, events, th_random_next(&rnd), &image), 0);
	ck_assert_int_eq(fs_open(image, 60000, &crashed), 0);
	for (unsigned i = 0; i < nfiles; i++)
		check_file(crashed, i, files[i].synced && files[i].synced <= events);
	ck_assert_int_eq(th_store_checkpoint(crashed->store), 0);
	ck_assert_int_eq(th_fs_check(crashed, &options, &result), 0);
	ck_assert_uint_eq(result.problems, 0);
	ck_assert_int_eq(th_fs_close(crashed), 0);
}

START_TEST(synced_files_survive_a_power_cut)
{
	uint64_t first;

	rnd.state = th_test_seed("file/crash");
	fs_make();
	first = th_disk_fault_events(disk);
	for (nfiles = 0; nfiles < FILES; nfiles++)
		ck_assert_int_eq(file_write(nfiles), 0);
	for (unsigned round = 0; round < th_test_rounds(60); round++)
		check_image(first + th_random_below(&rnd, th_disk_fault_events(disk) - first + 1));
	ck_assert_int_eq(th_fs_close(fs), 0);
}
END_TEST

/* --- failing disks --- */

static void fail_at(enum th_fault_kind kind, uint64_t nth)
{
	struct th_inode *inode;
	char name[16];

	fs_make();
	th_disk_fault_arm(disk, kind, nth);
	nfiles = 0;
	while (nfiles < 12 && !file_write(nfiles))
		nfiles++;
	for (unsigned i = 0; i < nfiles; i++) {
		struct th_file_data data;

		if (th_namei_lookup(fs->root, file_name(i, name), &inode))
			continue;
		if (!th_file_read(inode, 0, files[i].size, &data))
			th_file_data_release(&data);
		th_inode_put(inode);
	}
	th_fs_close(fs);
}

START_TEST(a_failing_disk_causes_only_errors)
{
	rnd.state = th_test_seed("file/fail");
	for (unsigned round = 0; round < th_test_rounds(40); round++)
		fail_at(round % 2 ? TH_FAULT_ERROR : TH_FAULT_CUT, th_random_below(&rnd, 60));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("file_crash");
	TCase *cases = tcase_create("crash");

	tcase_add_test(cases, synced_files_survive_a_power_cut);
	tcase_add_test(cases, a_failing_disk_causes_only_errors);
	tcase_set_timeout(cases, 600);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
