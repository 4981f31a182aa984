/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/rescue/rescue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/data/extent.h"
#include "fs/rescue/inventory.h"
#include "journal/base/array.h"
#include "journal/base/report.h"

#define LOST_AND_FOUND "lost+found"

/* A directory that was written, and whose names are to be. */
struct directory {
	uint64_t id;
	char *path; /* from `to` on; owned */
};

struct rescue {
	struct th_fs *fs;
	struct th_view *view;
	int to; /* descriptor of the target directory */
	void (*report)(void *arg, const char *line);
	void *arg;
	struct th_rescue_result *result;
	struct th_inventory inventory;
	struct directory *directories; /* parents before their children */
	size_t count, capacity;
	uint8_t *buffer; /* for one run */
};

static void loss(struct rescue *rescue, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void loss(struct rescue *rescue, const char *format, ...)
{
	va_list args;

	rescue->result->lost++;
	va_start(args, format);
	th_report_vformat(rescue->report, rescue->arg, format, args);
	va_end(args);
}

/* Reports that something could not be written; errno says why. */
static void failure(struct rescue *rescue, const char *path, const char *what)
{
	rescue->result->failed++;
	th_report_format(rescue->report, rescue->arg, "%s: %s cannot be written: %s", path, what, strerror(errno));
}

static char *join(const char *directory, const char *name)
{
	char *path;

	return asprintf(&path, "%s%s%s", directory, *directory ? "/" : "", name) < 0 ? NULL : path;
}

/* --- data --- */

/* One file that is written. */
struct output {
	struct rescue *rescue;
	const char *path;
	int fd;
	uint64_t end; /* of the data that was written */
	uint64_t bad_from, bad_to; /* bytes that cannot be read, not reported yet */
};

static void report_bad(struct output *out)
{
	if (out->bad_to > out->bad_from)
		loss(out->rescue, "%s: bytes %" PRIu64 " to %" PRIu64 " cannot be read", out->path, out->bad_from,
		     out->bad_to - 1);
	out->bad_from = out->bad_to = 0;
}

/* Notes bytes that cannot be read; adjacent ones are one loss. */
static void note_bad(struct output *out, uint64_t from, uint64_t to)
{
	if (out->bad_to != from || out->bad_to == 0) {
		report_bad(out);
		out->bad_from = from;
	}
	out->bad_to = to;
	if (to > out->end)
		out->end = to;
}

static void write_bytes(struct output *out, const void *bytes, size_t size, uint64_t at)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pwrite(out->fd, (const char *)bytes + done, size - done, (off_t)(at + done));

		if (n <= 0) {
			failure(out->rescue, out->path, "its data");
			return;
		}
		done += (size_t)n;
	}
	out->rescue->result->bytes += size;
	if (at + size > out->end)
		out->end = at + size;
}

static void write_run(struct output *out, const struct th_extent *extent)
{
	struct rescue *rescue = out->rescue;
	uint64_t checksums[TH_RUN_MAX], at = extent->block * TH_BLOCK_SIZE;

	th_extent_checksums(extent, 0, extent->blocks, checksums);
	if (!th_chunk_read(rescue->fs->store, extent->run.addr, extent->blocks, checksums, rescue->buffer)) {
		write_bytes(out, rescue->buffer, (size_t)extent->blocks * TH_BLOCK_SIZE, at);
		return;
	}
	for (uint32_t i = 0; i < extent->blocks; i++, at += TH_BLOCK_SIZE) {
		if (th_chunk_read(rescue->fs->store, extent->run.addr + i, 1, &checksums[i], rescue->buffer))
			note_bad(out, at, at + TH_BLOCK_SIZE);
		else
			write_bytes(out, rescue->buffer, TH_BLOCK_SIZE, at);
	}
}

static void write_extent(struct output *out, uint64_t block, struct th_slice value)
{
	struct th_extent extent;
	const char *why;

	if (th_extent_decode(block, value, &extent, &why))
		loss(out->rescue, "%s: extent at block %" PRIu64 ": %s", out->path, block, why);
	else if (extent.kind == TH_EXTENT_INLINE)
		write_bytes(out, extent.bytes, extent.size, 0);
	else if (extent.kind == TH_EXTENT_RUN)
		write_run(out, &extent);
	else if ((block + extent.blocks) * TH_BLOCK_SIZE > out->end)
		out->end = (block + extent.blocks) * TH_BLOCK_SIZE;
}

