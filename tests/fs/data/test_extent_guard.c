/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file whose blocks are on their way from the disk, to who reads it or changes a part of a block: others may use and
 * change the file, but what is being read is not given up.  The disk of these tests has a gate that, once closed, the
 * next read stops at.
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

#include "fs/attr/attr.h"
#include "fs/data/copy.h"
#include "fs/data/fallocate.h"
#include "fs/data/file.h"
#include "fs/data/partial_block.h"
#include "fs/dir/namei.h"
#include "fs/fs.h"
#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

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

static struct th_disk *disk;
static struct th_fs *fs;
static struct th_inode *file;
static struct th_inode *copy; /* empty */
static uint8_t content[FILE_BYTES];

static void open_fs(void)
{
	struct th_fs_options options = { .checkpoint_interval_ms = 3600000 };
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

/* --- */

START_TEST(others_go_on)
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

static atomic_bool given_up;

static void *give_up(void *arg)
{
	int *ret = arg;

	*ret = th_file_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, READ_BYTES);
	for (int i = 0; i < 3 && *ret == 0; i++)
		*ret = th_store_checkpoint(fs->store); /* then the blocks may be somebody else's */
	atomic_store(&given_up, true);
	return NULL;
}

START_TEST(what_is_read_is_kept)
{
	pthread_t reader, other;
	int err = -1, other_r = -1;

	atomic_store(&given_up, false);
	gate_set(true);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_begin, &err), 0);
	gate_await_reader();
	ck_assert_int_eq(pthread_create(&other, NULL, give_up, &other_r), 0);
	usleep(50000); /* time enough to do what it must not */
	ck_assert(!atomic_load(&given_up));
	gate_set(false);
	pthread_join(reader, NULL);
	pthread_join(other, NULL);
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(other_r, 0);
}
END_TEST

/* --- changing a part of a block that only the disk has --- */

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

/* From what is in memory into the middle of a block. */
static int part_copy_to(void)
{
	return th_file_copy_range(copy, 0, file, PART_FROM, PART_SIZE, &copied);
}

/* From the disk to where nothing is. */
static int part_copy_from(void)
{
	return th_file_copy_range(file, PART_FROM, copy, PART_SIZE, PART_SIZE, &copied);
}

struct part_change {
	int (*make)(void);
	bool zeros; /* instead of part */
	bool ends; /* the file does, at PART_FROM */
	bool other; /* it is the copy that changes */
} part_changes[] = {
	{ part_write, .zeros = false }, { part_truncate, .ends = true },  { part_punch, .zeros = true },
	{ part_zero, .zeros = true },   { part_copy_to, .zeros = false }, { part_copy_from, .other = true },
};

struct changer {
	pthread_t thread;
	int (*make)(void);
	int r;
};

/* Blocks 4 to 7. */
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

	changer->r = changer->make();
	return NULL;
}

static void changer_begin(struct changer *changer, int (*make)(void))
{
	*changer = (struct changer){ .make = make, .r = -1 };
	ck_assert_int_eq(pthread_create(&changer->thread, NULL, changer_run, changer), 0);
}

static void changer_end(struct changer *changer)
{
	pthread_join(changer->thread, NULL);
	ck_assert_int_eq(changer->r, 0);
}

/* One that has got as far as to the gate. */
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

/* What else may be done to a file, none of which needs the block at the gate. */
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

START_TEST(who_changes_a_part_waits_alone)
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
	write_content(0, 10, 5); /* part of a block, too: the gate has let all but the first pass */
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

/* Of what is read some is in memory. */
START_TEST(others_go_on_beside_a_mixed_read)
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

/* What is flushed lies on both sides of what is read. */
START_TEST(a_flush_goes_on)
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

START_TEST(two_change_one_block)
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

static int flush(void)
{
	return th_file_writeback(file);
}

static int empty(void)
{
	return th_attr_set(file, TH_ATTR_SIZE, &(struct th_attr){ .size = 0 });
}

/* Until somebody has the lock who keeps it. */
static void await_lock(void)
{
	while (!pthread_rwlock_tryrdlock(&file->lock)) {
		pthread_rwlock_unlock(&file->lock);
		usleep(100);
	}
}

/* Whoever replaces the block waits for its reader, who then comes after him. */
START_TEST(what_was_read_has_been_replaced)
{
	struct changer changer, flusher;

	changer_stop(&changer, part_write);
	write_content(2 * TH_BLOCK_SIZE, TH_BLOCK_SIZE, 4);
	changer_begin(&flusher, flush);
	await_lock();
	gate_set(false);
	changer_end(&flusher);
	changer_end(&changer);
	memcpy(content + PART_FROM, part, PART_SIZE);
	compare(file, FILE_BYTES);
}
END_TEST

START_TEST(what_was_read_is_gone)
{
	struct changer changer, emptier;

	changer_stop(&changer, part_write);
	changer_begin(&emptier, empty);
	await_lock();
	gate_set(false);
	changer_end(&emptier);
	changer_end(&changer);
	memset(content, 0, PART_FROM);
	memcpy(content + PART_FROM, part, PART_SIZE);
	compare(file, PART_END);
}
END_TEST

/* --- a directory of which only the disk knows what is in it --- */

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

START_TEST(who_uses_a_name_waits_alone)
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

/* --- a file of which only the disk knows where its blocks are --- */

#define SCATTERED 7000u
#define SCATTERED_BYTES ((uint64_t)2 * SCATTERED * TH_BLOCK_SIZE)
#define FAR ((uint64_t)SCATTERED * TH_BLOCK_SIZE) /* from both inodes, in the order of keys */

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

