/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes, and access control lists with the mode that belongs to them. */
#include "fs/attr/xattr.h"

#include <check.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
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

static int set(const char *path, const char *name, struct th_slice value, int flags)
{
	struct th_inode *found = th_scene_get(&scene, path);
	int err = th_xattr_set(found, name, value, flags);

	th_inode_put(found);
	return err;
}

/* Fills the list with names of 200 bytes in the namespace `prefix` until it is refused.  Returns the number of
 * names. */
static unsigned fill_list(const char *prefix)
{
	char name[201];

	for (unsigned i = 0;; i++) {
		snprintf(name, sizeof(name), "%s%0*u", prefix, (int)(200 - strlen(prefix)), i);
		int err = th_xattr_set(inode, name, (struct th_slice){ "", 0 }, 0);

		if (err) {
			ck_assert_int_eq(err, -ENOSPC);
			return i;
		}
	}
}

static size_t list_size(bool privileged)
{
	size_t size;
	char *list;

	ck_assert_int_eq(th_xattr_list(inode, privileged, &list, &size), 0);
	free(list);
	return size;
}

START_TEST(list_of_names_has_a_limit)
{
	struct th_acl_list list = th_acl_list_full(7);

	ck_assert_uint_eq(fill_list("user."), TH_XATTR_LIST_MAX_USER / 201);
	ck_assert_uint_eq(list_size(false), TH_XATTR_LIST_MAX_USER / 201 * 201);
	ck_assert_int_eq(th_xattr_set(inode, "user.more", (struct th_slice){ "", 0 }, 0), 0); /* a short name fits */
	ck_assert_int_eq(th_xattr_remove(inode, "user.more"), 0);
	reopen();
	/* The count is right after a remount; an attribute that exists can be changed; other namespaces have room. */
	ck_assert_uint_eq(fill_list("user.n"), 0);
	ck_assert_int_eq(th_xattr_set(inode, "security.capability", th_scene_slice("x"), 0), 0);
	ck_assert_int_eq(set("/f", TH_ACL_ACCESS, th_acl_list_slice(&list), 0), 0);
	unsigned room = (unsigned)(TH_XATTR_LIST_MAX - list_size(true)) / 201;

	ck_assert_uint_ge(room, 20);
	ck_assert_uint_eq(fill_list("trusted."), room);
	ck_assert_uint_le(list_size(true), TH_XATTR_LIST_MAX);
	ck_assert_uint_gt(list_size(true) + 201, TH_XATTR_LIST_MAX);
	/* Removing one name makes room for one. */
	char first[201];

	snprintf(first, sizeof(first), "trusted.%0*u", 200 - 8, 0);
	ck_assert_int_eq(th_xattr_remove(inode, first), 0);
	ck_assert_uint_eq(fill_list("trusted.n"), 1);
}
END_TEST

/* An image from elsewhere may have more names than can be set here. */
START_TEST(longer_list_of_an_image_is_refused_and_can_be_shortened)
{
	char name[256];
	size_t size;
	char *list;

	ck_assert_int_eq(th_xattr_set(inode, "user.first", th_scene_slice("1"), 0), 0);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "user.%0*u", 240, i);
		struct th_fs_key key = th_fs_key_xattr(inode->id, name, strlen(name));

		th_scene_put(&scene, &key, "", 0);
	}
	reopen();
	ck_assert_int_eq(th_xattr_list(inode, true, &list, &size), -E2BIG);
	ck_assert_ptr_null(list);
	ck_assert_int_eq(th_xattr_set(inode, "security.x", th_scene_slice("1"), 0), -ENOSPC);
	expect_value("user.first", "1", 1);
	for (unsigned i = 0; i < 299; i++) {
		snprintf(name, sizeof(name), "user.%0*u", 240, i);
		ck_assert_int_eq(th_xattr_remove(inode, name), 0);
	}
	ck_assert_uint_eq(list_size(true), strlen("user.first") + 1 + 246);
	ck_assert_int_eq(th_xattr_set(inode, "security.x", th_scene_slice("1"), 0), 0);
}
END_TEST

/* --- access control lists --- */

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
	tcase_add_test(attributes, list_of_names_has_a_limit);
	tcase_add_test(attributes, longer_list_of_an_image_is_refused_and_can_be_shortened);
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
