/* SPDX-License-Identifier: Apache-2.0 */
/* Access control lists: what is one, what they make of modes and modes of them, and who inherits them. */
#include "fs/format/acl.h"

#include <check.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "fs/attr/xattr.h"
#include "fs/dir/namei.h"
#include "tests/fs/scene.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

#define ENTRIES_MAX 16
#define NONE UINT32_MAX

struct entry {
	unsigned tag, permissions;
	uint32_t id;
};

/* A list as an attribute's value. */
struct list {
	uint8_t bytes[4 + 8 * ENTRIES_MAX];
	size_t size;
};

static void put16(uint8_t *to, unsigned value)
{
	to[0] = value & 0xff;
	to[1] = value >> 8;
}

static void add(struct list *list, unsigned tag, unsigned permissions, uint32_t id)
{
	uint8_t *to = list->bytes + list->size;

	put16(to, tag);
	put16(to + 2, permissions);
	put16(to + 4, id & 0xffff);
	put16(to + 6, id >> 16);
	list->size += 8;
}

/* Up to an entry with tag 0. */
static struct list list_of(const struct entry *entries)
{
	struct list list = { .bytes = { 2 }, .size = 4 };

	for (; entries->tag; entries++)
		add(&list, entries->tag, entries->permissions, entries->id);
	return list;
}

#define LIST(...) list_of((const struct entry[]){ __VA_ARGS__, { 0 } })

static struct th_slice slice(const struct list *list)
{
	return (struct th_slice){ list->bytes, list->size };
}

/* Owner rwx, user 7 rw, group rx, mask, others r. */
static struct list usual(unsigned mask)
{
	return LIST({ 1, 7, NONE }, { 2, 6, 7 }, { 4, 5, NONE }, { 16, mask, NONE }, { 32, 4, NONE });
}

static struct list minimal(void)
{
	return LIST({ 1, 6, NONE }, { 4, 4, NONE }, { 32, 0, NONE });
}

static bool valid(struct list list)
{
	return th_acl_valid(slice(&list));
}

/* --- values --- */

START_TEST(valid_lists_are_accepted)
{
	ck_assert(valid(minimal()));
	ck_assert(valid(usual(7)));
	ck_assert(valid(LIST({ 1, 7, NONE }, { 4, 7, NONE }, { 16, 0, NONE }, { 32, 0, NONE })));
	ck_assert(valid(LIST({ 1, 7, 0 }, { 2, 7, 0 }, { 2, 7, 1 }, { 4, 0, NONE }, { 8, 1, 5 }, { 8, 2, 4 },
			     { 16, 7, NONE }, { 32, 0, NONE })));
}
END_TEST