/* Returns the byte that a bound of a hole stands for, in the extents of an inode. */
static uint64_t byte_of(struct th_slice bound, uint64_t otherwise)
{
	struct th_fs_key_parts parts;

	if (!bound.data || th_fs_key_parse(bound, &parts) || parts.kind != TH_FS_KEY_EXTENT)
		return otherwise;
	return parts.number * TH_BLOCK_SIZE;
}

static struct th_range keys_of(uint64_t id, enum th_fs_key_kind kind, struct th_fs_key *prefix, void *space)
{
	*prefix = th_fs_key_kind(id, kind);
	return th_range_prefix(th_fs_key_slice(prefix), space);
}

/* Writes all data that can be read.  attr NULL: the size is not known. */
static int write_data(struct output *out, uint64_t id, const struct th_attr *attr)
{
	uint8_t space[TH_FS_KEY_MAX];
	struct th_fs_key prefix;
	struct th_range range = keys_of(id, TH_FS_KEY_EXTENT, &prefix, space), hole;
	struct th_fs_key_parts parts;
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int next, err = th_cursor_open(out->rescue->view, &range, &cursor);

	if (err)
		return err;
	while ((next = th_cursor_next(cursor, &entry)) != 1) {
		if (!next && !th_fs_key_parse(entry.key, &parts))
			write_extent(out, parts.number, entry.value);
		else if (next && th_cursor_skip(cursor, &hole))
			break;
		else if (next && attr && attr->size)
			note_bad(out, byte_of(hole.from, 0), byte_of(hole.to, attr->size));
	}
	th_cursor_close(cursor);
	if (attr && out->bad_to > attr->size)
		out->bad_to = attr->size;
	report_bad(out);
	if (ftruncate(out->fd, (off_t)(attr ? attr->size : out->end)))
		failure(out->rescue, out->path, "its size");
	return next == -ENOMEM ? next : 0;
}

/* --- attributes --- */

static void write_xattrs(struct rescue *rescue, const char *path, int fd, uint64_t id)
{
	uint8_t space[TH_FS_KEY_MAX];
	struct th_fs_key prefix;
	struct th_range range = keys_of(id, TH_FS_KEY_XATTR, &prefix, space), hole;
	struct th_fs_key_parts parts;
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	char name[TH_NAME_MAX + 1];
	int next;

	if (th_cursor_open(rescue->view, &range, &cursor))
		return;
	while ((next = th_cursor_next(cursor, &entry)) != 1) {
		if (next && th_cursor_skip(cursor, &hole))
			break;
		if (next) {
			if (th_inventory_inode(&rescue->inventory, id)) /* else the loss of the inode was reported */
				loss(rescue, "%s: extended attributes cannot be read", path);
			continue;
		}
		if (th_fs_key_parse(entry.key, &parts))
			continue;
		memcpy(name, parts.name.data, parts.name.size);
		name[parts.name.size] = 0;
		if (fsetxattr(fd, name, entry.value.data, entry.value.size, 0))
			failure(rescue, path, name);
	}
	th_cursor_close(cursor);
}

static struct timespec timespec_of(struct th_time time)
{
	return (struct timespec){ .tv_sec = time.seconds, .tv_nsec = (long)time.nanoseconds };
}

/* Sets owner, mode and times.  A user who is not root cannot give files away: that is no failure. */
static void write_attr(struct rescue *rescue, const char *path, const struct th_attr *attr)
{
	const struct timespec times[2] = { timespec_of(attr->atime), timespec_of(attr->mtime) };

	if (fchownat(rescue->to, path, attr->uid, attr->gid, AT_SYMLINK_NOFOLLOW) && geteuid() == 0)
		failure(rescue, path, "its owner");
	if (!S_ISLNK(attr->mode) && fchmodat(rescue->to, path, attr->mode & 07777, 0))
		failure(rescue, path, "its mode");
	if (utimensat(rescue->to, path, times, AT_SYMLINK_NOFOLLOW))
		failure(rescue, path, "its times");
}

/* --- names --- */

static int add_directory(struct rescue *rescue, uint64_t id, char *path)
{
	struct directory directory = { id, path };

	return th_append(rescue->directories, rescue->capacity, rescue->count, directory);
}

static int write_directory(struct rescue *rescue, const char *path, uint64_t id)
{
	char *copy;
	int err;

	if (mkdirat(rescue->to, path, 0700)) {
		failure(rescue, path, "the directory");
		return 0;
	}
	rescue->result->directories++;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	err = add_directory(rescue, id, copy);
	if (err)
		free(copy);
	return err;
}

