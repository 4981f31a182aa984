/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File data against a model: random operations on a few files, each compared with a plain array, with writeback,
 * snapshots and reopening in between; and a full disk.
 */
#include <check.h>
#include <errno.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/attr/attr.h"
#include "fs/check/check.h"
#include "fs/data/copy.h"
#include "fs/data/fallocate.h"
#include "fs/data/file.h"
#include "fs/data/file_pages.h"
#include "fs/data/seek.h"
#include "fs/data/writeback.h"
#include "fs/data/writeback_list.h"
#include "fs/dir/namei.h"
#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

#define IMAGE_BYTES (96u << 20)
#define ROOM (3u << 20) /* bytes free on an almost full disk: fewer than the random test writes */
#define FILES 3
#define MODEL_MAX (3u << 20)
#define SNAPSHOTS 3

struct model {
	uint8_t *data; /* MODEL_MAX bytes; zeros past size */
	uint64_t size;
};

static char image[64];
static struct th_fs *fs;
static struct th_inode *files[FILES];
static struct model models[FILES];
static struct {
	bool taken;
	char name[16];
	uint64_t id;
	uint64_t inodes[FILES];
	struct model models[FILES];
} snapshots[SNAPSHOTS];
static struct th_random rnd;
static bool full; /* the disk is almost full: a new name may not fit */

/* --- the filesystem under test --- */

static const struct th_fs_options fs_options = { .checkpoint_interval_ms = 200 };

static void fs_open(void)
{
	struct th_disk *disk;

	ck_assert_int_eq(th_disk_open(image, 0, &disk), 0);
	ck_assert_int_eq(th_fs_open(disk, &fs_options, &fs), 0);
}

static void fs_make(void)
{
	struct th_format_options options = { .label = "test" };
	struct th_disk *disk;
	int fd;

	snprintf(image, sizeof(image), "/tmp/th-test-file-XXXXXX");
	fd = mkstemp(image);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, IMAGE_BYTES), 0);
	close(fd);
	ck_assert_int_eq(th_disk_open(image, 0, &disk), 0);
	ck_assert_int_eq(th_fs_format(disk, &options, 0, 0), 0);
	th_disk_close(disk);
	fs_open();
}

static void problem(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "check: %s\n", line);
}

static void fs_check(void)
{
	struct th_fs_check_options options = { .problem = problem, .read_data = true };
	struct th_check_result result;

	ck_assert_int_eq(th_writeback_all(fs), 0);
	ck_assert_int_eq(th_store_checkpoint(fs->store), 0);
	ck_assert_int_eq(th_fs_check(fs, &options, &result), 0);
	ck_assert_uint_eq(result.problems, 0);
}

static void fs_end(void)
{
	ck_assert_int_eq(th_fs_close(fs), 0);
	unlink(image);
}

static struct th_slice file_name(unsigned i, char *space)
{
	return (struct th_slice){ space, sprintf(space, "file%u", i) };
}

static struct th_inode *file_make(unsigned i)
{
	struct th_namei_new what = { .mode = S_IFREG | 0644 };
	struct th_inode *inode;
	char name[16];

	ck_assert_int_eq(th_namei_create(fs->root, file_name(i, name), &what, &inode), 0);
	return inode;
}

static struct th_inode *file_find(unsigned i)
{
	struct th_inode *inode;
	char name[16];

	ck_assert_int_eq(th_namei_lookup(fs->root, file_name(i, name), &inode), 0);
	return inode;
}

static void file_unlink(unsigned i)
{
	char name[16];

	ck_assert_int_eq(th_namei_unlink(fs->root, file_name(i, name)), 0);
}

/* --- comparing --- */

static void compare_range(struct th_inode *inode, const struct model *model, uint64_t off, size_t size)
{
	struct th_file_data data;
	size_t expected = off >= model->size ? 0 : model->size - off < size ? model->size - off : size;

	ck_assert_int_eq(th_file_read(inode, off, size, &data), 0);
	ck_assert_uint_eq(data.size, expected);
	for (size_t i = 0; i < data.size; i++)
		if (((const uint8_t *)data.data)[i] != model->data[off + i])
			ck_abort_msg("inode %llu: byte %zu is %02x, expected %02x", (unsigned long long)inode->id,
				     (size_t)off + i, ((const uint8_t *)data.data)[i], model->data[off + i]);
	th_file_data_release(&data);
}