/* A file without holes each block of which is an extent of its own. */
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

START_TEST(who_looks_for_a_block_waits_alone)
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

static int (*const flushes[])(void) = { flush, sync_all };

/* Where there are no holes nobody has to look before the flush. */
START_TEST(a_flush_that_looks_for_blocks_waits_alone)
{
	struct changer changer;

	scatter();
	ck_assert_int_eq(th_file_write(file, content, TH_BLOCK_SIZE, FAR, 0), TH_BLOCK_SIZE);
	ck_assert_int_eq(th_file_write(copy, content, TH_BLOCK_SIZE, 0, 0), TH_BLOCK_SIZE);
	changer_stop(&changer, flushes[_i]);
	use(file, SCATTERED_BYTES);
	use(copy, TH_BLOCK_SIZE);
	gate_set(false);
	changer_end(&changer);
	ck_assert_int_eq(far_read(), 0);
}
END_TEST

/* --- snapshots, of which everybody in one of them needs the list --- */

#define SNAPSHOTS 8

static struct th_snapshot snapshots[SNAPSHOTS];

/* One after another; the first of which the root is not in memory stops at the gate. */
static int enter(void)
{
	struct th_entered_snapshot *snapshot;
	int err = 0;

	for (unsigned i = 1; i < SNAPSHOTS && !err; i++) {
		err = th_entered_snapshot_get(fs, snapshots[i].id, TH_ROOT_ID, &snapshot);
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

START_TEST(who_enters_a_snapshot_waits_alone)
{
	struct th_entered_snapshot *other, *again;
	struct th_inode *root;
	struct changer changer;

	take_snapshots();
	forget_all();
	ck_assert_int_eq(th_entered_snapshot_get(fs, snapshots[0].id, TH_ROOT_ID, &other), 0);
	ck_assert_int_eq(th_inode_get(fs, other, TH_ROOT_ID, &root), 0);
	th_inode_put(root);
	changer_stop(&changer, enter);
	ck_assert_int_eq(th_entered_snapshot_get(fs, snapshots[0].id, TH_ROOT_ID, &again), 0);
	ck_assert_ptr_eq(again, other);
	ck_assert_int_eq(th_inode_get(fs, other, TH_ROOT_ID, &root), 0);
	ck_assert_int_eq(th_entered_snapshot_get(fs, snapshots[0].id, TH_ROOT_ID, &again), 0);
	th_inode_put(root);
	gate_set(false);
	changer_end(&changer);
	for (int i = 0; i < 3; i++)
		th_entered_snapshot_put(fs, other);
}
END_TEST

/* One end of a change is to be read when the other lacks a node: then all begins anew, and who has replaced the block
 * of the first end meanwhile does not bother anybody. */
START_TEST(an_end_is_forgotten_with_the_other)
{
	struct th_partial_blocks edges = { .guard = NULL };
	uint8_t *other = th_disk_buffer(TH_BLOCK_SIZE);
	const uint64_t to = 5 * TH_BLOCK_SIZE + 100;
	int err;

	ck_assert_ptr_nonnull(other);
	memset(other, 1, TH_BLOCK_SIZE);
	pthread_rwlock_wrlock(&file->lock);
	ck_assert_int_eq(th_partial_blocks_find(&edges, file, 100, to), -EAGAIN);
	pthread_rwlock_unlock(&file->lock);
	err = -EINPROGRESS;
	ck_assert(th_partial_blocks_retry(&edges, &err));
	ck_assert_int_eq(th_file_write(file, other, TH_BLOCK_SIZE, 0, 0), TH_BLOCK_SIZE);
	ck_assert_int_eq(th_fs_sync(fs), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(th_store_checkpoint(fs->store), 0);
	ck_assert_int_eq(th_disk_write(below, edges.first.addr, 1, other), 0); /* the block's next owner */
	ck_assert_int_eq(th_file_write(file, other, TH_BLOCK_SIZE, 0, 0), TH_BLOCK_SIZE);
	pthread_rwlock_wrlock(&file->lock);
	err = th_partial_blocks_find(&edges, file, 100, to);
	pthread_rwlock_unlock(&file->lock);
	ck_assert_int_eq(err, -EAGAIN);
	ck_assert(th_partial_blocks_retry(&edges, &err));
	ck_assert_int_eq(err, 0);
	th_partial_blocks_release(&edges);
	free(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guard");
	TCase *cases = tcase_create("guard");

	tcase_set_timeout(cases, 0);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, others_go_on);
	tcase_add_test(cases, what_is_read_is_kept);
	tcase_add_loop_test(cases, who_changes_a_part_waits_alone, 0, sizeof(part_changes) / sizeof(part_changes[0]));
	tcase_add_test(cases, others_go_on_beside_a_mixed_read);
	tcase_add_test(cases, a_flush_goes_on);
	tcase_add_test(cases, two_change_one_block);
	tcase_add_test(cases, what_was_read_has_been_replaced);
	tcase_add_test(cases, what_was_read_is_gone);
	tcase_add_loop_test(cases, who_uses_a_name_waits_alone, 0, sizeof(name_uses) / sizeof(name_uses[0]));
	tcase_add_loop_test(cases, who_looks_for_a_block_waits_alone, 0, sizeof(far_uses) / sizeof(far_uses[0]));
	tcase_add_loop_test(cases, a_flush_that_looks_for_blocks_waits_alone, 0, 2);
	tcase_add_test(cases, who_enters_a_snapshot_waits_alone);
	tcase_add_test(cases, an_end_is_forgotten_with_the_other);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