static int write_file(struct rescue *rescue, const char *path, uint64_t id, const struct th_attr *attr)
{
	struct output out = { .rescue = rescue, .path = path };
	int err;

	out.fd = openat(rescue->to, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out.fd < 0) {
		failure(rescue, path, "the file");
		return 0;
	}
	rescue->result->files++;
	err = write_data(&out, id, attr);
	write_xattrs(rescue, path, out.fd, id);
	if (close(out.fd))
		failure(rescue, path, "its data");
	return err;
}

static void write_symlink(struct rescue *rescue, const char *path, uint64_t id)
{
	struct th_fs_key key = th_fs_key_extent(id, 0);
	char target[TH_SYMLINK_MAX + 1];
	struct th_extent extent = { 0 };
	struct th_value value;
	const char *why;

	if (th_get(rescue->view, th_fs_key_slice(&key), &value)) {
		loss(rescue, "%s: the target of the symlink cannot be read", path);
		return;
	}
	if (th_extent_decode(0, (struct th_slice){ value.data, value.size }, &extent, &why) ||
	    extent.kind != TH_EXTENT_INLINE || extent.size > TH_SYMLINK_MAX) {
		loss(rescue, "%s: the target of the symlink cannot be read", path);
	} else {
		memcpy(target, extent.bytes, extent.size);
		target[extent.size] = 0;
		if (symlinkat(target, rescue->to, path))
			failure(rescue, path, "the symlink");
		else
			rescue->result->other++;
	}
	th_value_release(&value);
}

static void write_special(struct rescue *rescue, const char *path, const struct th_attr *attr)
{
	if (mknodat(rescue->to, path, (attr->mode & S_IFMT) | 0600, (dev_t)attr->rdev))
		failure(rescue, path, "the special file");
	else
		rescue->result->other++;
}

/* Returns whether a directory was written: by its inode if that is known, else by a search, which lost inodes alone
 * need. */
static bool was_written(const struct rescue *rescue, uint64_t id)
{
	const struct th_found_inode *inode = th_inventory_inode(&rescue->inventory, id);

	if (inode)
		return inode->path != NULL;
	for (size_t i = 0; i < rescue->count; i++)
		if (rescue->directories[i].id == id)
			return true;
	return false;
}

/* Writes a name whose inode is lost, with the data that is left. */
static int write_without_inode(struct rescue *rescue, const char *path, uint64_t id, uint8_t type)
{
	loss(rescue, "%s: its attributes cannot be read", path);
	if (type == DT_DIR)
		return was_written(rescue, id) ? 0 : write_directory(rescue, path, id);
	if (type == DT_REG)
		return write_file(rescue, path, id, NULL);
	if (type == DT_LNK)
		write_symlink(rescue, path, id);
	return 0;
}

/* Writes one name of an inode: a link to a name that was written before, or all of it. */
static int write_name(struct rescue *rescue, const char *path, uint64_t id, uint8_t type)
{
	struct th_found_inode *inode = th_inventory_inode(&rescue->inventory, id);
	int err = 0;

	if (!inode)
		return write_without_inode(rescue, path, id, type);
	if (inode->path) {
		if (S_ISDIR(inode->attr.mode))
			loss(rescue, "%s: is another name of directory %s", path, inode->path);
		else if (linkat(rescue->to, inode->path, rescue->to, path, 0))
			failure(rescue, path, "the link");
		return 0;
	}
	inode->path = strdup(path);
	if (!inode->path)
		return -ENOMEM;
	if (S_ISDIR(inode->attr.mode))
		return write_directory(rescue, path, id);
	if (S_ISREG(inode->attr.mode))
		err = write_file(rescue, path, id, &inode->attr);
	else if (S_ISLNK(inode->attr.mode))
		write_symlink(rescue, path, id);
	else
		write_special(rescue, path, &inode->attr);
	write_attr(rescue, path, &inode->attr);
	return err;
}

static int write_names(struct rescue *rescue, const struct directory *directory)
{
	size_t count;
	struct th_found_name *names = th_inventory_names(&rescue->inventory, directory->id, &count);
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		char *path = join(directory->path, names[i].name);

		err = path ? write_name(rescue, path, names[i].id, names[i].type) : -ENOMEM;
		free(path);
	}
	return err;
}

