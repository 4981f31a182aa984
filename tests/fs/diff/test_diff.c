/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of a filesystem between snapshots, made by hand and at random.  The diff is compared with the complete state
 * of both snapshots (picture.h).
 */
#include "fs/diff/diff.h"

#include <check.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/attr/attr.h"
#include "fs/attr/xattr.h"
#include "fs/data/file.h"
#include "fs/dir/namei.h"
#include "fs/fs.h"
#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"
#include "tests/fs/picture.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

static struct th_fs *fs;

static void open_fs(void)
{
	struct th_format_options format = { 0 };
	struct th_fs_options options = { 0 };
	struct th_disk *disk;

	ck_assert_int_eq(th_disk_memory_new((256u << 20) / TH_BLOCK_SIZE, &disk), 0);
	ck_assert_int_eq(th_fs_format(disk, &format, 0, 0), 0);
	ck_assert_int_eq(th_fs_open(disk, &options, &fs), 0);
}

static void close_fs(void)
{
	ck_assert_int_eq(th_fs_close(fs), 0);
	fs = NULL;
}

/* --- operations by path --- */

static struct th_slice slice(const char *text)
{
	return (struct th_slice){ text, strlen(text) };
}

/* Returns the directory of a path's last component; the caller puts it. */
static struct th_inode *parent_of(const char *path, struct th_slice *ret_name)
{
	const char *last = strrchr(path, '/');
	char *directory = strndup(path, (size_t)(last - path));
	struct th_inode *inode;

	ck_assert_int_eq(th_path_lookup(fs, NULL, directory, &inode), 0);
	free(directory);
	*ret_name = slice(last + 1);
	return inode;
}

static int make(const char *path, uint32_t mode)
{
	struct th_namei_new what = { .mode = mode };
	struct th_slice name;
	struct th_inode *dir = parent_of(path, &name), *inode;
	int err = th_namei_create(dir, name, &what, &inode);

	if (!err)
		th_inode_put(inode);
	th_inode_put(dir);
	return err;
}

static int make_link(const char *old_path, const char *path)
{
	struct th_slice name;
	struct th_inode *dir = parent_of(path, &name), *inode;
	int err = th_path_lookup(fs, NULL, old_path, &inode);

	if (!err) {
		err = th_namei_link(inode, dir, name);
		th_inode_put(inode);
	}
	th_inode_put(dir);
	return err;
}

static int unmake(const char *path)
{
	struct th_slice name;
	struct th_inode *dir = parent_of(path, &name);
	int err = th_namei_unlink(dir, name);

	if (err == -EISDIR)
		err = th_namei_rmdir(dir, name);
	th_inode_put(dir);
	return err;
}

static int move(const char *old_path, const char *path)
{
	struct th_slice from, to;
	struct th_inode *from_dir = parent_of(old_path, &from), *to_dir = parent_of(path, &to);
	int err = th_namei_rename(from_dir, from, to_dir, to, 0);

	th_inode_put(from_dir);
	th_inode_put(to_dir);
	return err;
}

static void put(const char *path, uint64_t offset, const void *bytes, size_t size)
{
	struct th_inode *inode;

	ck_assert_int_eq(th_path_lookup(fs, NULL, path, &inode), 0);
	ck_assert_int_eq(th_file_write(inode, bytes, size, offset, 0), size);
	th_inode_put(inode);
}

static void snapshot(const char *name)
{
	struct th_snapshot made;

	ck_assert_int_eq(th_fs_snapshot_create(fs, name, &made), 0);
}

/* --- all changes of a diff --- */

struct changes {
	struct th_fs_change *list;
	size_t count;
};

static struct changes collect_options(const struct th_fs_diff_options *options)
{
	struct changes changes = { 0 };
	struct th_fs_change change;
	struct th_fs_diff *diff;
	int err;

	ck_assert_int_eq(th_fs_diff_open(fs, options, &diff), 0);
	while (!(err = th_fs_diff_next(diff, &change)) || err == -EAGAIN) {
		if (err)
			continue;
		changes.list = realloc(changes.list, (changes.count + 1) * sizeof(change));
		changes.list[changes.count++] = change;
	}
	ck_assert_int_eq(err, 1);
	th_fs_diff_close(diff);
	return changes;
}

static struct changes collect(const char *from, const char *to, bool ranges)
{
	return collect_options(&(struct th_fs_diff_options){ .from = from, .to = to, .ranges = ranges });
}

