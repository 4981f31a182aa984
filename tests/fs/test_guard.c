/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a file while its blocks are on their way from the disk: others may change the file, but what is being read is
 * not given up.  The disk of these tests has a gate that, once closed, the next read stops at.
 */
#include <check.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/file.h"
#include "fs/namei.h"
#include "journal/disk.h"
#include "tests/support/random.h"

#define IMAGE_BLOCKS (64u << 8)
#define FILE_BYTES (16u * TH_BLOCK_SIZE)
#define READ_BYTES (4u * TH_BLOCK_SIZE)

/* --- the disk --- */

static struct th_disk *below;
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool gate_closed;
static bool gate_waiting; /* the first read since it was closed */

static void gated_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future)
{
	(void)disk;
	pthread_mutex_lock(&gate_lock);
	if (gate_closed && !gate_waiting) {
		gate_waiting = true;
		pthread_cond_broadcast(&gate_moved);
		while (gate_closed)
			pthread_cond_wait(&gate_moved, &gate_lock);
		gate_waiting = false;
	}
	pthread_mutex_unlock(&gate_lock);
	th_disk_get(below, addr, blocks, buf, future);
}

static void gated_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt,
		       struct th_future *future)
{
	(void)disk;
	th_disk_save(below, addr, iov, iovcnt, future);
}

static void gated_flush(struct th_disk *disk, struct th_future *future)
{
	(void)disk;
	th_disk_flush(below, future);
}

static void gated_close(struct th_disk *disk)
{
	th_disk_close(below);
	free(disk);
}

static const struct th_disk_ops gated_ops = {
	.get = gated_get,
	.save = gated_save,
	.flush = gated_flush,
	.close = gated_close,
};

static void gate_set(bool closed)
{
	pthread_mutex_lock(&gate_lock);
	gate_closed = closed;
	pthread_cond_broadcast(&gate_moved);
	pthread_mutex_unlock(&gate_lock);
}

static void gate_await_reader(void)
{
	pthread_mutex_lock(&gate_lock);
	while (!gate_waiting)
		pthread_cond_wait(&gate_moved, &gate_lock);
	pthread_mutex_unlock(&gate_lock);
}

/* --- the filesystem, with one file that is on disk --- */

static struct th_fs *fs;
static struct th_inode *file;
static uint8_t content[FILE_BYTES];

static void setup(void)
{
	struct th_namei_new what = { .mode = S_IFREG | 0600 };
	struct th_format_options format = { .label = "guard" };
	struct th_fs_options options = { .commit_interval_ms = 3600000 };
	struct th_random rnd = { .state = 1 };
	struct th_disk *disk = calloc(1, sizeof(*disk));

	gate_closed = gate_waiting = false;
	ck_assert_ptr_nonnull(disk);
	ck_assert_int_eq(th_disk_memory_new(IMAGE_BLOCKS, &below), 0);
	*disk = (struct th_disk){ .ops = &gated_ops, .blocks = IMAGE_BLOCKS, .name = "gated" };
	ck_assert_int_eq(th_fs_format(disk, &format, 0, 0), 0);
	ck_assert_int_eq(th_fs_open(disk, &options, &fs), 0);
	ck_assert_int_eq(th_namei_create(fs->root, (struct th_slice){ "file", 4 }, &what, &file), 0);
	th_random_fill(&rnd, content, sizeof(content));
	ck_assert_int_eq(th_file_write(file, content, sizeof(content), 0, 0), sizeof(content));
	ck_assert_int_eq(th_fs_sync(fs), 0);
	ck_assert_int_eq(th_store_commit(fs->store), 0);
}

static void teardown(void)
{
	th_inode_put(file);
	ck_assert_int_eq(th_fs_close(fs), 0);
}

static void *read_begin(void *arg)
{
	int *ret = arg;
	struct th_file_data data;

	*ret = th_file_read(file, 0, READ_BYTES, &data);
	if (*ret == 0 && (data.size != READ_BYTES || memcmp(data.data, content, READ_BYTES) != 0))
		*ret = 1;
	th_file_data_release(&data);
	return NULL;
}

/* --- */

START_TEST(others_go_on)
{
	struct th_random rnd = { .state = 2 };
	uint8_t other[TH_BLOCK_SIZE];
	pthread_t reader;
	int r = -1;

	th_random_fill(&rnd, other, sizeof(other));
	gate_set(true);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_begin, &r), 0);
	gate_await_reader();
	/* All of these take the inode's lock for writing. */
	ck_assert_int_eq(th_file_write(file, other, sizeof(other), FILE_BYTES, 0), sizeof(other));
	ck_assert_int_eq(th_file_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, READ_BYTES, READ_BYTES),
			 0);
	ck_assert_int_eq(th_file_write(file, other, sizeof(other), 0, 0), sizeof(other));
	gate_set(false);
	pthread_join(reader, NULL);
	ck_assert_int_eq(r, 0);
}
END_TEST

static atomic_bool given_up;

static void *give_up(void *arg)
{
	int *ret = arg;

	*ret = th_file_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, READ_BYTES);
	for (int i = 0; i < 3 && *ret == 0; i++)
		*ret = th_store_commit(fs->store); /* then the blocks may be somebody else's */
	atomic_store(&given_up, true);
	return NULL;
}

START_TEST(what_is_read_is_kept)
{
	pthread_t reader, other;
	int r = -1, other_r = -1;

	atomic_store(&given_up, false);
	gate_set(true);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_begin, &r), 0);
	gate_await_reader();
	ck_assert_int_eq(pthread_create(&other, NULL, give_up, &other_r), 0);
	usleep(50000); /* time enough to do what it must not */
	ck_assert(!atomic_load(&given_up));
	gate_set(false);
	pthread_join(reader, NULL);
	pthread_join(other, NULL);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(other_r, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guard");
	TCase *cases = tcase_create("guard");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, others_go_on);
	tcase_add_test(cases, what_is_read_is_kept);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
