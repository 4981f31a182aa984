/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manipulated filesystems: opening, reading, comparing, checking and changing one must end with a result or an error.
 *
 * The input is a list of 8-byte orders, each of which changes one record of the filesystem in a valid store.  With
 * -DTH_FUZZ_BLOCKS it changes a block of the image; checksums then must match always, as in an image that is made to
 * deceive.  Builds as a libFuzzer target with -DTH_FUZZER; otherwise main makes inputs from a seed.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/attr/xattr.h"
#include "fs/check/check.h"
#include "fs/data/copy.h"
#include "fs/data/fallocate.h"
#include "fs/data/file.h"
#include "fs/data/seek.h"
#include "fs/diff/diff.h"
#include "fs/dir/dir.h"
#include "fs/dir/namei.h"
#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"
#include "tests/support/random.h"

#define INPUT_SECONDS 300
#define IMAGE_BLOCKS ((64u << 20) / TH_BLOCK_SIZE)
#define VISITS_MAX 500 /* inodes: directories may form a cycle */
#define DEPTH_MAX 8
#define PIECE (64u << 10)
#define RECORDS 128 /* that orders may change: about as many as there are */
#define ORDERS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct th_fs *fs;
static struct th_random random_now;
static unsigned visits;

static void ignore(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static void must(int err)
{
	if (err >= 0)
		return;
	fprintf(stderr, "cannot make the valid filesystem: %s\n", strerror(-err));
	abort();
}

/* --- the valid filesystem --- */

static struct th_slice slice(const char *name)
{
	return (struct th_slice){ name, strlen(name) };
}

static struct th_inode *make(struct th_inode *dir, const char *name, uint32_t mode)
{
	struct th_namei_new new = { .mode = mode, .target = slice("d/f0") };
	struct th_inode *inode;

	must(th_namei_create(dir, slice(name), &new, &inode));
	return inode;
}

static void write_at(struct th_inode *inode, uint64_t off, size_t size)
{
	static uint8_t bytes[300000];

	th_random_fill(&random_now, bytes, size);
	must((int)th_file_write(inode, bytes, size, off, 0));
}

static void fill(struct th_inode *dir)
{
	static const size_t sizes[] = { 0, 10, 3000, 4096, 20000, 300000 };
	char name[32];

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct th_inode *file;

		snprintf(name, sizeof(name), "f%u", i);
		file = make(dir, name, S_IFREG | 0644);
		write_at(file, i % 2 ? 0 : 100000, sizes[i]);
		must(th_xattr_set(file, "user.note", slice(name), 0));
		snprintf(name, sizeof(name), "link %u", i);
		must(th_namei_link(file, dir, slice(name)));
		th_inode_put(file);
	}
	th_inode_put(make(dir, "symlink", S_IFLNK | 0777));
	th_inode_put(make(dir, "fifo", S_IFIFO | 0600));
}

static void make_valid(struct th_disk *disk)
{
	struct th_format_options format = { 0 };
	struct th_fs_options options = { .report = ignore };
	struct th_inode *dir, *below;
	struct th_snapshot snapshot;

	must(th_fs_format(disk, &format, 0, 0));
	must(th_fs_open(th_disk_lend(disk), &options, &fs));
	dir = make(fs->root, "d", S_IFDIR | 0755);
	below = make(dir, "below", S_IFDIR | 0755);
	fill(dir);
	must(th_fs_snapshot_create(fs, "s", &snapshot));
	fill(below);
	must(th_namei_unlink(dir, slice("f2")));
	th_inode_put(below);
	th_inode_put(dir);
	must(th_fs_close(fs));
}

/* --- the manipulation --- */

/* One piece of the input: 8 bytes. */
struct order {
	uint16_t which; /* the record, or the block */
	uint16_t where;
	uint8_t how, value, reserved[2];
};

/* Manipulates a value of `size` bytes, with 16 more bytes of room.  Returns its new size. */
static size_t manipulate(const struct order *order, uint8_t *value, size_t size)
{
	size_t at = size ? order->where % size : 0;

	switch (order->how % 6) {
	case 0:
		return at;
	case 1:
		memset(value + at, 0xff, size - at < 8 ? size - at : 8);
		return size;
	case 2:
		th_random_fill(&random_now, value, size);
		return size;
	case 3:
		th_random_fill(&random_now, value + size, 16);
		return size + 16;
	default:
		if (size)
			value[at] ^= order->value ? order->value : 1;
		return size;
	}
}

#ifndef TH_FUZZ_BLOCKS
/* Changes, deletes or moves a record to another key. */
static void change_record(struct th_txn *txn, const struct th_cursor_entry *entry, const struct order *order)
{
	static uint8_t value[TH_VALUE_MAX < 70000 ? TH_VALUE_MAX : 70000];
	uint8_t key[TH_KEY_MAX];
	size_t size = entry->value.size;

	if (size + 16 > sizeof(value) || !entry->key.size)
		return;
	memcpy(key, entry->key.data, entry->key.size);
	memcpy(value, entry->value.data, size);
	if (order->how >= 230) {
		th_txn_delete(txn, entry->key);
		return;
	}
	if (order->how >= 204)
		key[order->where % entry->key.size] ^= order->value ? order->value : 1;
	else
		size = manipulate(order, value, size);
	th_txn_put(txn, (struct th_slice){ key, entry->key.size }, (struct th_slice){ value, size });
}