/* Expects the model to have zeros wherever the file has a hole. */
static void compare_holes(struct th_inode *inode, const struct model *model)
{
	uint64_t at = 0, data, hole;

	while (at < model->size) {
		int err = th_file_seek(inode, at, SEEK_DATA, &data);

		if (err == -ENXIO)
			data = model->size;
		else
			ck_assert_int_eq(err, 0);
		ck_assert_uint_ge(data, at);
		for (; at < data; at++)
			if (model->data[at])
				ck_abort_msg("byte %llu is in a hole but not zero", (unsigned long long)at);
		if (err)
			break;
		ck_assert_int_eq(th_file_seek(inode, data, SEEK_HOLE, &hole), 0);
		ck_assert_uint_gt(hole, data);
		at = hole;
	}
}

static void compare(struct th_inode *inode, const struct model *model)
{
	ck_assert_uint_eq(inode->attr.size, model->size);
	compare_range(inode, model, 0, MODEL_MAX);
	compare_holes(inode, model);
}

/* --- operations --- */

/* Copies the file to the model, after an operation that failed half way on a full disk. */
static void adopt(unsigned f)
{
	struct th_file_data data;

	ck_assert_int_eq(th_file_read(files[f], 0, MODEL_MAX, &data), 0);
	ck_assert_uint_eq(data.size, files[f]->attr.size);
	memset(models[f].data, 0, MODEL_MAX);
	if (data.size)
		memcpy(models[f].data, data.data, data.size);
	models[f].size = data.size;
	th_file_data_release(&data);
}

/* Expects 0 or -ENOSPC; after -ENOSPC the model adopts the content of the file. */
static bool done_or_full(unsigned f, int err)
{
	if (err == -ENOSPC)
		adopt(f);
	else
		ck_assert_int_eq(err, 0);
	return !err;
}

static uint64_t pick_offset(void)
{
	uint64_t off = th_random_percent(&rnd, 30) ? th_random_below(&rnd, 3000) : th_random_below(&rnd, MODEL_MAX);

	return th_random_percent(&rnd, 50) ? off & ~(uint64_t)(TH_BLOCK_SIZE - 1) : off;
}

static uint64_t pick_length(uint64_t off)
{
	static const uint32_t limits[] = { 200, 5000, 70000, 1500000 };
	uint64_t len = 1 + th_random_below(&rnd, limits[th_random_below(&rnd, 4)]);

	if (th_random_percent(&rnd, 50))
		len = (len + TH_BLOCK_SIZE - 1) & ~(uint64_t)(TH_BLOCK_SIZE - 1);
	return len < MODEL_MAX - off ? len : MODEL_MAX - off;
}

static void model_grow(struct model *model, uint64_t size)
{
	if (size > model->size)
		model->size = size;
}

static void op_write(unsigned f, uint64_t off, uint64_t len)
{
	uint8_t *buf = malloc(len);
	ssize_t done;

	th_random_fill(&rnd, buf, len);
	done = th_file_write(files[f], buf, len, off, 0);
	if (done != -ENOSPC) {
		ck_assert_int_gt(done, 0);
		memcpy(models[f].data + off, buf, done);
		model_grow(&models[f], off + done);
	}
	free(buf);
}

static void op_truncate(unsigned f, uint64_t size)
{
	int err;

	err = th_attr_set(files[f], TH_ATTR_SIZE, &(struct th_attr){ .size = size });
	if (!done_or_full(f, err))
		return;
	if (size < models[f].size)
		memset(models[f].data + size, 0, models[f].size - size);
	models[f].size = size;
}

/* Checks the result of a writeback.  It may fail only if a block that had to be zeroed in part found no space: such a
 * page has no reservation, because it was not written.  Then the file is emptied. */
static void settle(unsigned f, int err)
{
	if (err == -ENOSPC && files[f]->file && files[f]->file->reserved < files[f]->file->pages.count)
		op_truncate(f, 0);
	else
		ck_assert_int_eq(err, 0);
}

static void settle_all(void)
{
	for (unsigned f = 0; f < FILES; f++)
		settle(f, th_file_writeback(files[f]));
	ck_assert_int_eq(th_writeback_all(fs), 0);
}

static void op_fallocate(unsigned f, uint64_t off, uint64_t len)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	int mode = modes[th_random_below(&rnd, 5)];
	int err = th_file_fallocate(files[f], mode, off, len);

	if (!done_or_full(f, err))
		return;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(models[f].data + off, 0, len);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		model_grow(&models[f], off + len);
}

