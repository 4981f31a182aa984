/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/check/damage_name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/format/inode_record.h"
#include "journal/base/report.h"

/* A line names that many trees, and directories of a path; more would be no help. */
#define TREES_MAX 10
#define DEPTH_MAX 64

/* --- paths --- */

/* Reads the first name of an inode.  Returns 0, or an error; -ENOENT for the root and what has no name. */
static int read_name(struct th_view *view, uint64_t id, uint64_t *ret_parent, char name[TH_NAME_MAX + 1])
{
	struct th_fs_key key = th_fs_key_inode(id);
	struct th_value value;
	struct th_attr attr;
	int err = th_get(view, th_fs_key_slice(&key), &value);

	if (err)
		return err;
	err = th_inode_decode(value.data, value.size, value.refs, &attr);
	if (!err && !attr.parent)
		err = -ENOENT;
	if (!err) {
		memcpy(name, attr.name, attr.name_size);
		name[attr.name_size] = 0;
		*ret_parent = attr.parent;
	}
	th_value_release(&value);
	return err;
}

/* Prints the path of a directory and a slash.  Of one whose parents cannot be read it prints the number. */
static void print_parents(FILE *to, struct th_view *view, uint64_t id, unsigned depth)
{
	char name[TH_NAME_MAX + 1];
	uint64_t parent;

	if (id == TH_ROOT_ID)
		return;
	if (depth == DEPTH_MAX || read_name(view, id, &parent, name)) {
		fprintf(to, "#%" PRIu64 "/", id);
		return;
	}
	print_parents(to, view, parent, depth + 1);
	fprintf(to, "%s/", name);
}

static void print_path(FILE *to, struct th_view *view, uint64_t parent, const char *name)
{
	fprintf(to, "%s'", ftell(to) ? ", " : "");
	print_parents(to, view, parent, 0);
	fprintf(to, "%s'", name);
}

char *th_damage_path(struct th_view *view, uint64_t directory, const char *name)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	print_parents(to, view, directory, 0);
	fputs(name, to);
	if (!fclose(to))
		return text;
	free(text);
	return NULL;
}

/* Prints the names beyond the first one. */
static void print_links(FILE *to, struct th_view *view, uint64_t id)
{
	struct th_fs_key prefix = th_fs_key_kind(id, TH_FS_KEY_LINK);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);
	struct th_fs_key_parts parts;
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	char name[TH_NAME_MAX + 1];

	if (th_cursor_open(view, &range, &cursor))
		return;
	for (unsigned i = 0; i < TREES_MAX && !th_cursor_next(cursor, &entry); i++) {
		if (th_fs_key_parse(entry.key, &parts))
			continue;
		memcpy(name, parts.name.data, parts.name.size);
		name[parts.name.size] = 0;
		print_path(to, view, parts.number, name);
	}
	th_cursor_close(cursor);
}

static void print_names(FILE *to, struct th_view *view, uint64_t id)
{
	char name[TH_NAME_MAX + 1];
	uint64_t parent;

	if (!read_name(view, id, &parent, name))
		print_path(to, view, parent, name);
	print_links(to, view, id);
	fprintf(to, ftell(to) ? " (inode %" PRIu64 ")" : "inode %" PRIu64, id);
}

/* --- trees --- */

/* Returns whether the file has this block of the disk at this place, in the view. */
static bool has_block(struct th_view *view, uint64_t id, uint64_t block, uint64_t addr)
{
	struct th_fs_key prefix = th_fs_key_kind(id, TH_FS_KEY_EXTENT), after = th_fs_key_extent(id, block + 1);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);
	struct th_fs_key_parts parts;
	struct th_extent extent = { 0 };
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	const char *why;
	bool has;

	if (th_cursor_open(view, &range, &cursor))
		return false;
	has = !th_cursor_seek(cursor, th_fs_key_slice(&after)) && !th_cursor_prev(cursor, &entry) &&
	      !th_fs_key_parse(entry.key, &parts) && !th_extent_decode(parts.number, entry.value, &extent, &why) &&
	      extent.kind == TH_EXTENT_RUN && block < extent.block + extent.blocks &&
	      extent.run.addr + (block - extent.block) == addr;
	th_cursor_close(cursor);
	return has;
}

