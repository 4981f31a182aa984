/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/check/check_data.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/data/extent.h"
#include "journal/disk/disk.h"
#include "tree/chunk.h"

struct data_check {
	struct th_fs *fs;
	const struct th_fs_check_options *options;
	uint8_t *seen; /* a bit for each block of the image: it has been read */
	uint64_t blocks;
	uint8_t *buffer; /* for one run */
	uint64_t problems;
};

/* Marks a run as read.  Returns true if all of its blocks had been marked. */
static bool mark_seen(struct data_check *check, const struct th_run *run)
{
	bool all = true;

	for (uint64_t block = run->addr; block < run->addr + run->blocks && block < check->blocks; block++) {
		all = all && (check->seen[block / 8] & 1u << block % 8);
		check->seen[block / 8] |= (uint8_t)(1u << block % 8);
	}
	return all;
}

static void check_run(struct data_check *check, const char *where, uint64_t id, const struct th_extent *extent)
{
	uint64_t checksums[TH_RUN_MAX];
	char line[512];
	int err;

	if (mark_seen(check, &extent->run))
		return;
	th_extent_checksums(extent, 0, extent->blocks, checksums);
	err = th_chunk_read(check->fs->store, extent->run.addr, extent->run.blocks, checksums, check->buffer);
	if (!err)
		return;
	check->problems++;
	snprintf(line, sizeof(line), "%s: inode %" PRIu64 ", block %" PRIu64 ": data at disk block %" PRIu64 " %s",
		 where, id, extent->block, extent->run.addr,
		 err == -EBADMSG ? "has a wrong checksum" : "cannot be read");
	check->options->problem(check->options->arg, line);
}

static int check_view(struct data_check *check, struct th_view *view, const char *where)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int err = th_cursor_open(view, NULL, &cursor);

	if (err)
		return err;
	while (!(err = th_cursor_next(cursor, &entry))) {
		struct th_fs_key_parts parts;
		struct th_extent extent;
		const char *why;

		/* Malformed extents were reported by th_fs_check. */
		if (th_fs_key_parse(entry.key, &parts) || parts.kind != TH_FS_KEY_EXTENT ||
		    th_extent_decode(parts.number, entry.value, &extent, &why))
			continue;
		if (extent.kind == TH_EXTENT_RUN)
			check_run(check, where, parts.id, &extent);
	}
	th_cursor_close(cursor);
	return err < 0 ? err : 0;
}

/* Checks a view and closes it. */
static int check_and_close(struct data_check *check, struct th_view *view, const char *name)
{
	int err = check_view(check, view, name);

	th_view_close(view);
	return err;
}

static int check_snapshots(struct data_check *check)
{
	struct th_snapshot *list;
	struct th_view *view = NULL;
	size_t count;
	int err = th_snapshot_list(check->fs->store, &list, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count && !err; i++) {
		err = th_view_snapshot(check->fs->store, list[i].id, &view);
		if (!err)
			err = check_and_close(check, view, list[i].name);
	}
	free(list);
	return err;
}

static int check_branches(struct data_check *check)
{
	struct th_branch *list;
	struct th_view *view = NULL;
	size_t count;
	int err = th_branch_list(check->fs->store, &list, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count && !err; i++) {
		if (list[i].detached || list[i].current)
			continue;
		err = th_view_branch(check->fs->store, list[i].name, &view);
		if (!err)
			err = check_and_close(check, view, list[i].name);
	}
	free(list);
	return err;
}

int th_fs_check_data(struct th_fs *fs, const struct th_fs_check_options *options, uint64_t *ret_problems)
{
	struct data_check check = { .fs = fs, .options = options };
	struct th_store_info info;
	int err = -ENOMEM;

	th_store_info(fs->store, &info);
	check.blocks = info.blocks;
	check.seen = calloc(1, info.blocks / 8 + 1);
	check.buffer = th_disk_buffer((size_t)TH_RUN_MAX * TH_BLOCK_SIZE);
	if (check.seen && check.buffer)
		err = check_view(&check, fs->live, "live tree");
	if (!err)
		err = check_branches(&check);
	if (!err)
		err = check_snapshots(&check);
	free(check.seen);
	free(check.buffer);
	*ret_problems = check.problems;
	return err;
}