static void op_copy(unsigned from, unsigned to, uint64_t off, uint64_t len)
{
	uint64_t src = pick_offset(), done;
	int err;

	if (th_random_percent(&rnd, 40))
		src = (src & ~(uint64_t)(TH_BLOCK_SIZE - 1)) + off % TH_BLOCK_SIZE;
	if (th_random_percent(&rnd, 20))
		src = off = 0, len = MODEL_MAX;
	err = th_file_copy_range(files[from], src, files[to], off, len, &done);
	if (err == -EINVAL) {
		ck_assert_uint_eq(from, to);
		return;
	}
	if (!done_or_full(to, err))
		return;
	if (src < models[from].size)
		ck_assert_uint_gt(done, 0);
	memmove(models[to].data + off, models[from].data + src, done);
	if (done)
		model_grow(&models[to], off + done);
}

static void op_snapshot(unsigned s)
{
	struct th_snapshot snapshot;
	int err;

	if (snapshots[s].taken) {
		ck_assert_int_eq(th_fs_snapshot_delete(fs, snapshots[s].name), 0);
		snapshots[s].taken = false;
		return;
	}
	snprintf(snapshots[s].name, sizeof(snapshots[s].name), "s%u", s);
	err = th_fs_snapshot_create(fs, snapshots[s].name, &snapshot);
	if (err == -ENOSPC)
		return;
	ck_assert_int_eq(err, 0);
	snapshots[s].id = snapshot.id;
	snapshots[s].taken = true;
	for (unsigned f = 0; f < FILES; f++) {
		snapshots[s].inodes[f] = files[f]->id;
		snapshots[s].models[f].size = models[f].size;
		memcpy(snapshots[s].models[f].data, models[f].data, MODEL_MAX);
	}
}

static struct th_inode *snapshot_file(unsigned s, unsigned f, struct th_entered_snapshot **ret)
{
	struct th_inode *inode;

	ck_assert_int_eq(th_entered_snapshot_get(fs, snapshots[s].id, ret), 0);
	ck_assert_int_eq(th_inode_get(fs, *ret, snapshots[s].inodes[f], &inode), 0);
	return inode;
}

static void op_snapshot_read(unsigned s, unsigned f)
{
	struct th_entered_snapshot *snapshot;
	struct th_inode *inode;
	uint64_t done;

	if (!snapshots[s].taken)
		return;
	inode = snapshot_file(s, f, &snapshot);
	compare(inode, &snapshots[s].models[f]);
	if (th_random_percent(&rnd, 30) &&
	    done_or_full(f, th_file_copy_range(inode, 0, files[f], 0, snapshots[s].models[f].size, &done))) {
		memcpy(models[f].data, snapshots[s].models[f].data, done);
		model_grow(&models[f], done);
	}
	th_inode_put(inode);
	th_entered_snapshot_put(fs, snapshot);
}

static void op_reopen(void)
{
	settle_all();
	for (unsigned f = 0; f < FILES; f++)
		th_inode_put(files[f]);
	ck_assert_int_eq(th_fs_close(fs), 0);
	fs_open();
	for (unsigned f = 0; f < FILES; f++)
		files[f] = file_find(f);
}

static void op_replace(unsigned f)
{
	if (full) {
		op_truncate(f, 0);
		return;
	}
	file_unlink(f);
	th_inode_put(files[f]);
	files[f] = file_make(f);
	memset(models[f].data, 0, MODEL_MAX);
	models[f].size = 0;
}

static void op_small(unsigned f)
{
	switch (th_random_below(&rnd, 3)) {
	case 0:
		op_truncate(f, th_random_below(&rnd, 2) ? 0 : th_random_below(&rnd, 2000));
		break;
	case 1:
		op_write(f, th_random_below(&rnd, 1500), 1 + th_random_below(&rnd, 600));
		break;
	default:
		op_replace(f);
	}
}