static void print_snapshots(FILE *to, struct th_fs *fs, uint64_t id, uint64_t block, uint64_t addr, unsigned count)
{
	struct th_snapshot *list;
	struct th_view *view;
	size_t snapshots;

	if (th_snapshot_list(fs->store, &list, &snapshots))
		return;
	for (size_t i = 0; i < snapshots; i++) {
		if (th_view_snapshot(fs->store, list[i].id, &view))
			continue;
		if (has_block(view, id, block, addr) && count++ < TREES_MAX)
			fprintf(to, "%s snapshot '%s'", count > 1 ? "," : ", in", list[i].name);
		th_view_close(view);
	}
	if (count > TREES_MAX)
		fprintf(to, " and %u more", count - TREES_MAX);
	free(list);
}

static unsigned print_branches(FILE *to, struct th_fs *fs, uint64_t id, uint64_t block, uint64_t addr, unsigned count)
{
	struct th_branch *list;
	struct th_view *view;
	size_t branches;

	if (th_branch_list(fs->store, &list, &branches))
		return count;
	for (size_t i = 0; i < branches; i++) {
		if (list[i].current || list[i].detached || th_view_branch(fs->store, list[i].name, &view))
			continue;
		if (has_block(view, id, block, addr) && count++ < TREES_MAX)
			fprintf(to, "%s branch '%s'", count > 1 ? "," : ", in", list[i].name);
		th_view_close(view);
	}
	free(list);
	return count;
}

static void print_trees(FILE *to, struct th_fs *fs, uint64_t id, uint64_t block, uint64_t addr)
{
	unsigned count = has_block(fs->live, id, block, addr);

	if (count)
		fputs(", in the live tree", to);
	count = print_branches(to, fs, id, block, addr, count);
	print_snapshots(to, fs, id, block, addr, count);
}

char *th_damage_name(struct th_fs *fs, struct th_view *view, uint64_t id, uint64_t block, uint64_t addr)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	print_names(to, view, id);
	fprintf(to, " at offset %" PRIu64 ", disk block %" PRIu64, block * TH_BLOCK_SIZE, addr);
	print_trees(to, fs, id, block, addr);
	if (fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}

/* --- finding the damaged blocks --- */

int th_damage_name_extent(struct th_fs *fs, struct th_view *view, uint64_t id, const struct th_extent *extent,
			  void (*report)(void *arg, const char *line), void *arg)
{
	uint8_t *buffer = th_disk_buffer(TH_BLOCK_SIZE);
	int found = 0;

	for (uint32_t i = 0; buffer && i < extent->blocks; i++) {
		uint64_t checksum, addr = extent->run.addr + i;
		char *name;
		int err;

		th_extent_checksums(extent, i, 1, &checksum);
		err = th_chunk_read(fs->store, addr, 1, &checksum, buffer);
		if (!err || !has_block(view, id, extent->block + i, addr))
			continue; /* or the live tree has left the block since */
		name = th_damage_name(fs, view, id, extent->block + i, addr);
		if (name)
			th_report_format(report, arg, "damaged data: %s: %s", name,
					 err == -EBADMSG ? "wrong checksum" : strerror(-err));
		free(name);
		found++;
	}
	free(buffer);
	return buffer ? found : -ENOMEM;
}

static void report_to_fs(void *arg, const char *line)
{
	th_fs_report(arg, "%s", line);
}

void th_damage_name_read(struct th_fs *fs, struct th_view *view, uint64_t id, uint64_t off, uint64_t size)
{
	uint64_t from = off / TH_BLOCK_SIZE, to = (off + size + TH_BLOCK_SIZE - 1) / TH_BLOCK_SIZE;
	struct th_extents extents;
	struct th_extent extent;

	if (th_extents_open(fs, view, id, from, to, &extents))
		return;
	while (!th_extents_next(&extents, &extent))
		if (extent.kind == TH_EXTENT_RUN)
			th_damage_name_extent(fs, view, id, &extent, report_to_fs, fs);
	th_extents_close(&extents);
}
