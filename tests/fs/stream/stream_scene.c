/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fs/stream/stream_scene.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/attr/atime.h"
#include "fs/attr/attr.h"
#include "fs/attr/xattr.h"
#include "fs/check/check.h"
#include "fs/data/copy.h"
#include "fs/data/fallocate.h"
#include "fs/data/file.h"
#include "fs/dir/dir.h"
#include "fs/dir/namei.h"
#include "journal/disk/disk.h"
#include "tests/fs/picture.h"

/* --- streams --- */

struct th_bytes th_stream_make(struct th_fs *fs, const struct th_send_options *options)
{
	struct th_bytes bytes = { 0 };
	struct th_slice piece;
	struct th_send *send;
	int err;

	ck_assert_int_eq(th_send_open(fs, options, &send), 0);
	while (!(err = th_send_next(send, &piece))) {
		bytes.data = realloc(bytes.data, bytes.size + piece.size + 1);
		if (piece.size)
			memcpy(bytes.data + bytes.size, piece.data, piece.size);
		bytes.size += piece.size;
	}
	ck_assert_int_eq(err, 1);
	th_send_close(send);
	return bytes;
}

struct th_bytes th_stream_of(struct th_fs *fs, const char *snapshot, const char *base)
{
	return th_stream_make(fs, &(struct th_send_options){ .snapshot = snapshot, .base = base });
}