static void op_random(unsigned f)
{
	uint64_t off = pick_offset(), len = pick_length(off);
	unsigned what = th_random_below(&rnd, 100);

	if (what < 40)
		op_write(f, off, len);
	else if (what < 50)
		op_truncate(f, pick_offset());
	else if (what < 62)
		op_fallocate(f, off, len);
	else if (what < 74)
		op_copy(th_random_below(&rnd, FILES), f, off, len);
	else if (what < 84)
		settle(f, th_file_writeback(files[f]));
	else if (what < 86)
		settle(f, th_file_sync(files[f]));
	else if (what < 92)
		op_small(f);
	else if (what < 94)
		op_snapshot(th_random_below(&rnd, SNAPSHOTS));
	else if (what < 97)
		op_snapshot_read(th_random_below(&rnd, SNAPSHOTS), f);
	else if (what < 98)
		op_reopen();
	else
		settle_all();
}

/* Fills the disk with a file, except for `room` bytes. */
static void fill(uint64_t room)
{
	static const uint8_t data[1u << 16] = { 1 };
	struct th_inode *filler = file_make(FILES);
	uint64_t off = 0;
	ssize_t done;

	while ((done = th_file_write(filler, data, sizeof(data), off, 0)) > 0)
		off += done;
	ck_assert_int_eq(done, -ENOSPC);
	ck_assert_int_eq(th_attr_set(filler, TH_ATTR_SIZE, &(struct th_attr){ .size = off - room }), 0);
	th_inode_put(filler);
}

static void run_model(uint64_t room, unsigned rounds)
{
	memset(snapshots, 0, sizeof(snapshots));
	fs_make();
	full = room;
	if (full)
		fill(room);
	for (unsigned f = 0; f < FILES; f++) {
		files[f] = file_make(f);
		models[f] = (struct model){ .data = calloc(1, MODEL_MAX) };
		for (unsigned s = 0; s < SNAPSHOTS; s++)
			snapshots[s].models[f].data = malloc(MODEL_MAX);
	}
	for (unsigned round = 0; round < rounds; round++) {
		unsigned f = th_random_below(&rnd, FILES);

		op_random(f);
		if (th_random_percent(&rnd, 25))
			compare(files[f], &models[f]);
		else
			compare_range(files[f], &models[f], pick_offset(), 1 + th_random_below(&rnd, 200000));
		if (th_random_percent(&rnd, 1)) {
			settle_all();
			fs_check();
		}
	}
	settle_all();
	for (unsigned f = 0; f < FILES; f++) {
		compare(files[f], &models[f]);
		th_inode_put(files[f]);
		free(models[f].data);
		for (unsigned s = 0; s < SNAPSHOTS; s++)
			free(snapshots[s].models[f].data);
	}
	fs_check();
	fs_end();
}

START_TEST(random_operations_match_a_model)
{
	rnd.state = th_test_seed("file/model");
	run_model(0, th_test_rounds(1500));
}
END_TEST

START_TEST(random_operations_match_a_model_on_a_full_disk)
{
	rnd.state = th_test_seed("file/full");
	run_model(ROOM, th_test_rounds(800));
}
END_TEST

/* --- a full disk --- */

START_TEST(a_full_disk_is_reported_to_the_writer_and_deletion_makes_room)
{
	size_t size = 1u << 20;
	uint8_t *data = calloc(1, size);
	struct th_inode *inode;
	uint64_t off = 0;
	ssize_t done;

	fs_make();
	memset(data, 3, size);
	inode = file_make(0);
	while ((done = th_file_write(inode, data, size, off, 0)) > 0)
		off += done;
	ck_assert_int_eq(done, -ENOSPC);
	ck_assert_uint_gt(off, IMAGE_BYTES / 2);
	ck_assert_int_eq(th_file_writeback(inode), 0);
	ck_assert_uint_eq(inode->attr.size, off);
	file_unlink(0);
	th_inode_put(inode);
	inode = file_make(1);
	ck_assert_int_eq(th_file_write(inode, data, size, 0, 0), (ssize_t)size);
	ck_assert_int_eq(th_file_writeback(inode), 0);
	th_inode_put(inode);
	free(data);
	fs_check();
	fs_end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("file");
	TCase *cases = tcase_create("cases"), *model = tcase_create("model");

	tcase_add_test(cases, a_full_disk_is_reported_to_the_writer_and_deletion_makes_room);
	tcase_set_timeout(cases, 60);
	tcase_add_test(model, random_operations_match_a_model);
	tcase_add_test(model, random_operations_match_a_model_on_a_full_disk);
	tcase_set_timeout(model, 600);
	suite_add_tcase(suite, cases);
	suite_add_tcase(suite, model);
	return th_suite_run(suite);
}
