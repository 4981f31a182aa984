/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes, and access control lists with the mode that belongs to them. */
#include "fs/attr/xattr.h"

#include <check.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/attr/attr.h"
#include "fs/format/acl.h"
#include "tests/fs/acl_list.h"
#include "tests/support/suite.h"

static struct th_scene scene;
static struct th_inode *inode;

static void setup_tree(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/f", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_symlink(&scene, "f", "/l"), 0);
}

static void setup(void)
{
	setup_tree();
	inode = th_scene_get(&scene, "/f");
}

static void teardown(void)
{
	th_inode_put(inode);
	th_scene_close(&scene);
}

static void reopen(void)
{
	th_inode_put(inode);
	th_scene_reopen(&scene);
	inode = th_scene_get(&scene, "/f");
}

static void expect_value(const char *name, const void *bytes, size_t size)
{
	struct th_value value;

	ck_assert_int_eq(th_xattr_get(inode, name, &value), 0);
	ck_assert_uint_eq(value.size, size);
	ck_assert_int_eq(memcmp(value.data, bytes, size), 0);
	th_value_release(&value);
}

START_TEST(set_get_list_and_remove)
{
	struct th_slice one = th_scene_slice("one"), two = th_scene_slice("two");
	struct th_value value;
	size_t size;
	char *list;

	ck_assert_int_eq(th_xattr_get(inode, "user.a", &value), -ENODATA);
	ck_assert_int_eq(th_xattr_set(inode, "user.a", one, XATTR_REPLACE), -ENODATA);
	ck_assert_int_eq(th_xattr_set(inode, "user.a", one, XATTR_CREATE), 0);
	ck_assert_int_eq(th_xattr_set(inode, "user.a", two, XATTR_CREATE), -EEXIST);
	ck_assert_int_eq(th_xattr_set(inode, "user.a", two, XATTR_REPLACE), 0);
	ck_assert_int_eq(th_xattr_set(inode, "trusted.b", (struct th_slice){ "", 0 }, 0), 0);
	ck_assert_int_eq(th_xattr_set(inode, "nobody.c", one, 0), -EOPNOTSUPP);
	ck_assert_int_eq(th_xattr_set(inode, "user.", one, 0), -EINVAL);
	reopen();
	expect_value("user.a", "two", 3);
	expect_value("trusted.b", "", 0);
	ck_assert_int_eq(th_xattr_list(inode, true, &list, &size), 0);
	ck_assert_uint_eq(size, 17);
	ck_assert_mem_eq(list, "trusted.b\0user.a", 17);
	free(list);
	ck_assert_int_eq(th_xattr_list(inode, false, &list, &size), 0);
	ck_assert_uint_eq(size, 7);
	ck_assert_str_eq(list, "user.a");
	free(list);
	ck_assert_int_eq(th_xattr_remove(inode, "user.a"), 0);
	ck_assert_int_eq(th_xattr_remove(inode, "user.a"), -ENODATA);
	ck_assert_int_eq(th_xattr_remove(inode, "trusted.b"), 0);
	reopen();
	ck_assert_int_eq(th_xattr_list(inode, true, &list, &size), 0);
	ck_assert_uint_eq(size, 0);
	ck_assert_ptr_null(list);
}
END_TEST

START_TEST(values_have_up_to_64_kib)
{
	static const size_t sizes[] = { 3071, 3072, 3073, 4096, 65535, 65536 };
	uint8_t *bytes = malloc(TH_XATTR_SIZE_MAX + 1);

	for (size_t i = 0; i <= TH_XATTR_SIZE_MAX; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ck_assert_int_eq(th_xattr_set(inode, "user.big", (struct th_slice){ bytes, sizes[i] }, 0), 0);
		reopen();
		expect_value("user.big", bytes, sizes[i]);
	}
	ck_assert_int_eq(th_xattr_set(inode, "user.big", (struct th_slice){ bytes, TH_XATTR_SIZE_MAX + 1 }, 0), -E2BIG);
	free(bytes);
}
END_TEST

/* --- access control lists --- */

static int set(const char *path, const char *name, struct th_slice value, int flags)
{
	struct th_inode *found = th_scene_get(&scene, path);
	int err = th_xattr_set(found, name, value, flags);

	th_inode_put(found);
	return err;
}

static int change_mode(const char *path, uint32_t mode)
{
	struct th_inode *found = th_scene_get(&scene, path);
	int err = th_attr_set(found, TH_ATTR_MODE, &(struct th_attr){ .mode = mode });

	th_inode_put(found);
	return err;
}

