/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File data from several threads: each writes a file of its own, which it compares with a model, and copies from and to
 * a shared file, while another thread creates and deletes snapshots.  Meant for the thread sanitizer.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/attr/attr.h"
#include "fs/data/copy.h"
#include "fs/data/file.h"
#include "fs/data/file_pages.h"
#include "fs/data/writeback_list.h"
#include "fs/dir/namei.h"
#include "fs/fs.h"
#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

#define WRITERS 3
#define FILE_MAX (256u << 10)

static struct th_fs *fs;
static struct th_inode *shared; /* written by all threads, with unknown content */
static uint64_t seed;
static unsigned rounds;
static _Atomic unsigned running;

struct writer {
	unsigned number;
	struct th_random rnd;
	struct th_inode *file;
	uint8_t *model;
	uint64_t size;
	const char *trouble;
};

static void trouble(struct writer *writer, bool ok, const char *operation)
{
	if (!ok && !writer->trouble)
		writer->trouble = operation;
}

static struct th_slice writer_name(const struct writer *writer, char *space)
{
	return (struct th_slice){ space, sprintf(space, "writer%u", writer->number) };
}

static void writer_create(struct writer *writer)
{
	struct th_namei_new what = { .mode = S_IFREG | 0600 };
	char name[16];

	trouble(writer, !th_namei_create(fs->root, writer_name(writer, name), &what, &writer->file), "create");
	memset(writer->model, 0, FILE_MAX);
	writer->size = 0;
}

static void writer_replace(struct writer *writer)
{
	char name[16];

	trouble(writer, !th_namei_unlink(fs->root, writer_name(writer, name)), "unlink");
	th_inode_put(writer->file);
	writer_create(writer);
}

static void writer_write(struct writer *writer, uint64_t off, size_t size)
{
	th_random_fill(&writer->rnd, writer->model + off, size);
	trouble(writer, th_file_write(writer->file, writer->model + off, size, off, 0) == (ssize_t)size, "write");
	if (off + size > writer->size)
		writer->size = off + size;
}

static void writer_compare(struct writer *writer)
{
	struct th_file_data data;
	int err = th_file_read(writer->file, 0, FILE_MAX, &data);

	trouble(writer,
		!err && data.size == writer->size && (!data.size || !memcmp(data.data, writer->model, data.size)),
		"compare");
	th_file_data_release(&data);
}

static void writer_truncate(struct writer *writer, uint64_t size)
{
	trouble(writer, !th_attr_set(writer->file, TH_ATTR_SIZE, &(struct th_attr){ .size = size }), "truncate");
	if (size < writer->size)
		memset(writer->model + size, 0, writer->size - size);
	writer->size = size;
}

static void writer_exchange(struct writer *writer, uint64_t off, size_t size)
{
	struct th_file_data data;
	uint64_t done;

	if (th_random_percent(&writer->rnd, 50)) {
		trouble(writer, !th_file_copy_range(writer->file, off, shared, off, size, &done), "copy to");
		return;
	}
	trouble(writer, !th_file_copy_range(shared, off, writer->file, off, size, &done), "copy from");
	if (!done)
		return;
	trouble(writer, !th_file_read(writer->file, off, done, &data) && data.size == done, "read");
	memcpy(writer->model + off, data.data, data.size);
	th_file_data_release(&data);
	if (off + done > writer->size)
		writer->size = off + done;
}

static void writer_step(struct writer *writer)
{
	uint64_t off = th_random_below(&writer->rnd, FILE_MAX);
	size_t size = 1 + th_random_below(&writer->rnd, FILE_MAX - off);
	unsigned what = th_random_below(&writer->rnd, 100);

	if (th_random_percent(&writer->rnd, 50))
		off &= ~(uint64_t)(TH_BLOCK_SIZE - 1);
	if (what < 40)
		writer_write(writer, off, size);
	else if (what < 55)
		writer_compare(writer);
	else if (what < 65)
		writer_truncate(writer, off);
	else if (what < 85)
		writer_exchange(writer, off, size);
	else if (what < 90)
		trouble(writer, !th_file_sync(writer->file), "sync");
	else if (what < 95)
		writer_replace(writer);
	else
		trouble(writer, !th_writeback_all(fs), "writeback");
}

static void *writer_run(void *arg)
{
	struct writer *writer = arg;

	for (unsigned i = 0; i < rounds && !writer->trouble; i++)
		writer_step(writer);
	writer_compare(writer);
	running--;
	return NULL;
}

static void *snapshot_run(void *arg)
{
	struct th_snapshot snapshot;
	const char **what = arg;

	while (running && !*what) {
		if (th_fs_snapshot_create(fs, "now", &snapshot) || th_fs_snapshot_delete(fs, "now"))
			*what = "snapshot";
	}
	return NULL;
}

static void fs_make(void)
{
	struct th_fs_options options = { .checkpoint_interval_ms = 50 };
	struct th_format_options format = { .label = "threads" };
	struct th_namei_new what = { .mode = S_IFREG | 0600 };
	char path[] = "/tmp/th-test-threads-XXXXXX";
	struct th_disk *disk;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 256 << 20), 0);
	close(fd);
	ck_assert_int_eq(th_disk_open(path, 0, &disk), 0);
	ck_assert_int_eq(th_fs_format(disk, &format, 0, 0), 0);
	th_disk_close(disk);
	ck_assert_int_eq(th_disk_open(path, 0, &disk), 0);
	unlink(path);
	ck_assert_int_eq(th_fs_open(disk, &options, &fs), 0);
	ck_assert_int_eq(th_namei_create(fs->root, (struct th_slice){ "shared", 6 }, &what, &shared), 0);
}

START_TEST(concurrent_operations_match_a_model_for_each_thread)
{
	struct writer writers[WRITERS] = { { 0 } };
	pthread_t threads[WRITERS + 1];
	const char *snapshot_trouble = NULL;

	seed = th_test_seed("file/threads");
	rounds = th_test_rounds(400);
	fs_make();
	running = WRITERS;
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].number = i;
		writers[i].rnd.state = seed + i;
		writers[i].model = malloc(FILE_MAX);
		writer_create(&writers[i]);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, writer_run, &writers[i]), 0);
	}
	ck_assert_int_eq(pthread_create(&threads[WRITERS], NULL, snapshot_run, &snapshot_trouble), 0);
	for (unsigned i = 0; i <= WRITERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_ptr_null(snapshot_trouble);
	for (unsigned i = 0; i < WRITERS; i++) {
		ck_assert_msg(!writers[i].trouble, "writer %u: %s", i, writers[i].trouble);
		th_inode_put(writers[i].file);
		free(writers[i].model);
	}
	th_inode_put(shared);
	ck_assert_int_eq(th_fs_close(fs), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("file_threads");
	TCase *cases = tcase_create("threads");

	tcase_add_test(cases, concurrent_operations_match_a_model_for_each_thread);
	tcase_set_timeout(cases, 600);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
