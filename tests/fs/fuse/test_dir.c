/* SPDX-License-Identifier: Apache-2.0 */
/* Listing directories: replies of any size continue one another, and READDIRPLUS counts the inodes that it names. */
#include "tests/fs/fuse/fuse_fixture.h"

#include <stdio.h>

#include "fs/format/key.h"

#define NAMES 30

/* The names of a listing, in order, with their node ids (READDIRPLUS). */
struct listing {
	char name[NAMES + 10][64];
	uint64_t node[NAMES + 10];
	unsigned count;
	int error; /* of the last request */
};

/* Takes one name from a reply of READDIR or READDIRPLUS.  Returns the bytes that it used. */
static size_t take(struct listing *listing, const uint8_t *at, bool plus, uint64_t *ret_next)
{
	struct fuse_direntplus entry = { 0 };
	size_t head = plus ? offsetof(struct fuse_direntplus, dirent) : 0;

	memcpy(plus ? (void *)&entry : (void *)&entry.dirent, at, head + offsetof(struct fuse_dirent, name));
	ck_assert_uint_lt(listing->count, NAMES + 10);
	memcpy(listing->name[listing->count], at + head + offsetof(struct fuse_dirent, name), entry.dirent.namelen);
	listing->node[listing->count++] = entry.entry_out.nodeid;
	*ret_next = entry.dirent.off;
	return (head + offsetof(struct fuse_dirent, name) + entry.dirent.namelen + 7) / 8 * 8;
}

/* Lists a directory with replies of at most `size` bytes. */
static struct listing list(uint64_t node, bool plus, uint32_t size)
{
	struct listing listing = { 0 };
	struct fuse_read_in in = { .size = size };

	for (;;) {
		const struct th_fake_message *reply =
			th_fake_kernel_send(plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, &in, sizeof(in));
		size_t at = 0;

		listing.error = reply->error;
		if (reply->error || reply->size == 0)
			return listing;
		ck_assert_uint_le(reply->size, size);
		while (at < reply->size)
			at += take(&listing, reply->data + at, plus, &in.offset);
	}
}

static unsigned count_of(const struct listing *listing, const char *name)
{
	unsigned count = 0;

	for (unsigned i = 0; i < listing->count; i++)
		count += strcmp(listing->name[i], name) == 0;
	return count;
}

static void fill(void)
{
	for (unsigned i = 0; i < NAMES; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/d/file%u", i);
		ck_assert_int_eq(th_scene_make(&scene, path, S_IFREG | 0644), 0);
	}
}

START_TEST(each_name_is_listed_once_whatever_the_size_of_replies)
{
	const uint32_t sizes[] = { 200, 333, 1024, 4000 };

	fill();
	for (unsigned i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct listing listing = list(d, i % 2, sizes[i / 2]);

		ck_assert_uint_eq(listing.count, NAMES + 2);
		ck_assert_str_eq(listing.name[0], ".");
		ck_assert_str_eq(listing.name[1], "..");
		for (unsigned k = 0; k < NAMES; k++) {
			char name[32];

			snprintf(name, sizeof(name), "file%u", k);
			ck_assert_uint_eq(count_of(&listing, name), 1);
		}
	}
}
END_TEST

START_TEST(readdirplus_counts_each_inode_that_it_names)
{
	struct th_inode *inode;
	struct listing listing;

	ck_assert_int_eq(th_scene_make(&scene, "/d/x", S_IFREG | 0644), 0);
	list(d, false, 4000);
	inode = th_scene_get(&scene, "/d/x");
	ck_assert_uint_eq(inode->nlookup, 0);
	listing = list(d, true, 4000);
	ck_assert_uint_eq(listing.count, 3);
	ck_assert_uint_eq(listing.node[0], 0); /* "." has no attributes: it is not counted */
	ck_assert_uint_eq(listing.node[2], th_inode_nodeid(inode));
	ck_assert_uint_eq(inode->nlookup, 1);
	list(d, true, 4000);
	ck_assert_uint_eq(inode->nlookup, 2);
	th_inode_put(inode);
}
END_TEST

/* One that is not wholly in the reply is in the next one, and must not be counted twice. */
START_TEST(a_name_that_does_not_fit_is_not_counted)
{
	fill();
	list(d, true, 200); /* one name in each reply */
	for (unsigned i = 0; i < NAMES; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/d/file%u", i);
		struct th_inode *inode = th_scene_get(&scene, path);

		ck_assert_uint_eq(inode->nlookup, 1);
		th_inode_put(inode);
	}
}
END_TEST

START_TEST(a_damaged_inode_does_not_hide_other_names)
{
	struct th_fs_key key;
	struct listing listing;

	ck_assert_int_eq(th_scene_make(&scene, "/d/a", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/d/b", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/d/c", S_IFREG | 0644), 0);
	key = th_fs_key_inode(th_scene_id(&scene, "/d/b"));
	th_scene_put(&scene, &key, "broken", 6);
	listing = list(d, true, 4000);
	ck_assert_uint_eq(listing.count, 5);
	for (unsigned i = 2; i < 5; i++)
		ck_assert_int_eq(listing.node[i] == 0, strcmp(listing.name[i], "b") == 0);
}
END_TEST

START_TEST(only_directories_are_listed)
{
	struct listing listing = list(f, false, 4000);

	ck_assert_int_eq(listing.error, -ENOTDIR);
}
END_TEST

START_TEST(snapdir_is_listed_where_the_mode_says_so)
{
	struct listing listing = list(FUSE_ROOT_ID, false, 4000);

	ck_assert_uint_eq(count_of(&listing, ".snapshots"), 0);
	scene.fs->options.snapdir = TH_SNAPDIR_ROOT;
	listing = list(FUSE_ROOT_ID, false, 4000);
	ck_assert_uint_eq(count_of(&listing, ".snapshots"), 1);
	listing = list(d, false, 4000);
	ck_assert_uint_eq(count_of(&listing, ".snapshots"), 0);
}
END_TEST

/* The kernel of INIT needs no OPENDIR; the reply to an older one allows it to cache listings. */
START_TEST(directories_are_opened_only_for_kernels_that_require_it)
{
	struct fuse_open_in in = { 0 };
	const struct th_fake_message *reply;
	struct fuse_open_out out;

	ck_assert_int_eq(send_argument(FUSE_OPENDIR, d, in), -ENOSYS);
	th_fake_kernel_fuse()->opens_directories = true;
	reply = th_fake_kernel_send(FUSE_OPENDIR, d, &in, sizeof(in));
	ck_assert_int_eq(reply->error, 0);
	memcpy(&out, reply->data, sizeof(out));
	ck_assert_uint_eq(out.open_flags & (FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE), FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { each_name_is_listed_once_whatever_the_size_of_replies,
				       readdirplus_counts_each_inode_that_it_names,
				       a_name_that_does_not_fit_is_not_counted,
				       a_damaged_inode_does_not_hide_other_names,
				       only_directories_are_listed,
				       snapdir_is_listed_where_the_mode_says_so,
				       directories_are_opened_only_for_kernels_that_require_it };

	return run_handler_tests("fuse_dir", tests, sizeof(tests) / sizeof(tests[0]));
}
