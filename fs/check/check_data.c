/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/check/check_data.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/check/damage_name.h"
#include "fs/data/extent.h"
#include "journal/disk/disk.h"
#include "journal/space/space_map.h"
#include "tree/chunk.h"

struct data_check {
	struct th_fs *fs;
	const struct th_fs_check_options *options;
	struct th_space_map seen; /* blocks that have been read */
	uint8_t *buffer; /* for one run */
	uint64_t problems;
};

static bool is_damage(int err)
{
	return err == -EBADMSG || err == -EUCLEAN || err == -EIO;
}

/* Marks a run as read.  Returns 1 if all of its blocks had been marked, 0 if not, or -ENOMEM. */
static int mark_seen(struct data_check *check, const struct th_run *run)
{
	if (!th_space_map_inside(&check->seen, run->addr, run->blocks))
		return 0; /* the read reports it */
	if (th_space_map_all(&check->seen, run->addr, run->blocks, true))
		return 1;
	return th_space_map_set(&check->seen, run->addr, run->blocks, true);
}

/* Reads a run.  The blocks that are damaged are named one by one.  Returns 0, also after reporting problems, or
 * -ENOMEM. */
static int check_run(struct data_check *check, struct th_view *view, uint64_t id, const struct th_extent *extent)
{
	uint64_t checksums[TH_RUN_MAX];
	int found, err = mark_seen(check, &extent->run);

	if (err)
		return err < 0 ? err : 0;
	th_extent_checksums(extent, 0, extent->blocks, checksums);
	err = th_chunk_read(check->fs->store, extent->run.addr, extent->run.blocks, checksums, check->buffer);
	if (!err)
		return 0;
	found = th_damage_name_extent(check->fs, view, id, extent, check->options->problem, check->options->arg);
	if (found > 0)
		check->problems += (uint64_t)found;
	return found < 0 ? found : 0;
}

static int check_entry(struct data_check *check, struct th_view *view, const struct th_cursor_entry *entry)
{
	struct th_fs_key_parts parts;
	struct th_extent extent;
	const char *why;

	/* Malformed extents were reported by th_fs_check. */
	if (th_fs_key_parse(entry->key, &parts) || parts.kind != TH_FS_KEY_EXTENT ||
	    th_extent_decode(parts.number, entry->value, &extent, &why) || extent.kind != TH_EXTENT_RUN)
		return 0;
	return check_run(check, view, parts.id, &extent);
}

/* Checks all data of a view whose extents can be read: damaged nodes have been reported. */
static int check_view(struct data_check *check, struct th_view *view)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	struct th_range hole;
	int next, err = th_cursor_open(view, NULL, &cursor);

	if (err)
		return err;
	while (!err && (next = th_cursor_next(cursor, &entry)) != 1) {
		if (!next)
			err = check_entry(check, view, &entry);
		else if (th_cursor_skip(cursor, &hole))
			err = next;
	}
	th_cursor_close(cursor);
	return err;
}

/* Checks a view and closes it. */
static int check_and_close(struct data_check *check, struct th_view *view)
{
	int err = check_view(check, view);

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
			err = check_and_close(check, view);
		else if (is_damage(err))
			err = 0; /* its root has been reported */
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
			err = check_and_close(check, view);
		else if (is_damage(err))
			err = 0;
	}
	free(list);
	return err;
}

int th_fs_check_data(struct th_fs *fs, const struct th_fs_check_options *options, uint64_t *ret_problems)
{
	struct data_check check = { .fs = fs, .options = options };
	struct th_store_info info;

	th_store_info(fs->store, &info);
	int err = th_space_map_init(&check.seen, info.blocks);

	check.buffer = th_disk_buffer((size_t)TH_RUN_MAX * TH_BLOCK_SIZE);
	if (!err && !check.buffer)
		err = -ENOMEM;
	if (!err)
		err = check_view(&check, fs->live);
	if (!err)
		err = check_branches(&check);
	if (!err)
		err = check_snapshots(&check);
	th_space_map_release(&check.seen);
	free(check.buffer);
	*ret_problems = check.problems;
	return err;
}
