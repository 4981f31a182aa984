/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of a stream, which come from outside: whatever they are, the store stays sound, snapshots stay as they are,
 * and records that the check at the end of a stream accepts make a sound filesystem.
 *
 * The input is what TH_PIECE_RECORDS holds.  As TH_FUZZ_STREAM_CORPUS, a directory, the program writes a corpus into
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/attr/xattr.h"
#include "fs/check/check.h"
#include "fs/data/copy.h"
#include "fs/data/extent.h"
#include "fs/data/fallocate.h"
#include "fs/data/file.h"
#include "fs/dir/namei.h"
#include "fs/stream/apply.h"
#include "fs/stream/piece.h"
#include "fs/stream/send.h"
#include "journal/disk/disk.h"
#include "tests/support/fuzz.h"

static void ignore(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static void must(int err)
{
	if (err >= 0)
		return;
	fprintf(stderr, "fuzz_stream: %s\n", strerror(-err));
	abort();
}

static struct th_inode *make(struct th_inode *dir, const char *name, uint32_t mode)
{
	struct th_namei_new new = { .mode = mode };
	struct th_inode *inode;

	must(th_namei_create(dir, (struct th_slice){ name, strlen(name) }, &new, &inode));
	return inode;
}

/* A filesystem with a few files, and a snapshot of it. */
static struct th_fs *open_filesystem(void)
{
	struct th_format_options format = { 0 };
	struct th_fs_options options = { .report = ignore, .checkpoint_interval_ms = 3600 * 1000 };
	uint8_t data[9000] = { 1 };
	struct th_inode *dir, *file, *small;
	struct th_disk *disk;
	struct th_fs *fs;

	must(th_disk_memory_new(TH_IMAGE_MIN / TH_BLOCK_SIZE, &disk));
	must(th_fs_format(disk, &format, 0, 0));
	must(th_fs_open(disk, &options, &fs));
	dir = make(fs->root, "dir", S_IFDIR | 0755);
	file = make(dir, "file", S_IFREG | 0644);
	small = make(fs->root, "small", S_IFREG | 0644);
	must((int)th_file_write(file, data, sizeof(data), 0, 0));
	must((int)th_file_write(small, "small", 5, 0, 0));
	must(th_namei_link(file, fs->root, (struct th_slice){ "link", 4 }));
	th_inode_put(small);
	th_inode_put(file);
	th_inode_put(dir);
	must(th_snapshot_create(fs->store, "s", NULL));
	return fs;
}

static void check_all(struct th_fs *fs, bool sound)
{
	struct th_fs_check_options options = { .problem = ignore, .read_data = true };
	struct th_check_options store_options = { .runs = th_extent_runs, .problem = ignore };
	struct th_check_result result;

	must(th_store_checkpoint(fs->store));
	if (sound)
		must(th_fs_check(fs, &options, &result));
	else
		must(th_store_check(fs->store, &store_options, &result));
	if (result.problems || result.leaked_blocks)
		abort();
}

/* Applies the records up to the first that is refused.  Returns whether all were taken. */
static bool apply_all(struct th_apply *apply, struct th_slice records)
{
	struct th_record record;
	size_t size;
	int err;

	while (!(err = th_record_decode(records, &record, &size))) {
		if (th_apply_record(apply, &record))
			return false;
		records = (struct th_slice){ (const uint8_t *)records.data + size, records.size - size };
	}
	return err == 1;
}

/* Ends the receive as fs/stream/receive.c does. */
static void end(struct th_fs *fs)
{
	struct th_txn *txn;

	must(th_txn_begin(fs->store, &txn));
	must(th_unfinished_delete(txn));
	must(th_txn_commit(txn));
	th_inode_outdate(fs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct th_fs_check_options options = { .problem = ignore };
	struct th_unfinished unfinished = { 0 };
	struct th_apply *apply = malloc(sizeof(*apply));
	struct th_fs *fs = open_filesystem();
	struct th_snapshot snapshot;
	struct th_view *base;
	uint64_t problems = 1;

	must(th_snapshot_find(fs->store, "s", &snapshot));
	must(th_view_snapshot(fs->store, snapshot.id, &base));
	must(th_apply_init(apply, fs, base, &unfinished));
	if (apply_all(apply, (struct th_slice){ data, size }) && !th_apply_commit(apply))
		must(th_fs_check_changes(fs, base, &options, &problems));
	th_apply_release(apply);
	free(apply);
	th_view_close(base);
	if (!problems)
		end(fs);
	check_all(fs, !problems);
	must(th_fs_close(fs));
	return 0;
}

/* --- the corpus --- */

#ifndef TH_FUZZER
static void write_corpus(const char *directory, const char *name, struct th_fs *fs, const char *from, const char *to)
{
	const struct th_send_options options = { .snapshot = to, .base = from };
	struct th_piece_reader reader = { 0 };
	struct th_send *send;
	struct th_slice piece, content;
	enum th_piece_kind kind;
	char path[256];
	FILE *file;
	int err;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	must(file ? th_send_open(fs, &options, &send) : -ENOENT);
	while (!(err = th_send_next(send, &piece))) {
		if (!piece.size)
			continue;
		must(th_piece_read(&reader, piece.data, piece.size, &kind, &content));
		if (kind == TH_PIECE_RECORDS)
			fwrite(content.data, 1, content.size, file);
	}
	must(err);
	th_send_close(send);
	th_piece_reader_release(&reader);
	fclose(file);
}

/* Changes the files of open_filesystem() step by step, and writes a file of records for each. */
static void make_corpus(const char *directory)
{
	struct th_fs *fs = open_filesystem();
	struct th_inode *inode, *file;
	uint8_t data[1100] = { 2 }; /* inputs are short */
	uint64_t copied;

	must(th_path_lookup(fs, NULL, "/link", &file));
	inode = make(fs->root, "new", S_IFREG | 0600);
	must((int)th_file_write(inode, data, sizeof(data), 4096, 0));
	must(th_snapshot_create(fs->store, "data", NULL));
	write_corpus(directory, "data", fs, "s", "data");
	must(th_file_copy_range(inode, 4096, file, 8192, 4096, &copied));
	must(th_file_copy_range(inode, 4096, file, 16384, 4096, &copied));
	must(th_file_fallocate(inode, FALLOC_FL_KEEP_SIZE, 40960, 8192));
	must(th_file_fallocate(inode, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 4096, 4096));
	must(th_xattr_set(inode, "user.a", (struct th_slice){ "value", 5 }, 0));
	must(th_snapshot_create(fs->store, "clone", NULL));
	write_corpus(directory, "clone", fs, "s", "clone");
	th_inode_put(inode);
	th_inode_put(file);
	must(th_path_lookup(fs, NULL, "/dir", &inode));
	must(th_namei_rename(inode, (struct th_slice){ "file", 4 }, fs->root, (struct th_slice){ "small", 5 }, 0));
	must(th_namei_rename(fs->root, (struct th_slice){ "dir", 3 }, fs->root, (struct th_slice){ "moved", 5 }, 0));
	th_inode_put(make(inode, "below", S_IFIFO | 0600));
	th_inode_put(inode);
	must(th_snapshot_create(fs->store, "names", NULL));
	write_corpus(directory, "names", fs, "s", "names");
	write_corpus(directory, "back", fs, "names", "s");
	must(th_fs_close(fs));
}

int main(int argc, char **argv)
{
	const char *directory = getenv("TH_FUZZ_STREAM_CORPUS");

	if (directory) {
		make_corpus(directory);
		return 0;
	}
	return th_fuzz_main(argc, argv, "fuzz_stream", 3000);
}
#endif