static void change_records(const struct order *orders, size_t count)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	struct th_txn *txn;

	must(th_txn_begin(fs->store, &txn));
	must(th_cursor_open(fs->live, NULL, &cursor));
	for (uint16_t i = 0; th_cursor_next(cursor, &entry) == 0; i++) {
		for (size_t j = 0; j < count; j++) {
			if (orders[j].which % RECORDS == i)
				change_record(txn, &entry, &orders[j]);
		}
	}
	th_cursor_close(cursor);
	th_txn_commit(txn);
}

static void change(struct th_disk *disk, const struct order *orders, size_t count)
{
	struct th_fs_options options = { .report = ignore };

	must(th_fs_open(th_disk_lend(disk), &options, &fs));
	change_records(orders, count);
	th_fs_close(fs);
}
#else
/* Returns the blocks that are not empty, and their number. */
static const uint32_t *used_blocks(struct th_disk *disk, uint32_t *ret_count)
{
	static uint32_t used[IMAGE_BLOCKS], count;
	static _Alignas(TH_BLOCK_SIZE) uint8_t block[TH_BLOCK_SIZE];
	static const uint8_t zeros[TH_BLOCK_SIZE];

	count = 0;
	for (uint32_t i = 0; i < IMAGE_BLOCKS; i++) {
		must(th_disk_read(disk, i, 1, block));
		if (memcmp(block, zeros, sizeof(block)) != 0)
			used[count++] = i;
	}
	*ret_count = count;
	return used;
}

static void change(struct th_disk *disk, const struct order *orders, size_t count)
{
	static _Alignas(TH_BLOCK_SIZE) uint8_t block[TH_BLOCK_SIZE + 16];
	uint32_t nused;
	const uint32_t *used = used_blocks(disk, &nused);

	for (size_t i = 0; i < count; i++) {
		uint32_t at = used[orders[i].which % nused];

		must(th_disk_read(disk, at, 1, block));
		manipulate(&orders[i], block, TH_BLOCK_SIZE);
		must(th_disk_write(disk, at, 1, block));
	}
}
#endif

/* --- the use of the result --- */

static void read_file(struct th_inode *inode)
{
	const uint64_t ends[] = { 0, PIECE, inode->attr.size / 2, inode->attr.size - PIECE, INT64_MAX - PIECE };
	struct th_file_data data;
	uint64_t at = 0;

	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (th_file_read(inode, ends[i], PIECE, &data) == 0)
			th_file_data_release(&data);
	for (unsigned i = 0; i < 20 && th_file_seek(inode, at, i % 2 ? SEEK_HOLE : SEEK_DATA, &at) == 0; i++)
		;
}

static void change_file(struct th_inode *inode)
{
	static const char bytes[5000];
	struct th_inode *copy = NULL;
	uint64_t copied;

	switch (th_random_below(&random_now, 5)) {
	case 0:
		th_file_write(inode, bytes, sizeof(bytes), th_random_below(&random_now, 1 << 20), 0);
		break;
	case 1:
		th_file_fallocate(inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3000, 200000);
		break;
	case 2:
		th_file_fallocate(inode, 0, 0, 1 << 20);
		break;
	case 3:
		if (th_path_lookup(fs, NULL, "d/f3", &copy) == 0 && S_ISREG(copy->attr.mode))
			th_file_copy_range(inode, 0, copy, 4096, 100000, &copied);
		if (copy)
			th_inode_put(copy);
		break;
	default:
		th_xattr_set(inode, "user.other", slice("value"), 0);
	}
	th_file_writeback(inode);
}

static void read_xattrs(struct th_inode *inode)
{
	char *list = NULL;
	size_t size = 0;
	struct th_value value;

	if (th_xattr_list(inode, true, &list, &size) == 0)
		for (size_t at = 0; at < size; at += strlen(list + at) + 1)
			if (th_xattr_get(inode, list + at, &value) == 0)
				th_value_release(&value);
	free(list);
}

struct visit {
	struct th_entered_snapshot *snapshot;
	unsigned depth;
	bool change;
};

static void visit(const struct visit *v, uint64_t id);

static int each(void *arg, struct th_slice name, const struct th_dirent *entry, uint64_t next)
{
	struct visit below = *(const struct visit *)arg;

	(void)name;
	(void)next;
	below.depth++;
	if (below.depth < DEPTH_MAX)
		visit(&below, entry->id);
	return visits > VISITS_MAX;
}

