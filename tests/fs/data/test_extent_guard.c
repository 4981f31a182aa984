/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that waits for the disk, in a read or in a change of a part of a block, does not keep other threads from
 * using and changing the file; but the blocks that it reads are not freed.  The disk of these tests has a gate: once it
 * is closed, the next read stops at it.
 */
#include <check.h>
#include <errno.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "fs/attr/attr.h"
#include "fs/data/copy.h"
#include "fs/data/fallocate.h"
#include "fs/data/file.h"
#include "fs/dir/namei.h"
#include "fs/fs.h"
#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

#define IMAGE_BLOCKS (96u << 8)
#define FILE_BYTES (16u * TH_BLOCK_SIZE)
#define READ_BYTES (4u * TH_BLOCK_SIZE)

/* --- the disk --- */

static struct th_disk *below;
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool gate_closed;
static bool gate_waiting; /* a read has stopped at the gate: the first since it was closed */

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

/* --- the filesystem, with one file on disk --- */

static struct th_disk *disk;
static struct th_fs *fs;
static struct th_inode *file;
static struct th_inode *copy; /* empty */
static uint8_t content[FILE_BYTES];

/* The hash of names has a random key otherwise, and a name may be in a leaf that has been read already. */
static uint64_t fixed_hash(const void *name, size_t size)
{
	return XXH3_64bits(name, size);
}

static void open_fs(void)
{
	struct th_fs_options options = { .checkpoint_interval_ms = 3600000, .name_hash = fixed_hash };
	struct th_disk *lent = th_disk_lend(disk);

	ck_assert_ptr_nonnull(lent);
	ck_assert_int_eq(th_fs_open(lent, &options, &fs), 0);
}

static void setup(void)
{
	struct th_namei_new what = { .mode = S_IFREG | 0600 };
	struct th_format_options format = { .label = "guard" };
	struct th_random rnd = { .state = 1 };

	disk = calloc(1, sizeof(*disk));
	gate_closed = gate_waiting = false;
	ck_assert_ptr_nonnull(disk);
	ck_assert_int_eq(th_disk_memory_new(IMAGE_BLOCKS, &below), 0);
	*disk = (struct th_disk){ .ops = &gated_ops, .blocks = IMAGE_BLOCKS, .name = "gated" };
	ck_assert_int_eq(th_fs_format(disk, &format, 0, 0), 0);
	open_fs();
	ck_assert_int_eq(th_namei_create(fs->root, (struct th_slice){ "file", 4 }, &what, &file), 0);
	ck_assert_int_eq(th_namei_create(fs->root, (struct th_slice){ "copy", 4 }, &what, &copy), 0);
	th_random_fill(&rnd, content, sizeof(content));
	ck_assert_int_eq(th_file_write(file, content, sizeof(content), 0, 0), sizeof(content));
	ck_assert_int_eq(th_fs_sync(fs), 0);
	ck_assert_int_eq(th_store_checkpoint(fs->store), 0);
}

static void teardown(void)
{
	th_inode_put(file);
	th_inode_put(copy);
	ck_assert_int_eq(th_fs_close(fs), 0);
	th_disk_close(disk);
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

/* --- reading --- */

START_TEST(a_read_does_not_block_writers_of_its_file)
{
	struct th_random rnd = { .state = 2 };
	uint8_t other[TH_BLOCK_SIZE];
	pthread_t reader;
	int err = -1;

	th_random_fill(&rnd, other, sizeof(other));
	gate_set(true);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_begin, &err), 0);
	gate_await_reader();
	/* All of these take the inode's lock for writing. */
	ck_assert_int_eq(th_file_write(file, other, sizeof(other), FILE_BYTES, 0), sizeof(other));
	ck_assert_int_eq(th_file_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, READ_BYTES, READ_BYTES),
			 0);
	ck_assert_int_eq(th_file_write(file, other, sizeof(other), 0, 0), sizeof(other));
	gate_set(false);
	pthread_join(reader, NULL);
	ck_assert_int_eq(err, 0);
}
END_TEST

static atomic_bool freed;

static void *free_blocks(void *arg)
{
	int *ret = arg;

	*ret = th_file_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, READ_BYTES);
	for (int i = 0; i < 3 && *ret == 0; i++)
		*ret = th_store_checkpoint(fs->store); /* then the blocks may be reused */
	atomic_store(&freed, true);
	return NULL;
}