static void ignore(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

int th_stream_receive(const char *image, const struct th_receive_options *options, struct th_bytes bytes,
		      struct th_random *random)
{
	struct th_receive_options with_image = options ? *options : (struct th_receive_options){ 0 };
	struct th_receive *receive;
	size_t at = 0;
	int err = 0, closed;

	with_image.image = image;
	if (!with_image.report)
		with_image.report = ignore;
	ck_assert_int_eq(th_receive_new(&with_image, &receive), 0);
	while (at < bytes.size && !err) {
		size_t part = bytes.size - at;

		if (random && part > 1)
			part = th_random_between(random, 1, part < 100000 ? (uint32_t)part : 100000);
		err = th_receive_feed(receive, bytes.data + at, part);
		at += part;
	}
	if (!err)
		err = th_receive_end(receive);
	if (err)
		printf("# receive: %s: %s\n", strerror(-err), th_receive_why(receive));
	closed = th_receive_close(receive);
	return err ? err : closed;
}

/* --- the target --- */

void th_stream_target_open(struct th_scene *scene)
{
	struct th_disk *disk;

	ck_assert_int_eq(th_disk_open(scene->image, TH_DISK_BUFFERED, &disk), 0);
	ck_assert_int_eq(th_fs_open(disk, &scene->options, &scene->fs), 0);
}

void th_stream_target_close(struct th_scene *scene)
{
	ck_assert_int_eq(th_fs_close(scene->fs), 0);
	scene->fs = NULL;
}

void th_stream_target(struct th_scene *scene)
{
	th_scene_open(scene, NULL);
	th_stream_target_close(scene);
}

void th_stream_target_remove(struct th_scene *scene)
{
	unlink(scene->image);
}

static void problem(void *arg, const char *line)
{
	(void)arg;
	printf("# %s\n", line);
}

void th_stream_target_check(struct th_scene *scene)
{
	struct th_fs_check_options options = { .read_data = true, .problem = problem };
	struct th_check_result result;

	ck_assert_int_eq(th_store_checkpoint(scene->fs->store), 0);
	ck_assert_int_eq(th_fs_check(scene->fs, &options, &result), 0);
	ck_assert_uint_eq(result.problems, 0);
	ck_assert_uint_eq(result.leaked_blocks, 0);
}

/* --- comparing --- */

static bool same_time(struct th_time a, struct th_time b)
{
	return a.seconds == b.seconds && a.nanoseconds == b.nanoseconds;
}

static void expect_same(const struct th_picture_name *a, const struct th_picture_name *b)
{
	const struct th_attr *x = &a->attr, *y = &b->attr;

	ck_assert_str_eq(a->path, b->path);
	ck_assert_msg(x->mode == y->mode && x->uid == y->uid && x->gid == y->gid && x->flags == y->flags &&
			      x->nlink == y->nlink && x->rdev == y->rdev,
		      "%s: attributes", a->path);
	ck_assert_msg(x->size == y->size, "%s: size %llu, expected %llu", a->path, (unsigned long long)y->size,
		      (unsigned long long)x->size);
	ck_assert_msg(x->blocks == y->blocks, "%s: blocks %llu, expected %llu", a->path, (unsigned long long)y->blocks,
		      (unsigned long long)x->blocks);
	ck_assert_msg(same_time(x->atime, y->atime), "%s: atime", a->path);
	ck_assert_msg(same_time(x->mtime, y->mtime) && same_time(x->ctime, y->ctime) && same_time(x->btime, y->btime),
		      "%s: times", a->path);
	ck_assert_msg(a->xattrs == b->xattrs, "%s: extended attributes", a->path);
	ck_assert_uint_eq(a->size, b->size);
	ck_assert_msg(!a->size || !memcmp(a->content, b->content, a->size), "%s: content", a->path);
}

/* Two names are one file in both, or in neither. */
static void expect_same_links(const struct th_picture *a, const struct th_picture *b)
{
	for (size_t i = 0; i < a->count; i++) {
		for (size_t k = 0; k < i; k++)
			ck_assert_int_eq(a->names[i].id == a->names[k].id, b->names[i].id == b->names[k].id);
	}
}

static void expect_same_targets(struct th_fs *a, struct th_fs *b, const char *snapshot, const struct th_picture *list)
{
	struct th_fs *both[2] = { a, b };

	for (size_t i = 0; i < list->count; i++) {
		char target[2][TH_SYMLINK_MAX + 1];

		if (!S_ISLNK(list->names[i].attr.mode))
			continue;
		for (unsigned k = 0; k < 2; k++) {
			struct th_entered_snapshot *entered;
			struct th_snapshot found;
			struct th_inode *inode;

			ck_assert_int_eq(th_snapshot_find(both[k]->store, snapshot, &found), 0);
			ck_assert_int_eq(th_entered_snapshot_get(both[k], found.id, &entered), 0);
			ck_assert_int_eq(th_path_lookup(both[k], entered, list->names[i].path, &inode), 0);
			ck_assert_int_eq(th_symlink_read(inode, target[k]), 0);
			th_inode_put(inode);
			th_entered_snapshot_put(both[k], entered);
		}
		ck_assert_str_eq(target[0], target[1]);
	}
}

void th_stream_expect_equal(struct th_fs *a, struct th_fs *b, const char *snapshot)
{
	struct th_picture x = th_picture_take(a, snapshot), y = th_picture_take(b, snapshot);
	struct th_snapshot of_a, of_b;

	for (size_t i = 0; i < x.count || i < y.count; i++) {
		ck_assert_msg(i < x.count, "%s: should not be there", i < y.count ? y.names[i].path : "");
		ck_assert_msg(i < y.count, "%s: is missing", x.names[i].path);
		expect_same(&x.names[i], &y.names[i]);
	}
	expect_same_links(&x, &y);
	expect_same_targets(a, b, snapshot, &x);
	ck_assert_int_eq(th_snapshot_find(a->store, snapshot, &of_a), 0);
	ck_assert_int_eq(th_snapshot_find(b->store, snapshot, &of_b), 0);
	ck_assert_mem_eq(of_a.identity, of_b.identity, sizeof(of_a.identity));
	ck_assert_uint_eq(of_a.created_ns, of_b.created_ns);
	th_picture_release(&x);
	th_picture_release(&y);
}

/* --- random changes --- */

/* A path in a small set of names, three deep at most, so that operations meet each other. */
static void random_path(struct th_random *random, char *path)
{
	unsigned depth = th_random_between(random, 1, 3);

	*path = 0;
	for (unsigned i = 0; i < depth; i++)
		sprintf(path + strlen(path), "/%c%u", i + 1 < depth ? 'd' : 'n', th_random_below(random, 5));
	if (th_random_percent(random, 20))
		path[strlen(path) - 2] = 'd';
}

static struct th_inode *find(struct th_scene *scene, const char *path)
{
	struct th_inode *inode;

	return th_scene_find(scene, path, &inode) ? NULL : inode;
}

/* Creates, renames, links or removes names.  Many attempts fail, which is fine. */
static void change_names(struct th_scene *scene, struct th_random *random, const char *path, const char *other)
{
	static const uint32_t types[] = { S_IFREG, S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFIFO, S_IFSOCK };
	struct th_slice name, other_name;
	struct th_inode *dir, *other_dir, *inode = find(scene, other), *made;
	struct th_namei_new new = { .mode = types[th_random_below(random, 7)] | th_random_below(random, 01000),
				    .uid = th_random_below(random, 3) };
	char parent[64], other_parent[64];

	if (th_random_percent(random, 5))
		new.mode = S_IFCHR | 0600, new.rdev = makedev(5, th_random_below(random, 300));
	if (th_random_percent(random, 10))
		new.mode = S_IFLNK | 0777, new.target = th_scene_slice(other);
	strcpy(parent, path);
	*strrchr(parent, '/') = 0;
	strcpy(other_parent, other);
	*strrchr(other_parent, '/') = 0;
	dir = find(scene, parent);
	other_dir = find(scene, other_parent);
	name = th_scene_slice(strrchr(path, '/') + 1);
	other_name = th_scene_slice(strrchr(other, '/') + 1);
	if (dir && th_inode_is_dir(dir)) {
		switch (th_random_below(random, 8)) {
		case 0:
			th_namei_unlink(dir, name);
			break;
		case 1:
			th_namei_rmdir(dir, name);
			break;
		case 2:
			if (inode)
				th_namei_link(inode, dir, name);
			break;
		case 3:
		case 4:
			if (other_dir && th_inode_is_dir(other_dir))
				th_namei_rename(dir, name, other_dir, other_name,
						th_random_percent(random, 20) ? RENAME_EXCHANGE : 0);
			break;
		default:
			if (!th_namei_create(dir, name, &new, &made))
				th_inode_put(made);
			break;
		}
	}
	th_inode_put(inode);
	th_inode_put(dir);
	th_inode_put(other_dir);
}

static void write_some(struct th_inode *inode, struct th_random *random, uint64_t off)
{
	size_t size =
		th_random_percent(random, 50) ? th_random_between(random, 1, 900) : th_random_between(random, 1, 60000);
	uint8_t *bytes = malloc(size);

	th_random_fill(random, bytes, size);
	th_file_write(inode, bytes, size, off, 0);
	free(bytes);
}

static void change_data(struct th_scene *scene, struct th_random *random, struct th_inode *inode, const char *other)
{
	uint64_t off = th_random_percent(random, 50) ? 0 : th_random_below(random, 400000), copied;
	struct th_inode *source = find(scene, other);
	struct th_attr attr = { .size = th_random_below(random, 300000) };

	switch (th_random_below(random, 8)) {
	case 0:
		th_attr_set(inode, TH_ATTR_SIZE, &attr);
		break;
	case 1:
		th_file_fallocate(inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off,
				  th_random_between(random, 1, 100000));
		break;
	case 2:
		th_file_fallocate(inode, th_random_percent(random, 50) ? FALLOC_FL_KEEP_SIZE : 0, off,
				  th_random_between(random, 1, 100000));
		break;
	case 3:
	case 4:
		if (source && S_ISREG(source->type)) {
			th_file_writeback(source);
			th_file_copy_range(source, 0, inode, off / 4096 * 4096, 200000, &copied);
		}
		break;
	default:
		write_some(inode, random, off);
		break;
	}
	th_inode_put(source);
}

static void change_attributes(struct th_random *random, struct th_inode *inode)
{
	struct th_attr attr = { .mode = th_random_below(random, 010000),
				.uid = th_random_below(random, 70000),
				.gid = 7,
				.mtime = { th_random_below(random, 2000000000), th_random_below(random, 1000000000) },
				.atime = { th_random_below(random, 2000000000), th_random_below(random, 1000000000) } };
	char name[32], value[6000];

	snprintf(name, sizeof(name), "user.%u", th_random_below(random, 4));
	memset(value, 'v', sizeof(value));
	switch (th_random_below(random, 6)) {
	case 0:
		th_attr_set(inode, TH_ATTR_MODE, &attr);
		break;
	case 1:
		th_attr_set(inode, TH_ATTR_UID | TH_ATTR_GID, &attr);
		break;
	case 2:
		th_attr_set(inode, TH_ATTR_MTIME | TH_ATTR_ATIME, &attr);
		break;
	case 3:
		th_xattr_set(inode, name, (struct th_slice){ value, th_random_below(random, sizeof(value)) }, 0);
		break;
	case 4:
		th_xattr_remove(inode, name);
		break;
	default:
		th_atime_touch(inode);
		break;
	}
}

void th_stream_churn(struct th_scene *scene, struct th_random *random, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char path[64], other[64];
		struct th_inode *inode;
		unsigned kind = th_random_below(random, 3);

		random_path(random, path);
		random_path(random, other);
		inode = find(scene, path);
		if (!inode || !kind)
			change_names(scene, random, path, other);
		else if (kind == 1 && S_ISREG(inode->type))
			change_data(scene, random, inode, other);
		else
			change_attributes(random, inode);
		th_inode_put(inode);
	}
}