static void visit(const struct visit *v, uint64_t id)
{
	static char target[TH_SYMLINK_MAX + 1];
	struct th_inode *inode, *other;

	visits++;
	if (th_inode_get(fs, v->snapshot, id, &inode) < 0)
		return;
	read_xattrs(inode);
	if (S_ISLNK(inode->attr.mode))
		th_symlink_read(inode, target);
	if (S_ISREG(inode->attr.mode)) {
		read_file(inode);
		if (v->change)
			change_file(inode);
	}
	if (S_ISDIR(inode->attr.mode)) {
		if (th_namei_parent(inode, &other) == 0)
			th_inode_put(other);
		th_dir_walk(inode, 0, each, (void *)(uintptr_t)v);
	}
	th_inode_put(inode);
}

static void visit_all(struct th_entered_snapshot *snapshot, bool change)
{
	struct visit all = { .snapshot = snapshot, .change = change };

	visits = 0;
	visit(&all, TH_ROOT_ID);
	for (uint64_t id = TH_ROOT_ID; id < TH_ROOT_ID + 40; id++)
		visit(&all, id);
}

static void change_names(void)
{
	struct th_namei_new new = { .mode = S_IFREG | 0600 };
	struct th_inode *dir, *inode;
	char name[32];

	if (th_path_lookup(fs, NULL, "d", &dir) < 0)
		return;
	if (S_ISDIR(dir->attr.mode)) {
		if (th_namei_create(dir, slice("new"), &new, &inode) == 0) {
			th_namei_link(inode, fs->root, slice("new"));
			th_inode_put(inode);
		}
		th_namei_rename(dir, slice("f1"), fs->root, slice("f1"), 0);
		th_namei_rename(dir, slice("below"), fs->root, slice("above"), 0);
		for (unsigned i = 0; i < 6; i++) {
			snprintf(name, sizeof(name), "f%u", i);
			th_namei_unlink(dir, slice(name));
			snprintf(name, sizeof(name), "link %u", i);
			th_namei_unlink(dir, slice(name));
		}
		th_namei_unlink(dir, slice("symlink"));
		th_namei_rmdir(dir, slice("below"));
	}
	th_inode_put(dir);
	th_namei_rmdir(fs->root, slice("d"));
}

static void compare(const char *from, const char *to)
{
	struct th_fs_diff_options options = { .from = from, .to = to, .path = "/d", .ranges = true };
	struct th_fs_change change;
	struct th_fs_diff *diff;
	int err;

	if (th_fs_diff_open(fs, &options, &diff) < 0)
		options.path = NULL;
	if (!options.path && th_fs_diff_open(fs, &options, &diff) < 0)
		return;
	while (!(err = th_fs_diff_next(diff, &change)) || err == -EAGAIN) {
		if (!err)
			th_fs_change_release(&change);
	}
	th_fs_diff_close(diff);
}

static void use(struct th_disk *disk, bool read_only)
{
	struct th_fs_check_options check = { .read_data = true, .problem = ignore };
	struct th_fs_options options = { .read_only = read_only, .report = ignore };
	struct th_entered_snapshot *entered;
	struct th_check_result result;
	struct th_snapshot snapshot;
	struct th_disk *lent = th_disk_lend(disk);

	if (th_fs_open(lent, &options, &fs) < 0) {
		th_disk_close(lent);
		return;
	}
	visit_all(NULL, false);
	compare("s", NULL);
	if (th_snapshot_find(fs->store, "s", &snapshot) == 0 &&
	    th_entered_snapshot_get(fs, snapshot.id, &entered) == 0) {
		visit_all(entered, false);
		th_entered_snapshot_put(fs, entered);
	}
	if (read_only) {
		th_fs_check(fs, &check, &result);
	} else {
		visit_all(NULL, true);
		change_names();
		th_fs_sync(fs);
		th_fs_snapshot_create(fs, "t", &snapshot);
		compare("s", "t");
		compare("t", "s");
		th_fs_snapshot_delete(fs, "s");
	}
	th_fs_close(fs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct order orders[ORDERS_MAX];
	size_t count = size / sizeof(*orders) < ORDERS_MAX ? size / sizeof(*orders) : ORDERS_MAX;
	struct th_disk *disk;

	if (!count)
		return 0;
	memcpy(orders, data, count * sizeof(*orders));
	random_now.state = 1;
	must(th_disk_memory_new(IMAGE_BLOCKS, &disk));
	make_valid(disk);
	change(disk, orders, count);
	use(disk, true);
	use(disk, false);
	use(disk, true);
	th_disk_close(disk);
	return 0;
}

#ifndef TH_FUZZER
int main(void)
{
	uint64_t seed = th_test_seed("fuzz_records");
	unsigned rounds = th_test_rounds(100);

	for (unsigned i = 0; i < rounds; i++) {
		struct th_random random = { .state = seed + i };
		struct order orders[ORDERS_MAX];
		uint32_t count = th_random_percent(&random, 50) ? ORDERS_MAX : th_random_between(&random, 1, 10);

		th_random_fill(&random, orders, sizeof(orders));
		alarm(INPUT_SECONDS);
		LLVMFuzzerTestOneInput((const uint8_t *)orders, count * sizeof(*orders));
	}
	printf("fuzz_records: %u filesystems\n", rounds);
	return 0;
}
#endif