START_TEST(blocks_are_not_freed_while_they_are_read)
{
	pthread_t reader, other;
	int err = -1, other_err = -1;

	atomic_store(&freed, false);
	gate_set(true);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_begin, &err), 0);
	gate_await_reader();
	ck_assert_int_eq(pthread_create(&other, NULL, free_blocks, &other_err), 0);
	usleep(50000); /* time for a wrong free; a slow machine only makes the test less strict */
	ck_assert(!atomic_load(&freed));
	gate_set(false);
	pthread_join(reader, NULL);
	pthread_join(other, NULL);
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(other_err, 0);
}
END_TEST

/* --- changing a part of a block that is only on disk --- */

#define PART_FROM (2u * TH_BLOCK_SIZE + 1000)
#define PART_SIZE 100u
#define PART_END (PART_FROM + PART_SIZE)

static uint8_t part[PART_SIZE];
static uint64_t copied;

static int part_write(void)
{
	ssize_t done = th_file_write(file, part, PART_SIZE, PART_FROM, 0);

	return done == PART_SIZE ? 0 : done < 0 ? (int)done : -EIO;
}

static int part_truncate(void)
{
	return th_attr_set(file, TH_ATTR_SIZE, &(struct th_attr){ .size = PART_FROM });
}

static int part_punch(void)
{
	return th_file_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PART_FROM, PART_SIZE);
}

static int part_zero(void)
{
	return th_file_fallocate(file, FALLOC_FL_ZERO_RANGE, PART_FROM, PART_SIZE);
}

/* Copies from memory into the middle of a block. */
static int part_copy_to(void)
{
	return th_file_copy_range(copy, 0, file, PART_FROM, PART_SIZE, &copied);
}

/* Copies from the disk to a hole. */
static int part_copy_from(void)
{
	return th_file_copy_range(file, PART_FROM, copy, PART_SIZE, PART_SIZE, &copied);
}

struct part_change {
	int (*make)(void);
	bool zeros; /* the range becomes zeros, not `part` */
	bool ends; /* the file ends at PART_FROM afterwards */
	bool other; /* `copy` is changed, not `file` */
} part_changes[] = {
	{ part_write, .zeros = false }, { part_truncate, .ends = true },  { part_punch, .zeros = true },
	{ part_zero, .zeros = true },   { part_copy_to, .zeros = false }, { part_copy_from, .other = true },
};

struct changer {
	pthread_t thread;
	int (*make)(void);
	int err;
};

/* Reads blocks 4 to 7. */
static int read_middle(void)
{
	struct th_file_data data;
	int err = th_file_read(file, READ_BYTES, READ_BYTES, &data);

	if (err == 0 && (data.size != READ_BYTES || memcmp(data.data, content + READ_BYTES, READ_BYTES) != 0))
		err = -EIO;
	th_file_data_release(&data);
	return err;
}

static void *changer_run(void *arg)
{
	struct changer *changer = arg;

	changer->err = changer->make();
	return NULL;
}

static void changer_begin(struct changer *changer, int (*make)(void))
{
	*changer = (struct changer){ .make = make, .err = -1 };
	ck_assert_int_eq(pthread_create(&changer->thread, NULL, changer_run, changer), 0);
}

static void changer_end(struct changer *changer)
{
	pthread_join(changer->thread, NULL);
	ck_assert_int_eq(changer->err, 0);
}

/* Begins a change, and waits until it has stopped at the gate. */
static void changer_stop(struct changer *changer, int (*make)(void))
{
	gate_set(true);
	changer_begin(changer, make);
	gate_await_reader();
}

static void compare(struct th_inode *inode, uint64_t size)
{
	struct th_file_data data;

	ck_assert_int_eq(th_file_read(inode, 0, FILE_BYTES, &data), 0);
	ck_assert_uint_eq(data.size, size);
	ck_assert(!size || memcmp(data.data, content, size) == 0);
	th_file_data_release(&data);
}

/* Other operations on a file, none of which needs the block at the gate. */
static void use(struct th_inode *inode, uint64_t size)
{
	struct th_file_data data;

	pthread_rwlock_rdlock(&inode->lock); /* as stat(2) */
	ck_assert_uint_eq(inode->attr.size, size);
	pthread_rwlock_unlock(&inode->lock);
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_MODE, &(struct th_attr){ .mode = 0644 }), 0);
	ck_assert_int_eq(th_file_read(inode, 0, TH_BLOCK_SIZE, &data), 0);
	th_file_data_release(&data);
}

static void write_content(uint64_t from, size_t size, uint64_t seed)
{
	struct th_random rnd = { .state = seed };

	th_random_fill(&rnd, content + from, size);
	ck_assert_int_eq(th_file_write(file, content + from, size, from, 0), size);
}