static void drop(struct changes *changes)
{
	for (size_t i = 0; i < changes->count; i++)
		th_fs_change_release(&changes->list[i]);
	free(changes->list);
}

/* Expects a change of that kind at that path, and returns it. */
static const struct th_fs_change *expect(const struct changes *changes, enum th_fs_change_kind kind, const char *path,
					 const char *old_path)
{
	for (size_t i = 0; i < changes->count; i++) {
		const struct th_fs_change *change = &changes->list[i];

		if (change->kind == kind && !strcmp(change->path, path)) {
			ck_assert_pstr_eq(change->old_path, old_path);
			return change;
		}
	}
	ck_abort_msg("no change %c %s", kind, path);
}

/* --- by hand --- */

START_TEST(equal_views_have_no_changes)
{
	struct changes changes;

	ck_assert_int_eq(make("/a", S_IFREG | 0644), 0);
	snapshot("one");
	snapshot("two");
	changes = collect("one", "two", true);
	ck_assert_uint_eq(changes.count, 0);
	drop(&changes);
	changes = collect("one", NULL, true);
	ck_assert_uint_eq(changes.count, 0);
	drop(&changes);
}
END_TEST

START_TEST(unknown_names_are_refused)
{
	struct th_fs_diff *diff;

	snapshot("one");
	ck_assert_int_eq(th_fs_diff_open(fs, &(struct th_fs_diff_options){ .from = "none" }, &diff), -ENOENT);
	ck_assert_int_eq(th_fs_diff_open(fs, &(struct th_fs_diff_options){ .from = "one", .to = "none" }, &diff),
			 -ENOENT);
}
END_TEST

START_TEST(each_changed_name_is_reported)
{
	const struct th_fs_change *change;
	struct changes changes;

	ck_assert_int_eq(make("/d", S_IFDIR | 0755), 0);
	ck_assert_int_eq(make("/d/kept", S_IFREG | 0644), 0);
	ck_assert_int_eq(make("/moved", S_IFREG | 0644), 0);
	ck_assert_int_eq(make("/gone", S_IFREG | 0644), 0);
	snapshot("one");
	ck_assert_int_eq(make_link("/d/kept", "/link"), 0);
	ck_assert_int_eq(move("/moved", "/d/moved"), 0);
	ck_assert_int_eq(unmake("/gone"), 0);
	ck_assert_int_eq(make("/new", S_IFREG | 0644), 0);
	changes = collect("one", NULL, false);
	change = expect(&changes, TH_CHANGE_MODIFIED, "/d/kept", NULL);
	ck_assert_uint_eq(change->what, TH_CHANGED_LINKS);
	ck_assert_uint_eq(change->from.links, 1);
	ck_assert_uint_eq(change->to.links, 2);
	change = expect(&changes, TH_CHANGE_ADDED, "/link", NULL);
	ck_assert_uint_eq(change->from.links, 1);
	change = expect(&changes, TH_CHANGE_RENAMED, "/d/moved", "/moved");
	ck_assert_uint_eq(change->what, 0);
	expect(&changes, TH_CHANGE_REMOVED, "/gone", NULL);
	change = expect(&changes, TH_CHANGE_ADDED, "/new", NULL);
	ck_assert_uint_eq(change->from.mode, 0);
	expect(&changes, TH_CHANGE_MODIFIED, "/d", NULL);
	expect(&changes, TH_CHANGE_MODIFIED, "/", NULL);
	ck_assert_uint_eq(changes.count, 7);
	drop(&changes);
}
END_TEST

START_TEST(unchanged_files_below_a_renamed_directory_are_not_reported)
{
	struct changes changes;

	ck_assert_int_eq(make("/old", S_IFDIR | 0755), 0);
	ck_assert_int_eq(make("/old/deep", S_IFDIR | 0755), 0);
	ck_assert_int_eq(make("/old/deep/same", S_IFREG | 0644), 0);
	ck_assert_int_eq(make("/old/deep/other", S_IFREG | 0644), 0);
	snapshot("one");
	ck_assert_int_eq(move("/old", "/new"), 0);
	put("/new/deep/other", 0, "text", 4);
	changes = collect("one", NULL, false);
	expect(&changes, TH_CHANGE_RENAMED, "/new", "/old");
	expect(&changes, TH_CHANGE_MODIFIED, "/new/deep/other", "/old/deep/other");
	expect(&changes, TH_CHANGE_MODIFIED, "/", NULL);
	ck_assert_uint_eq(changes.count, 3);
	drop(&changes);
}
END_TEST