/* Writes all that is below the directories from number *at on, of which there become more. */
static int write_below(struct rescue *rescue, size_t *at)
{
	int err = 0;

	for (; *at < rescue->count && !err; ++*at) {
		struct directory directory = rescue->directories[*at];

		err = write_names(rescue, &directory);
	}
	return err;
}

/* --- what lost its name --- */

static int write_found(struct rescue *rescue, uint64_t id, uint8_t type)
{
	char path[sizeof(LOST_AND_FOUND) + 32];

	if (mkdirat(rescue->to, LOST_AND_FOUND, 0700) && errno != EEXIST) {
		failure(rescue, LOST_AND_FOUND, "the directory");
		return 0;
	}
	snprintf(path, sizeof(path), LOST_AND_FOUND "/#%" PRIu64, id);
	loss(rescue, "%s: its name is lost", path);
	return write_name(rescue, path, id, type);
}

/* Writes directories that only the names in them show, and inodes, if no name leads to them.  Directories go first:
 * inodes without a name may be below them. */
static int write_lost(struct rescue *rescue, size_t *at)
{
	const struct th_inventory *inventory = &rescue->inventory;
	int err = 0;

	for (size_t i = 0; i < inventory->names_count && !err; i++) {
		uint64_t id = inventory->names[i].parent;

		if ((i && inventory->names[i - 1].parent == id) || was_written(rescue, id))
			continue;
		err = write_found(rescue, id, DT_DIR);
		if (!err)
			err = write_below(rescue, at);
	}
	for (size_t i = 0; i < inventory->inodes_count && !err; i++) {
		const struct th_found_inode *inode = &inventory->inodes[i];

		if (inode->path || !inode->attr.nlink)
			continue;
		err = write_found(rescue, inode->id, IFTODT(inode->attr.mode));
		if (!err)
			err = write_below(rescue, at);
	}
	return err;
}

static void report_holes(struct rescue *rescue)
{
	const struct th_inventory *inventory = &rescue->inventory;

	for (size_t i = 0; i < inventory->holes_count; i++)
		loss(rescue, "a part of the tree cannot be read: records of inodes %" PRIu64 " to %" PRIu64,
		     inventory->holes[i].from, inventory->holes[i].to);
	if (inventory->malformed)
		loss(rescue, "%" PRIu64 " malformed records are left out", inventory->malformed);
}

/* The attributes of directories are written last: files in them change their times, and their mode may forbid
 * writing. */
static void finish_directories(struct rescue *rescue)
{
	for (size_t i = rescue->count; i-- > 0;) {
		const struct directory *directory = &rescue->directories[i];
		const struct th_found_inode *inode = th_inventory_inode(&rescue->inventory, directory->id);
		const char *path = *directory->path ? directory->path : ".";
		int fd = openat(rescue->to, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0) {
			write_xattrs(rescue, path, fd, directory->id);
			close(fd);
		}
		if (inode)
			write_attr(rescue, path, &inode->attr);
		free(directory->path);
	}
}

static int write_all(struct rescue *rescue)
{
	struct th_found_inode *inode = th_inventory_inode(&rescue->inventory, TH_ROOT_ID);
	char *root = strdup("");
	size_t at = 0;
	int err = root ? add_directory(rescue, TH_ROOT_ID, root) : -ENOMEM;

	if (err) {
		free(root);
		return err;
	}
	report_holes(rescue);
	if (!inode)
		loss(rescue, "the root directory: its attributes cannot be read");
	else
		inode->path = strdup("");
	err = inode && !inode->path ? -ENOMEM : write_below(rescue, &at);
	if (!err)
		err = write_lost(rescue, &at);
	finish_directories(rescue);
	return err;
}

int th_rescue(struct th_fs *fs, struct th_view *view, const char *to, void (*report)(void *arg, const char *line),
	      void *arg, struct th_rescue_result *ret)
{
	struct rescue rescue = { .fs = fs, .view = view, .report = report, .arg = arg, .result = ret };
	int err;

	*ret = (struct th_rescue_result){ 0 };
	rescue.to = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rescue.to < 0)
		return -errno;
	rescue.buffer = th_disk_buffer((size_t)TH_RUN_MAX * TH_BLOCK_SIZE);
	err = rescue.buffer ? th_inventory_take(view, &rescue.inventory) : -ENOMEM;
	if (!err)
		err = write_all(&rescue);
	th_inventory_release(&rescue.inventory);
	free(rescue.directories);
	free(rescue.buffer);
	close(rescue.to);
	return err;
}