START_TEST(changing_a_part_of_a_block_does_not_block_other_users)
{
	const struct part_change *change = &part_changes[_i];
	struct th_random rnd = { .state = 3 };
	struct changer changer;
	uint64_t size = change->ends ? PART_FROM : FILE_BYTES;

	th_random_fill(&rnd, part, sizeof(part));
	ck_assert_int_eq(th_file_write(copy, part, sizeof(part), 0, 0), sizeof(part));
	changer_stop(&changer, change->make);
	use(file, FILE_BYTES);
	use(copy, PART_SIZE);
	write_content(TH_BLOCK_SIZE, TH_BLOCK_SIZE, 4);
	write_content(0, 10, 5); /* a part of a block too: only the first read stops at the gate */
	gate_set(false);
	changer_end(&changer);
	if (change->other) {
		memcpy(content, part, PART_SIZE);
		memcpy(content + PART_SIZE, content + PART_FROM, PART_SIZE);
	} else if (change->zeros) {
		memset(content + PART_FROM, 0, PART_SIZE);
	} else if (!change->ends) {
		memcpy(content + PART_FROM, part, PART_SIZE);
	}
	compare(change->other ? copy : file, change->other ? 2 * PART_SIZE : size);
}
END_TEST

/* Some of the blocks that are read are in memory. */
START_TEST(a_read_from_memory_and_disk_does_not_block_writers)
{
	struct changer reader;

	write_content(5 * TH_BLOCK_SIZE, TH_BLOCK_SIZE, 4);
	changer_stop(&reader, read_middle);
	use(file, FILE_BYTES);
	write_content(0, TH_BLOCK_SIZE, 5);
	gate_set(false);
	changer_end(&reader);
	compare(file, FILE_BYTES);
}
END_TEST

/* The dirty blocks are on both sides of the blocks that are read. */
START_TEST(a_read_does_not_block_writeback_of_other_blocks)
{
	struct changer reader;

	changer_stop(&reader, read_middle);
	write_content(3 * TH_BLOCK_SIZE, TH_BLOCK_SIZE, 4);
	write_content(8 * TH_BLOCK_SIZE, 2 * TH_BLOCK_SIZE, 5);
	write_content(15 * TH_BLOCK_SIZE, TH_BLOCK_SIZE, 6);
	ck_assert_int_eq(th_fs_sync(fs), 0);
	gate_set(false);
	changer_end(&reader);
	compare(file, FILE_BYTES);
}
END_TEST

START_TEST(two_changes_of_one_block_are_both_kept)
{
	struct changer changer;

	changer_stop(&changer, part_write);
	write_content(PART_END, 50, 4);
	write_content(PART_FROM - 10, 30, 5);
	gate_set(false);
	changer_end(&changer);
	memcpy(content + PART_FROM, part, PART_SIZE);
	compare(file, FILE_BYTES);
}
END_TEST

static int write_back(void)
{
	return th_file_writeback(file);
}

static int truncate_to_zero(void)
{
	return th_attr_set(file, TH_ATTR_SIZE, &(struct th_attr){ .size = 0 });
}

/* Waits until another thread holds the lock of the file. */
static void await_lock(void)
{
	while (!pthread_rwlock_tryrdlock(&file->lock)) {
		pthread_rwlock_unlock(&file->lock);
		usleep(100);
	}
}

/* The writeback replaces the block, so it waits for its reader; the reader then finds another block and retries. */
START_TEST(a_block_replaced_while_it_is_read_is_read_again)
{
	struct changer changer, writer;

	changer_stop(&changer, part_write);
	write_content(2 * TH_BLOCK_SIZE, TH_BLOCK_SIZE, 4);
	changer_begin(&writer, write_back);
	await_lock();
	gate_set(false);
	changer_end(&writer);
	changer_end(&changer);
	memcpy(content + PART_FROM, part, PART_SIZE);
	compare(file, FILE_BYTES);
}
END_TEST

START_TEST(a_block_truncated_while_it_is_read_is_not_used)
{
	struct changer changer, truncater;

	changer_stop(&changer, part_write);
	changer_begin(&truncater, truncate_to_zero);
	await_lock();
	gate_set(false);
	changer_end(&truncater);
	changer_end(&changer);
	memset(content, 0, PART_FROM);
	memcpy(content + PART_FROM, part, PART_SIZE);
	compare(file, PART_END);
}
END_TEST