static void ignore(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

START_TEST(lists_are_refused_on_wrong_types)
{
	ck_assert_int_eq(th_acl_list_set(&scene, "/f", TH_ACL_DEFAULT, th_acl_list_minimal()), -EACCES);
	ck_assert_int_eq(th_acl_list_set(&scene, "/l", TH_ACL_ACCESS, th_acl_list_minimal()), -EOPNOTSUPP);
	ck_assert_int_eq(set("/f", TH_ACL_ACCESS, (struct th_slice){ "", 0 }, 0), -EINVAL);
	ck_assert_int_eq(set("/d", TH_ACL_DEFAULT, th_scene_slice("nonsense"), 0), -EINVAL);
	ck_assert_int_eq(set("/f", "system.posix_acl", th_scene_slice("x"), 0), -EOPNOTSUPP);
	th_acl_list_expect_none(&scene, "/f", TH_ACL_ACCESS);
	th_acl_list_expect_mode(&scene, "/f", S_IFREG | 0644);
}
END_TEST

START_TEST(list_and_mode_change_together)
{
	ck_assert_int_eq(change_mode("/f", 02755), 0);
	ck_assert_int_eq(th_acl_list_set(&scene, "/f", TH_ACL_ACCESS, th_acl_list_full(7)), 0);
	for (unsigned i = 0; i < 2; i++) {
		th_acl_list_expect_mode(&scene, "/f", S_IFREG | 02774);
		th_acl_list_expect(&scene, "/f", TH_ACL_ACCESS, th_acl_list_full(7));
		th_scene_reopen(&scene);
	}
	ck_assert_int_eq(change_mode("/f", 0714), 0);
	for (unsigned i = 0; i < 2; i++) {
		th_acl_list_expect_mode(&scene, "/f", S_IFREG | 0714);
		th_acl_list_expect(&scene, "/f", TH_ACL_ACCESS, th_acl_list_full(1));
		th_scene_reopen(&scene);
	}
	/* A list that the mode expresses is not stored. */
	ck_assert_int_eq(th_acl_list_set(&scene, "/f", TH_ACL_ACCESS, th_acl_list_minimal()), 0);
	th_acl_list_expect_none(&scene, "/f", TH_ACL_ACCESS);
	th_acl_list_expect_mode(&scene, "/f", S_IFREG | 0640);
}
END_TEST

START_TEST(list_set_by_an_outsider_clears_set_gid)
{
	struct th_acl_list list = th_acl_list_full(7);

	ck_assert_int_eq(change_mode("/f", 06755), 0);
	ck_assert_int_eq(set("/f", TH_ACL_ACCESS, th_acl_list_slice(&list), TH_XATTR_KILL_SGID), 0);
	th_acl_list_expect_mode(&scene, "/f", S_IFREG | 04774);
}
END_TEST

START_TEST(removed_list_leaves_the_mode)
{
	inode = th_scene_get(&scene, "/f");
	ck_assert_int_eq(th_xattr_remove(inode, TH_ACL_ACCESS), 0);
	ck_assert_int_eq(th_acl_list_set(&scene, "/f", TH_ACL_ACCESS, th_acl_list_full(7)), 0);
	ck_assert_int_eq(th_xattr_remove(inode, TH_ACL_ACCESS), 0);
	th_acl_list_expect_none(&scene, "/f", TH_ACL_ACCESS);
	th_acl_list_expect_mode(&scene, "/f", S_IFREG | 0774);
}
END_TEST

START_TEST(immutable_file_keeps_its_list)
{
	inode = th_scene_get(&scene, "/f");
	ck_assert_int_eq(th_acl_list_set(&scene, "/f", TH_ACL_ACCESS, th_acl_list_full(7)), 0);
	ck_assert_int_eq(th_attr_set_flags(inode, FS_IMMUTABLE_FL, true), 0);
	ck_assert_int_eq(th_acl_list_set(&scene, "/f", TH_ACL_ACCESS, th_acl_list_full(1)), -EPERM);
	ck_assert_int_eq(change_mode("/f", 0), -EPERM);
	ck_assert_int_eq(th_xattr_remove(inode, TH_ACL_ACCESS), -EPERM);
	th_acl_list_expect(&scene, "/f", TH_ACL_ACCESS, th_acl_list_full(7));
}
END_TEST

START_TEST(damaged_list_is_an_error)
{
	ck_assert_int_eq(th_acl_list_set(&scene, "/f", TH_ACL_ACCESS, th_acl_list_full(7)), 0);
	th_acl_list_damage(&scene, "/f", TH_ACL_ACCESS);
	scene.fs->options.report = ignore;
	ck_assert_int_eq(change_mode("/f", 0600), -EUCLEAN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("xattr");
	TCase *attributes = tcase_create("attributes");
	TCase *lists = tcase_create("access control lists");

	tcase_set_timeout(attributes, 0);
	tcase_add_checked_fixture(attributes, setup, teardown);
	tcase_add_test(attributes, set_get_list_and_remove);
	tcase_add_test(attributes, values_have_up_to_64_kib);
	suite_add_tcase(suite, attributes);
	tcase_set_timeout(lists, 0);
	tcase_add_checked_fixture(lists, setup_tree, teardown);
	tcase_add_test(lists, lists_are_refused_on_wrong_types);
	tcase_add_test(lists, list_and_mode_change_together);
	tcase_add_test(lists, list_set_by_an_outsider_clears_set_gid);
	tcase_add_test(lists, removed_list_leaves_the_mode);
	tcase_add_test(lists, immutable_file_keeps_its_list);
	tcase_add_test(lists, damaged_list_is_an_error);
	suite_add_tcase(suite, lists);
	return th_suite_run(suite);
}