/* Fails unless the diff from "one" at this path has these changes and no others. */
static void expect_below(const char *path, size_t count, const char *const *lines)
{
	struct changes changes = collect_options(&(struct th_fs_diff_options){ .from = "one", .path = path });

	for (size_t i = 0; i < count; i++) {
		bool found = false;

		for (size_t c = 0; c < changes.count; c++)
			found |= lines[i][0] == (char)changes.list[c].kind &&
				 !strcmp(lines[i] + 2, changes.list[c].path);
		ck_assert_msg(found, "%s: no change %s", path, lines[i]);
	}
	ck_assert_msg(changes.count == count, "%s: %zu changes, not %zu", path, changes.count, count);
	drop(&changes);
}

#define EXPECT_BELOW(path, ...)                                                                                        \
	({                                                                                                             \
		static const char *const lines[] = { __VA_ARGS__ };                                                    \
		expect_below(path, sizeof(lines) / sizeof(lines[0]), lines);                                           \
	})

START_TEST(a_path_of_either_side_selects_the_changes_below_it)
{
	struct th_fs_diff_options nowhere = { .from = "one", .path = "/nosuch" };
	struct th_fs_diff *diff;

	ck_assert_int_eq(make("/old", S_IFDIR | 0755), 0);
	ck_assert_int_eq(make("/old/sub", S_IFDIR | 0755), 0);
	ck_assert_int_eq(make("/old/sub/same", S_IFREG | 0644), 0);
	ck_assert_int_eq(make("/old/sub/changed", S_IFREG | 0644), 0);
	ck_assert_int_eq(make("/old/sub/gone", S_IFREG | 0644), 0);
	ck_assert_int_eq(make("/elsewhere", S_IFREG | 0644), 0);
	ck_assert_int_eq(make("/o", S_IFREG | 0644), 0);
	snapshot("one");
	ck_assert_int_eq(move("/old", "/new"), 0);
	put("/new/sub/changed", 0, "text", 4);
	ck_assert_int_eq(unmake("/new/sub/gone"), 0);
	ck_assert_int_eq(make("/new/sub/added", S_IFREG | 0644), 0);
	put("/elsewhere", 0, "text", 4);
	put("/o", 0, "text", 4);

	static const char *const all[] = { "R /new", "M /new/sub/changed", "- /old/sub/gone", "+ /new/sub/added",
					   "M /new/sub" };
	static const char *const names[] = { "/old", "/new", "/old/sub", "/new/sub", "//old/./sub/" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		expect_below(names[i], sizeof(all) / sizeof(all[0]), all);
	EXPECT_BELOW("/old/sub/same", "R /new");
	EXPECT_BELOW("/new/sub/same", "R /new");
	EXPECT_BELOW("/old/sub/changed", "R /new", "M /new/sub/changed");
	EXPECT_BELOW("/new/sub/added", "R /new", "+ /new/sub/added");
	EXPECT_BELOW("/old/sub/gone", "R /new", "- /old/sub/gone");
	EXPECT_BELOW("/o", "M /o");
	ck_assert_int_eq(th_fs_diff_open(fs, &nowhere, &diff), -ENXIO);
	nowhere.path = "/elsewhere/below";
	ck_assert_int_eq(th_fs_diff_open(fs, &nowhere, &diff), -ENXIO);
	nowhere.path = "/old/..";
	ck_assert_int_eq(th_fs_diff_open(fs, &nowhere, &diff), -ENXIO);
}
END_TEST

START_TEST(a_path_may_lead_to_another_inode_on_each_side)
{
	ck_assert_int_eq(make("/a", S_IFDIR | 0755), 0);
	ck_assert_int_eq(make("/a/f", S_IFREG | 0644), 0);
	ck_assert_int_eq(make("/b", S_IFDIR | 0755), 0);
	ck_assert_int_eq(make("/b/g", S_IFREG | 0644), 0);
	ck_assert_int_eq(make("/c", S_IFDIR | 0755), 0);
	snapshot("one");
	ck_assert_int_eq(move("/a", "/t"), 0);
	ck_assert_int_eq(move("/b", "/a"), 0);
	ck_assert_int_eq(move("/t", "/b"), 0);
	put("/b/f", 0, "text", 4);
	put("/a/g", 0, "text", 4);
	EXPECT_BELOW("/a", "R /a", "R /b", "M /b/f", "M /a/g");
	EXPECT_BELOW("/b/f", "R /b", "M /b/f", "R /a");
	ck_assert_int_eq(move("/a/g", "/c/g"), 0);
	EXPECT_BELOW("/c", "M /c", "R /c/g");
}
END_TEST

START_TEST(exchanged_names_are_two_renamings)
{
	struct changes changes;

	ck_assert_int_eq(make("/file", S_IFREG | 0644), 0);
	ck_assert_int_eq(make("/dir", S_IFDIR | 0755), 0);
	snapshot("one");
	ck_assert_int_eq(th_namei_rename(fs->root, slice("file"), fs->root, slice("dir"), RENAME_EXCHANGE), 0);
	changes = collect("one", NULL, false);
	expect(&changes, TH_CHANGE_RENAMED, "/dir", "/file");
	expect(&changes, TH_CHANGE_RENAMED, "/file", "/dir");
	expect(&changes, TH_CHANGE_MODIFIED, "/", NULL);
	ck_assert_uint_eq(changes.count, 3);
	drop(&changes);
}
END_TEST

static char last_report[256];

static void keep_report(void *arg, const char *line)
{
	(void)arg;
	snprintf(last_report, sizeof(last_report), "%s", line);
}

/* Stores a key as a made image may have it, and expects the diff to end with a report. */
static void expect_refused(const struct th_fs_key *key, const char *report)
{
	struct th_fs_diff_options options = { .from = "one" };
	struct th_fs_change change;
	struct th_fs_diff *diff;
	struct th_txn *txn;
	int err;

	ck_assert_int_eq(th_txn_begin(fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_put(txn, th_fs_key_slice(key), slice("")), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
	fs->options.report = keep_report;
	ck_assert_int_eq(th_fs_diff_open(fs, &options, &diff), 0);
	while (!(err = th_fs_diff_next(diff, &change)))
		th_fs_change_release(&change);
	ck_assert_int_eq(err, -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(last_report, report));
	th_fs_diff_close(diff);
	ck_assert_int_eq(th_txn_begin(fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_delete(txn, th_fs_key_slice(key)), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
}

START_TEST(names_that_no_file_can_have_are_not_printed)
{
	struct th_inode *inode;
	struct th_fs_key key;
	uint64_t id;

	ck_assert_int_eq(make("/f", S_IFREG | 0644), 0);
	ck_assert_int_eq(make_link("/f", "/g"), 0);
	ck_assert_int_eq(th_path_lookup(fs, NULL, "/f", &inode), 0);
	id = inode->id;
	th_inode_put(inode);
	snapshot("one");
	key = th_fs_key_link(id, TH_ROOT_ID, "/../etc/passwd", 14);
	expect_refused(&key, "does not belong to a filesystem");
	key = th_fs_key_entry(TH_ROOT_ID, 1, "..", 2);
	expect_refused(&key, "does not belong to a filesystem");
}
END_TEST

/* In both views: it is read when the inode has changed otherwise. */
START_TEST(old_names_that_no_file_can_have_are_not_printed)
{
	struct th_fs_diff_options options = { .from = "one" };
	struct th_fs_change change;
	struct th_fs_diff *diff;
	struct th_inode *inode;
	struct th_fs_key key;
	struct th_txn *txn;

	ck_assert_int_eq(make("/f", S_IFREG | 0644), 0);
	ck_assert_int_eq(make_link("/f", "/g"), 0);
	ck_assert_int_eq(th_path_lookup(fs, NULL, "/f", &inode), 0);
	key = th_fs_key_link(inode->id, TH_ROOT_ID, "a/b", 3);
	th_inode_put(inode);
	ck_assert_int_eq(th_txn_begin(fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_put(txn, th_fs_key_slice(&key), slice("")), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
	snapshot("one");
	put("/f", 0, "text", 4);
	fs->options.report = keep_report;
	ck_assert_int_eq(th_fs_diff_open(fs, &options, &diff), 0);
	ck_assert_int_eq(th_fs_diff_next(diff, &change), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(last_report, "its names are not valid"));
	th_fs_diff_close(diff);
}
END_TEST

/* The tool finds replaced files by the path that an added name would have had. */
START_TEST(an_added_name_has_its_path_of_the_older_view)
{
	struct changes changes;

	ck_assert_int_eq(make("/old", S_IFDIR | 0755), 0);
	ck_assert_int_eq(make("/same", S_IFDIR | 0755), 0);
	snapshot("one");
	ck_assert_int_eq(move("/old", "/new"), 0);
	ck_assert_int_eq(make("/new/f", S_IFREG | 0644), 0);
	ck_assert_int_eq(make("/same/f", S_IFREG | 0644), 0);
	ck_assert_int_eq(make("/made", S_IFDIR | 0755), 0);
	ck_assert_int_eq(make("/made/f", S_IFREG | 0644), 0);
	changes = collect("one", NULL, false);
	expect(&changes, TH_CHANGE_ADDED, "/new/f", "/old/f");
	expect(&changes, TH_CHANGE_ADDED, "/same/f", NULL);
	expect(&changes, TH_CHANGE_ADDED, "/made/f", NULL);
	drop(&changes);
}
END_TEST

START_TEST(ranges_cover_the_changed_blocks_only)
{
	static uint8_t block[TH_BLOCK_SIZE];
	const struct th_fs_change *change;
	struct changes changes;

	ck_assert_int_eq(make("/f", S_IFREG | 0644), 0);
	for (unsigned i = 0; i < 64; i++) {
		memset(block, (int)i + 1, sizeof(block));
		put("/f", i * sizeof(block), block, sizeof(block));
	}
	snapshot("one");
	memset(block, 200, sizeof(block));
	put("/f", 5 * sizeof(block), block, sizeof(block));
	put("/f", 6 * sizeof(block) + 10, block, 1);
	memset(block, 31, sizeof(block));
	put("/f", 30 * sizeof(block), block, sizeof(block)); /* the same content as before */
	put("/f", 64 * sizeof(block), block, 100);
	changes = collect("one", NULL, true);
	ck_assert_uint_eq(changes.count, 1);
	change = expect(&changes, TH_CHANGE_MODIFIED, "/f", NULL);
	ck_assert_uint_eq(change->what, TH_CHANGED_CONTENT | TH_CHANGED_SIZE | TH_CHANGED_MTIME);
	ck_assert_uint_eq(change->nranges, 2);
	ck_assert_uint_eq(change->ranges[0].offset, 5 * sizeof(block));
	ck_assert_uint_eq(change->ranges[0].length, 2 * sizeof(block));
	ck_assert_uint_eq(change->ranges[1].offset, 64 * sizeof(block));
	ck_assert_uint_eq(change->ranges[1].length, 100);
	drop(&changes);
}
END_TEST

/* --- at random --- */

#define NAMES 6

/* Makes a path of one to three components, from few names. */
static void pick_path(struct th_random *random, char *path)
{
	unsigned parts = 1 + th_random_below(random, 3);

	for (unsigned i = 0; i < parts; i++)
		path += sprintf(path, "/%c", 'a' + (int)th_random_below(random, NAMES));
}

/* Does the parent directory exist? */
static bool has_parent(const char *path)
{
	char *directory = strndup(path, (size_t)(strrchr(path, '/') - path));
	struct th_inode *inode;
	bool answer = !th_path_lookup(fs, NULL, directory, &inode);

	if (answer) {
		answer = th_inode_is_dir(inode);
		th_inode_put(inode);
	}
	free(directory);
	return answer;
}

static void change_file(struct th_random *random, struct th_inode *inode)
{
	static uint8_t bytes[40000];
	uint64_t offset = th_random_below(random, 100000);
	size_t size = th_random_percent(random, 50) ? 1 + th_random_below(random, 1000)
						    : 1 + th_random_below(random, sizeof(bytes));

	if (!S_ISREG(inode->attr.mode))
		return;
	switch (th_random_below(random, 4)) {
	case 0:
		ck_assert_int_eq(th_attr_set(inode, TH_ATTR_SIZE, &(struct th_attr){ .size = offset }), 0);
		break;
	case 1:
		offset = 0;
		/* fallthrough */
	case 2:
		th_random_fill(random, bytes, size);
		ck_assert_int_eq(th_file_write(inode, bytes, size, offset, 0), size);
		break;
	default:
		memset(bytes, 0, size); /* reads as a hole does */
		ck_assert_int_eq(th_file_write(inode, bytes, size, offset, 0), size);
	}
}

static void change_inode(struct th_random *random, const char *path)
{
	struct th_inode *inode;
	struct th_attr attr;

	if (th_path_lookup(fs, NULL, path, &inode))
		return;
	attr = inode->attr;
	switch (th_random_below(random, 8)) {
	case 0:
		attr.mode ^= 0100;
		ck_assert_int_eq(th_attr_set(inode, TH_ATTR_MODE, &attr), 0);
		break;
	case 1:
		attr.uid = th_random_below(random, 3);
		ck_assert_int_eq(th_attr_set(inode, TH_ATTR_UID, &attr), 0);
		break;
	case 2:
		attr.mtime.seconds = th_random_below(random, 5);
		attr.atime.seconds = th_random_below(random, 5);
		ck_assert_int_eq(th_attr_set(inode, TH_ATTR_MTIME | TH_ATTR_ATIME, &attr), 0);
		break;
	case 3:
		ck_assert_int_eq(th_xattr_set(inode, "user.x", slice(th_random_percent(random, 50) ? "1" : "22"), 0),
				 0);
		break;
	case 4:
		th_xattr_remove(inode, "user.x");
		break;
	default:
		change_file(random, inode);
	}
	th_inode_put(inode);
}

static void do_something(struct th_random *random)
{
	char path[16], other[16];

	pick_path(random, path);
	pick_path(random, other);
	if (!has_parent(path))
		return;
	switch (th_random_below(random, 10)) {
	case 0:
		make(path, S_IFDIR | 0755);
		break;
	case 1:
	case 2:
		make(path, S_IFREG | 0644);
		break;
	case 3:
		unmake(path);
		break;
	case 4:
		make_link(other, path);
		break;
	case 5:
	case 6:
		if (has_parent(other))
			move(other, path);
		break;
	default:
		change_inode(random, path);
	}
}

/* Does the picture have this name of the inode? */
static bool has_name(const struct th_picture *picture, uint64_t id, uint64_t parent, const char *last)
{
	for (size_t i = 0; i < picture->count; i++) {
		const struct th_picture_name *name = &picture->names[i];

		if (name->id == id && name->parent == parent && !strcmp(strrchr(name->path, '/'), last))
			return true;
	}
	return false;
}

static const struct th_picture_name *any_name(const struct th_picture *picture, uint64_t id)
{
	for (size_t i = 0; i < picture->count; i++) {
		if (picture->names[i].id == id)
			return &picture->names[i];
	}
	return NULL;
}

static bool looks_the_same(const struct th_picture_name *a, const struct th_picture_name *b)
{
	return a->attr.mode == b->attr.mode && a->attr.uid == b->attr.uid && a->attr.gid == b->attr.gid &&
	       a->attr.nlink == b->attr.nlink && a->attr.mtime.seconds == b->attr.mtime.seconds &&
	       a->attr.mtime.nanoseconds == b->attr.mtime.nanoseconds && a->xattrs == b->xattrs &&
	       a->attr.size == b->attr.size && (!a->size || !memcmp(a->content, b->content, a->size));
}

static unsigned count_of(const struct changes *changes, enum th_fs_change_kind kind, uint64_t id, const char *path,
			 bool old)
{
	unsigned count = 0;

	for (size_t i = 0; i < changes->count; i++) {
		const struct th_fs_change *change = &changes->list[i];

		count += change->kind == kind && change->inode == id &&
			 !strcmp(old && change->old_path ? change->old_path : change->path, path);
	}
	return count;
}

/* Expects each name that only `here` has to be reported once, by itself or as one side of a renaming.  Returns the
 * number of reports. */
static size_t check_names(const struct changes *changes, const struct th_picture *here, const struct th_picture *there,
			  enum th_fs_change_kind kind)
{
	bool old = kind == TH_CHANGE_REMOVED;
	size_t reported = 0;

	for (size_t i = 0; i < here->count; i++) {
		const struct th_picture_name *name = &here->names[i];
		unsigned count = count_of(changes, kind, name->id, name->path, false) +
				 count_of(changes, TH_CHANGE_RENAMED, name->id, name->path, old);
		bool kept = has_name(there, name->id, name->parent, strrchr(name->path, '/'));

		ck_assert_msg(count == !kept, "%c %s: reported %u times", kind, name->path, count);
		reported += count;
	}
	return reported;
}

/* Expects an old copy with the ranges copied over it to be the new file. */
static void check_ranges(const struct th_fs_change *change, const struct th_picture_name *from,
			 const struct th_picture_name *to)
{
	uint8_t *copy = calloc(1, to->size + 1);

	if (from)
		memcpy(copy, from->content, from->size < to->size ? from->size : to->size);
	for (size_t i = 0; i < change->nranges; i++) {
		const struct th_fs_change_range *range = &change->ranges[i];

		ck_assert_uint_gt(range->length, 0);
		ck_assert_uint_le(range->offset + range->length, to->size);
		memcpy(copy + range->offset, to->content + range->offset, range->length);
	}
	ck_assert_msg(!memcmp(copy, to->content, to->size), "%s: the ranges miss a difference", change->path);
	free(copy);
}

/* Expects each kept name to be reported if its inode differs.  Returns the number of reports. */
static size_t check_kept(const struct changes *changes, const struct th_picture *from, const struct th_picture *to)
{
	size_t reported = 0;

	for (size_t i = 0; i < to->count; i++) {
		const struct th_picture_name *name = &to->names[i], *before = any_name(from, name->id);
		bool kept = has_name(from, name->id, name->parent, strrchr(name->path, '/'));
		unsigned count = count_of(changes, TH_CHANGE_MODIFIED, name->id, name->path, false);

		ck_assert_msg(count == (kept && !looks_the_same(before, name)), "M %s: reported %u times", name->path,
			      count);
		reported += count;
	}
	return reported;
}

static void check_diff(const char *from_name, const char *to_name)
{
	struct th_picture from = th_picture_take(fs, from_name), to = th_picture_take(fs, to_name);
	struct changes changes = collect(from_name, to_name, true);
	size_t renamed = 0, reported;

	reported = check_names(&changes, &from, &to, TH_CHANGE_REMOVED);
	reported += check_names(&changes, &to, &from, TH_CHANGE_ADDED);
	reported += check_kept(&changes, &from, &to);
	for (size_t i = 0; i < changes.count; i++) {
		const struct th_fs_change *change = &changes.list[i];

		renamed += change->kind == TH_CHANGE_RENAMED;
		if (S_ISREG(change->to.mode) && change->kind != TH_CHANGE_REMOVED)
			check_ranges(change, any_name(&from, change->inode), any_name(&to, change->inode));
	}
	ck_assert_uint_eq(reported - renamed, changes.count); /* a renaming was counted from both sides */
	drop(&changes);
	th_picture_release(&from);
	th_picture_release(&to);
}

START_TEST(random_changes_match_the_states_of_both_snapshots)
{
	struct th_random random = { th_test_seed("test_diff") };
	unsigned rounds = th_test_rounds(12);
	char name[16], last[16] = "0";

	snapshot(last);
	for (unsigned round = 1; round <= rounds; round++) {
		unsigned steps = 1 + th_random_below(&random, round % 3 ? 10 : 200);

		for (unsigned i = 0; i < steps; i++)
			do_something(&random);
		snprintf(name, sizeof(name), "%u", round);
		snapshot(name);
		check_diff(last, name);
		check_diff(name, last);
		check_diff("0", name);
		strcpy(last, name);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("diff");
	TCase *tc = tcase_create("diff");

	tcase_add_checked_fixture(tc, open_fs, close_fs);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, equal_views_have_no_changes);
	tcase_add_test(tc, unknown_names_are_refused);
	tcase_add_test(tc, each_changed_name_is_reported);
	tcase_add_test(tc, unchanged_files_below_a_renamed_directory_are_not_reported);
	tcase_add_test(tc, a_path_of_either_side_selects_the_changes_below_it);
	tcase_add_test(tc, a_path_may_lead_to_another_inode_on_each_side);
	tcase_add_test(tc, exchanged_names_are_two_renamings);
	tcase_add_test(tc, names_that_no_file_can_have_are_not_printed);
	tcase_add_test(tc, old_names_that_no_file_can_have_are_not_printed);
	tcase_add_test(tc, an_added_name_has_its_path_of_the_older_view);
	tcase_add_test(tc, ranges_cover_the_changed_blocks_only);
	tcase_add_test(tc, random_changes_match_the_states_of_both_snapshots);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return th_suite_run(suite());
}