/* --- a directory whose entries are only on disk --- */

#define NAMES 12000

static struct th_slice name_of(unsigned i, char *space)
{
	return (struct th_slice){ space, sprintf(space, "name%u", i) };
}

static int look_up(void)
{
	struct th_inode *inode = NULL;
	char space[16];
	int err = th_namei_lookup(fs->root, name_of(NAMES / 2, space), &inode);

	th_inode_put(inode);
	return err;
}

static int create(void)
{
	struct th_namei_new what = { .mode = S_IFREG | 0600 };
	struct th_inode *inode = NULL;
	int err = th_namei_create(fs->root, (struct th_slice){ "new", 3 }, &what, &inode);

	th_inode_put(inode);
	return err;
}

static int unlink_name(void)
{
	char space[16];

	return th_namei_unlink(fs->root, name_of(NAMES / 2, space));
}

static int rename_name(void)
{
	char space[16];

	return th_namei_rename(fs->root, name_of(NAMES / 2, space), fs->root, (struct th_slice){ "new", 3 }, 0);
}

static int (*const name_uses[])(void) = { look_up, create, unlink_name, rename_name };

static void fill_directory(void)
{
	struct th_namei_new what = { .mode = S_IFREG | 0600 };
	struct th_inode *inode;
	char space[16];

	for (unsigned i = 0; i < NAMES; i++) {
		ck_assert_int_eq(th_namei_create(fs->root, name_of(i, space), &what, &inode), 0);
		th_inode_put(inode);
	}
}

static void forget_all(void)
{
	th_inode_put(file);
	th_inode_put(copy);
	file = copy = NULL;
	ck_assert_int_eq(th_fs_close(fs), 0);
	open_fs();
}

START_TEST(reading_a_directory_entry_does_not_block_other_users)
{
	struct changer changer;

	fill_directory();
	forget_all();
	changer_stop(&changer, name_uses[_i]);
	ck_assert_int_eq(th_attr_set(fs->root, TH_ATTR_MODE, &(struct th_attr){ .mode = 0711 }), 0);
	ck_assert_int_eq(th_fs_sync(fs), 0);
	gate_set(false);
	changer_end(&changer);
}
END_TEST

/* --- a file whose extents are only on disk --- */

#define SCATTERED 7000u
#define SCATTERED_BYTES ((uint64_t)2 * SCATTERED * TH_BLOCK_SIZE)
#define FAR ((uint64_t)SCATTERED * TH_BLOCK_SIZE) /* far from the keys of both inodes */

static int far_read(void)
{
	struct th_file_data data;
	int err = th_file_read(file, FAR, TH_BLOCK_SIZE, &data);

	if (err == 0 && (data.size != TH_BLOCK_SIZE || memcmp(data.data, content, TH_BLOCK_SIZE) != 0))
		err = -EIO;
	th_file_data_release(&data);
	return err;
}

static int far_write(void)
{
	ssize_t done = th_file_write(file, content + 100, 100, FAR + 100, 0);

	return done == 100 ? 0 : -EIO;
}

static int far_punch(void)
{
	return th_file_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FAR + 100, 100);
}

static int (*const far_uses[])(void) = { far_read, far_write, far_punch };

static void write_every_other(uint64_t from)
{
	for (uint64_t i = 0; i < SCATTERED; i++) {
		uint64_t off = (2 * i + from) * TH_BLOCK_SIZE;

		ck_assert_int_eq(th_file_write(file, content, TH_BLOCK_SIZE, off, 0), TH_BLOCK_SIZE);
	}
	ck_assert_int_eq(th_fs_sync(fs), 0);
}

/* Makes a file without holes in which each block is an extent of its own. */
static void scatter(void)
{
	write_every_other(0);
	write_every_other(1);
	forget_all();
	ck_assert_int_eq(th_namei_lookup(fs->root, (struct th_slice){ "file", 4 }, &file), 0);
	ck_assert_int_eq(th_namei_lookup(fs->root, (struct th_slice){ "copy", 4 }, &copy), 0);
}

static uint64_t node_reads(void)
{
	struct th_store_info info;

	th_store_info(fs->store, &info);
	return info.node_reads;
}

START_TEST(looking_up_an_extent_does_not_block_other_users)
{
	struct changer changer;
	uint64_t nodes;

	scatter();
	nodes = node_reads();
	changer_stop(&changer, far_uses[_i]);
	use(file, SCATTERED_BYTES);
	gate_set(false);
	changer_end(&changer);
	ck_assert_uint_gt(node_reads(), nodes);
}
END_TEST