START_TEST(invalid_lists_are_refused)
{
	struct list list = usual(7);

	for (size_t size = 0; size < list.size; size++)
		ck_assert(!th_acl_valid((struct th_slice){ list.bytes, size }));
	list.bytes[0] = 1;
	ck_assert(!valid(list));
	/* something is missing */
	ck_assert(!valid(LIST({ 4, 4, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(LIST({ 1, 6, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(LIST({ 1, 6, NONE }, { 4, 4, NONE })));
	/* a name without a mask */
	ck_assert(!valid(LIST({ 1, 6, NONE }, { 2, 6, 7 }, { 4, 4, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(LIST({ 1, 6, NONE }, { 4, 4, NONE }, { 8, 6, 7 }, { 32, 0, NONE })));
	/* twice, out of order */
	ck_assert(!valid(LIST({ 1, 6, NONE }, { 1, 6, NONE }, { 4, 4, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(LIST({ 1, 6, NONE }, { 4, 4, NONE }, { 32, 0, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(LIST({ 4, 4, NONE }, { 1, 6, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(LIST({ 1, 6, NONE }, { 4, 4, NONE }, { 2, 6, 7 }, { 16, 7, NONE }, { 32, 0, NONE })));
	/* unknown tag, unknown permission, name of nobody */
	ck_assert(!valid(LIST({ 1, 6, NONE }, { 4, 4, NONE }, { 32, 0, NONE }, { 64, 0, NONE })));
	ck_assert(!valid(LIST({ 1, 6, NONE }, { 3, 6, NONE }, { 4, 4, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(LIST({ 1, 8, NONE }, { 4, 4, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(LIST({ 1, 6, NONE }, { 2, 6, NONE }, { 4, 4, NONE }, { 16, 7, NONE }, { 32, 0, NONE })));
}
END_TEST

/* Whatever bytes come, they are read within their bounds (for the sanitizer), and what is taken for a list works. */
START_TEST(random_bytes_are_read_within_bounds)
{
	struct th_random random = { th_test_seed("acl") };

	for (unsigned i = 0; i < th_test_rounds(20000); i++) {
		struct list list = usual(7);
		size_t size = th_random_below(&random, (uint32_t)list.size + 1);
		uint8_t *bytes = malloc(size + 1);

		memcpy(bytes, list.bytes, size);
		for (unsigned n = th_random_below(&random, 3); n && size; n--)
			bytes[th_random_below(&random, (uint32_t)size)] = (uint8_t)th_random_next(&random);
		bytes = realloc(bytes, size ? size : 1);
		if (th_acl_valid((struct th_slice){ bytes, size }))
			ck_assert_uint_le(th_acl_inherit(bytes, size, 0777), 0777);
		free(bytes);
	}
}
END_TEST

START_TEST(list_and_mode_convert)
{
	struct list list = usual(3), small = minimal();

	ck_assert(!th_acl_is_minimal(slice(&list)));
	ck_assert(th_acl_is_minimal(slice(&small)));
	ck_assert_uint_eq(th_acl_to_mode(slice(&list), S_IFREG | 04000), S_IFREG | 04734);
	ck_assert_uint_eq(th_acl_to_mode(slice(&small), 0777), 0640);
	th_acl_from_mode(list.bytes, list.size, S_IFREG | 0512);
	struct list expected = LIST({ 1, 5, NONE }, { 2, 6, 7 }, { 4, 5, NONE }, { 16, 1, NONE }, { 32, 2, NONE });
	ck_assert_mem_eq(list.bytes, expected.bytes, expected.size);
	th_acl_from_mode(small.bytes, small.size, 0731);
	expected = LIST({ 1, 7, NONE }, { 4, 3, NONE }, { 32, 1, NONE });
	ck_assert_mem_eq(small.bytes, expected.bytes, expected.size);
}
END_TEST

START_TEST(inherited_permissions_are_the_intersection)
{
	struct list list = usual(6);

	ck_assert_uint_eq(th_acl_inherit(list.bytes, list.size, S_IFREG | 0666), S_IFREG | 0664);
	struct list expected = LIST({ 1, 6, NONE }, { 2, 6, 7 }, { 4, 5, NONE }, { 16, 6, NONE }, { 32, 4, NONE });
	ck_assert_mem_eq(list.bytes, expected.bytes, expected.size);
}
END_TEST

/* --- in the filesystem --- */

static struct th_scene scene;

static void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/f", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_symlink(&scene, "f", "/l"), 0);
}

static void teardown(void)
{
	th_scene_close(&scene);
}

static int set(const char *path, const char *name, struct th_slice value, int flags)
{
	struct th_inode *inode = th_scene_get(&scene, path);
	int err = th_xattr_set(inode, name, value, flags);

	th_inode_put(inode);
	return err;
}

static int set_list(const char *path, const char *name, struct list list)
{
	return set(path, name, slice(&list), 0);
}

static void expect_list(const char *path, const char *name, struct list list)
{
	struct th_inode *inode = th_scene_get(&scene, path);
	struct th_value value;

	ck_assert_int_eq(th_xattr_get(inode, name, &value), 0);
	ck_assert_uint_eq(value.size, list.size);
	ck_assert_mem_eq(value.data, list.bytes, list.size);
	th_value_release(&value);
	th_inode_put(inode);
}

static void expect_none(const char *path, const char *name)
{
	struct th_inode *inode = th_scene_get(&scene, path);
	struct th_value value;

	ck_assert_int_eq(th_xattr_get(inode, name, &value), -ENODATA);
	th_inode_put(inode);
}

static void expect_mode(const char *path, uint32_t mode)
{
	ck_assert_uint_eq(th_scene_attr(&scene, path).mode, mode);
}

static int change_mode(const char *path, uint32_t mode)
{
	struct th_inode *inode = th_scene_get(&scene, path);
	int err = th_attr_set(inode, TH_ATTR_MODE, &(struct th_attr){ .mode = mode });

	th_inode_put(inode);
	return err;
}

static int make(const char *path, uint32_t mode, uint32_t umask)
{
	struct th_namei_new what = { .mode = mode, .umask = umask };
	struct th_inode *dir, *inode;
	struct th_slice name;

	dir = th_scene_parent(&scene, path, &name);
	int err = th_namei_create(dir, name, &what, &inode);

	if (!err)
		th_inode_put(inode);
	th_inode_put(dir);
	return err;
}

START_TEST(lists_are_refused_on_wrong_types)
{
	ck_assert_int_eq(set_list("/f", TH_ACL_DEFAULT, minimal()), -EACCES);
	ck_assert_int_eq(set_list("/l", TH_ACL_ACCESS, minimal()), -EOPNOTSUPP);
	ck_assert_int_eq(set("/f", TH_ACL_ACCESS, (struct th_slice){ "", 0 }, 0), -EINVAL);
	ck_assert_int_eq(set("/d", TH_ACL_DEFAULT, th_scene_slice("nonsense"), 0), -EINVAL);
	ck_assert_int_eq(set("/f", "system.posix_acl", th_scene_slice("x"), 0), -EOPNOTSUPP);
	expect_none("/f", TH_ACL_ACCESS);
	expect_mode("/f", S_IFREG | 0644);
}
END_TEST

START_TEST(list_and_mode_change_together)
{
	ck_assert_int_eq(change_mode("/f", 02755), 0);
	ck_assert_int_eq(set_list("/f", TH_ACL_ACCESS, usual(7)), 0);
	for (unsigned i = 0; i < 2; i++) {
		expect_mode("/f", S_IFREG | 02774);
		expect_list("/f", TH_ACL_ACCESS, usual(7));
		th_scene_reopen(&scene);
	}
	ck_assert_int_eq(change_mode("/f", 0714), 0);
	for (unsigned i = 0; i < 2; i++) {
		expect_mode("/f", S_IFREG | 0714);
		expect_list("/f", TH_ACL_ACCESS, usual(1));
		th_scene_reopen(&scene);
	}
	/* what the mode can say is kept in the mode alone */
	ck_assert_int_eq(set_list("/f", TH_ACL_ACCESS, minimal()), 0);
	expect_none("/f", TH_ACL_ACCESS);
	expect_mode("/f", S_IFREG | 0640);
}
END_TEST

START_TEST(list_set_by_an_outsider_clears_set_gid)
{
	struct list list = usual(7);

	ck_assert_int_eq(change_mode("/f", 06755), 0);
	ck_assert_int_eq(set("/f", TH_ACL_ACCESS, slice(&list), TH_XATTR_KILL_SGID), 0);
	expect_mode("/f", S_IFREG | 04774);
}
END_TEST

START_TEST(removed_list_leaves_the_mode)
{
	struct th_inode *inode = th_scene_get(&scene, "/f");

	ck_assert_int_eq(th_xattr_remove(inode, TH_ACL_ACCESS), 0);
	ck_assert_int_eq(set_list("/f", TH_ACL_ACCESS, usual(7)), 0);
	ck_assert_int_eq(th_xattr_remove(inode, TH_ACL_ACCESS), 0);
	expect_none("/f", TH_ACL_ACCESS);
	expect_mode("/f", S_IFREG | 0774);
	th_inode_put(inode);
}
END_TEST

START_TEST(immutable_file_keeps_its_list)
{
	struct th_inode *inode = th_scene_get(&scene, "/f");

	ck_assert_int_eq(set_list("/f", TH_ACL_ACCESS, usual(7)), 0);
	ck_assert_int_eq(th_attr_set_flags(inode, FS_IMMUTABLE_FL, true), 0);
	ck_assert_int_eq(set_list("/f", TH_ACL_ACCESS, usual(1)), -EPERM);
	ck_assert_int_eq(change_mode("/f", 0), -EPERM);
	ck_assert_int_eq(th_xattr_remove(inode, TH_ACL_ACCESS), -EPERM);
	expect_list("/f", TH_ACL_ACCESS, usual(7));
	th_inode_put(inode);
}
END_TEST

START_TEST(new_inode_inherits_the_default_list)
{
	ck_assert_int_eq(make("/d/before", S_IFREG | 0666, 022), 0);
	expect_mode("/d/before", S_IFREG | 0644);
	ck_assert_int_eq(set_list("/d", TH_ACL_DEFAULT, usual(7)), 0);
	expect_mode("/d", S_IFDIR | 0755);
	ck_assert_int_eq(make("/d/f", S_IFREG | 0666, 077), 0);
	ck_assert_int_eq(make("/d/d", S_IFDIR | 0777, 077), 0);
	ck_assert_int_eq(make("/d/d/p", S_IFIFO | 0600, 0), 0);
	ck_assert_int_eq(th_scene_symlink(&scene, "x", "/d/l"), 0);
	for (unsigned i = 0; i < 2; i++) {
		expect_mode("/d/f", S_IFREG | 0664);
		expect_list("/d/f", TH_ACL_ACCESS,
			    LIST({ 1, 6, NONE }, { 2, 6, 7 }, { 4, 5, NONE }, { 16, 6, NONE }, { 32, 4, NONE }));
		expect_none("/d/f", TH_ACL_DEFAULT);
		expect_mode("/d/d", S_IFDIR | 0774);
		expect_list("/d/d", TH_ACL_ACCESS, usual(7));
		expect_list("/d/d", TH_ACL_DEFAULT, usual(7));
		expect_mode("/d/d/p", S_IFIFO | 0600);
		expect_list("/d/d/p", TH_ACL_ACCESS,
			    LIST({ 1, 6, NONE }, { 2, 6, 7 }, { 4, 5, NONE }, { 16, 0, NONE }, { 32, 0, NONE }));
		expect_mode("/d/l", S_IFLNK | 0777);
		expect_none("/d/l", TH_ACL_ACCESS);
		expect_none("/d/before", TH_ACL_ACCESS);
		th_scene_reopen(&scene);
	}
}
END_TEST

START_TEST(minimal_default_list_sets_only_the_mode)
{
	ck_assert_int_eq(set_list("/d", TH_ACL_DEFAULT, minimal()), 0);
	ck_assert_int_eq(make("/d/f", S_IFREG | 0666, 077), 0);
	expect_mode("/d/f", S_IFREG | 0640);
	expect_none("/d/f", TH_ACL_ACCESS);
	ck_assert_int_eq(make("/d/d", S_IFDIR | 0777, 077), 0);
	expect_list("/d/d", TH_ACL_DEFAULT, minimal());
}
END_TEST

static void ignore(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

/* Puts bytes where the list of an inode is, behind the back of whoever checks them. */
static void damage(const char *path, const char *name)
{
	struct th_fs_key key = th_fs_key_xattr(th_scene_id(&scene, path), name, strlen(name));
	struct th_txn *txn;

	ck_assert_int_eq(th_txn_begin(scene.fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_put(txn, th_fs_key_slice(&key), th_scene_slice("damage")), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
}

START_TEST(damaged_list_is_an_error)
{
	ck_assert_int_eq(set_list("/f", TH_ACL_ACCESS, usual(7)), 0);
	ck_assert_int_eq(set_list("/d", TH_ACL_DEFAULT, usual(7)), 0);
	damage("/f", TH_ACL_ACCESS);
	damage("/d", TH_ACL_DEFAULT);
	scene.fs->options.report = ignore;
	ck_assert_int_eq(change_mode("/f", 0600), -EUCLEAN);
	ck_assert_int_eq(make("/d/f", S_IFREG | 0600, 0), -EUCLEAN);
	/* a new one may take its place */
	ck_assert_int_eq(set_list("/d", TH_ACL_DEFAULT, usual(7)), 0);
	ck_assert_int_eq(make("/d/f", S_IFREG | 0600, 0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("acl");
	TCase *values = tcase_create("values"), *inodes = tcase_create("inodes");

	tcase_set_timeout(values, 0);
	tcase_add_test(values, valid_lists_are_accepted);
	tcase_add_test(values, invalid_lists_are_refused);
	tcase_add_test(values, random_bytes_are_read_within_bounds);
	tcase_add_test(values, list_and_mode_convert);
	tcase_add_test(values, inherited_permissions_are_the_intersection);
	suite_add_tcase(suite, values);
	tcase_set_timeout(inodes, 0);
	tcase_add_checked_fixture(inodes, setup, teardown);
	tcase_add_test(inodes, lists_are_refused_on_wrong_types);
	tcase_add_test(inodes, list_and_mode_change_together);
	tcase_add_test(inodes, list_set_by_an_outsider_clears_set_gid);
	tcase_add_test(inodes, removed_list_leaves_the_mode);
	tcase_add_test(inodes, immutable_file_keeps_its_list);
	tcase_add_test(inodes, new_inode_inherits_the_default_list);
	tcase_add_test(inodes, minimal_default_list_sets_only_the_mode);
	tcase_add_test(inodes, damaged_list_is_an_error);
	suite_add_tcase(suite, inodes);
	return th_suite_run(suite);
}