static int sync_all(void)
{
	return th_fs_sync(fs);
}

static int (*const writebacks[])(void) = { write_back, sync_all };

/* A write to a file without holes needs no lookup, so the writeback does the first one. */
START_TEST(a_writeback_that_looks_up_extents_does_not_block_other_users)
{
	struct changer changer;

	scatter();
	ck_assert_int_eq(th_file_write(file, content, TH_BLOCK_SIZE, FAR, 0), TH_BLOCK_SIZE);
	ck_assert_int_eq(th_file_write(copy, content, TH_BLOCK_SIZE, 0, 0), TH_BLOCK_SIZE);
	changer_stop(&changer, writebacks[_i]);
	use(file, SCATTERED_BYTES);
	use(copy, TH_BLOCK_SIZE);
	gate_set(false);
	changer_end(&changer);
	ck_assert_int_eq(far_read(), 0);
}
END_TEST

/* --- snapshots: all users of snapshots share the list of entered ones --- */

#define SNAPSHOTS 8

static struct th_snapshot snapshots[SNAPSHOTS];

/* Enters one snapshot after another; the first whose root is not in memory stops at the gate. */
static int enter(void)
{
	struct th_entered_snapshot *snapshot;
	int err = 0;

	for (unsigned i = 1; i < SNAPSHOTS && !err; i++) {
		err = th_entered_snapshot_get(fs, snapshots[i].id, &snapshot);
		if (!err)
			th_entered_snapshot_put(fs, snapshot);
	}
	return err;
}

static void take_snapshots(void)
{
	char name[16];

	fill_directory();
	for (unsigned i = 0; i < SNAPSHOTS; i++) {
		sprintf(name, "snapshot%u", i);
		ck_assert_int_eq(th_fs_snapshot_create(fs, name, &snapshots[i]), 0);
		for (uint64_t block = 0; block < 512; block++) /* between their roots */
			ck_assert_int_eq(th_file_write(file, content, TH_BLOCK_SIZE, block * TH_BLOCK_SIZE, 0),
					 TH_BLOCK_SIZE);
	}
}

START_TEST(entering_a_snapshot_does_not_block_users_of_others)
{
	struct th_entered_snapshot *other, *again;
	struct th_inode *root;
	struct changer changer;

	take_snapshots();
	forget_all();
	ck_assert_int_eq(th_entered_snapshot_get(fs, snapshots[0].id, &other), 0);
	ck_assert_int_eq(th_inode_get(fs, other, TH_ROOT_ID, &root), 0);
	th_inode_put(root);
	changer_stop(&changer, enter);
	ck_assert_int_eq(th_entered_snapshot_get(fs, snapshots[0].id, &again), 0);
	ck_assert_ptr_eq(again, other);
	ck_assert_int_eq(th_inode_get(fs, other, TH_ROOT_ID, &root), 0);
	ck_assert_int_eq(th_entered_snapshot_get(fs, snapshots[0].id, &again), 0);
	th_inode_put(root);
	gate_set(false);
	changer_end(&changer);
	for (int i = 0; i < 3; i++)
		th_entered_snapshot_put(fs, other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guard");
	TCase *cases = tcase_create("guard");

	tcase_set_timeout(cases, 0);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, a_read_does_not_block_writers_of_its_file);
	tcase_add_test(cases, blocks_are_not_freed_while_they_are_read);
	tcase_add_loop_test(cases, changing_a_part_of_a_block_does_not_block_other_users, 0,
			    sizeof(part_changes) / sizeof(part_changes[0]));
	tcase_add_test(cases, a_read_from_memory_and_disk_does_not_block_writers);
	tcase_add_test(cases, a_read_does_not_block_writeback_of_other_blocks);
	tcase_add_test(cases, two_changes_of_one_block_are_both_kept);
	tcase_add_test(cases, a_block_replaced_while_it_is_read_is_read_again);
	tcase_add_test(cases, a_block_truncated_while_it_is_read_is_not_used);
	tcase_add_loop_test(cases, reading_a_directory_entry_does_not_block_other_users, 0,
			    sizeof(name_uses) / sizeof(name_uses[0]));
	tcase_add_loop_test(cases, looking_up_an_extent_does_not_block_other_users, 0,
			    sizeof(far_uses) / sizeof(far_uses[0]));
	tcase_add_loop_test(cases, a_writeback_that_looks_up_extents_does_not_block_other_users, 0, 2);
	tcase_add_test(cases, entering_a_snapshot_does_not_block_users_of_others);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
