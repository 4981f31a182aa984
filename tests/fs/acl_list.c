/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fs/acl_list.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "fs/attr/xattr.h"
#include "fs/dir/namei.h"

#define NONE TH_ACL_LIST_NO_ID

static void put16(uint8_t *to, unsigned value)
{
	to[0] = value & 0xff;
	to[1] = value >> 8;
}

struct th_acl_list th_acl_list_of(const struct th_acl_list_entry *entries)
{
	struct th_acl_list list = { .bytes = { 2 }, .size = 4 };

	for (; entries->tag; entries++) {
		uint8_t *to = list.bytes + list.size;

		put16(to, entries->tag);
		put16(to + 2, entries->permissions);
		put16(to + 4, entries->id & 0xffff);
		put16(to + 6, entries->id >> 16);
		list.size += 8;
	}
	return list;
}

struct th_acl_list th_acl_list_full(unsigned mask)
{
	return TH_ACL_LIST({ 1, 7, NONE }, { 2, 6, 7 }, { 4, 5, NONE }, { 16, mask, NONE }, { 32, 4, NONE });
}

struct th_acl_list th_acl_list_minimal(void)
{
	return TH_ACL_LIST({ 1, 6, NONE }, { 4, 4, NONE }, { 32, 0, NONE });
}

struct th_slice th_acl_list_slice(const struct th_acl_list *list)
{
	return (struct th_slice){ list->bytes, list->size };
}

int th_acl_list_set(struct th_scene *scene, const char *path, const char *name, struct th_acl_list list)
{
	struct th_inode *inode = th_scene_get(scene, path);
	int err = th_xattr_set(inode, name, th_acl_list_slice(&list), 0);

	th_inode_put(inode);
	return err;
}

void th_acl_list_expect(struct th_scene *scene, const char *path, const char *name, struct th_acl_list list)
{
	struct th_inode *inode = th_scene_get(scene, path);
	struct th_value value;

	ck_assert_int_eq(th_xattr_get(inode, name, &value), 0);
	ck_assert_uint_eq(value.size, list.size);
	ck_assert_mem_eq(value.data, list.bytes, list.size);
	th_value_release(&value);
	th_inode_put(inode);
}

void th_acl_list_expect_none(struct th_scene *scene, const char *path, const char *name)
{
	struct th_inode *inode = th_scene_get(scene, path);
	struct th_value value;

	ck_assert_int_eq(th_xattr_get(inode, name, &value), -ENODATA);
	th_inode_put(inode);
}

void th_acl_list_expect_mode(struct th_scene *scene, const char *path, uint32_t mode)
{
	ck_assert_uint_eq(th_scene_attr(scene, path).mode, mode);
}

int th_acl_list_create(struct th_scene *scene, const char *path, uint32_t mode, uint32_t umask)
{
	struct th_namei_new new = { .mode = mode, .umask = umask };
	struct th_inode *dir, *inode;
	struct th_slice name;

	dir = th_scene_parent(scene, path, &name);
	int err = th_namei_create(dir, name, &new, &inode);

	if (!err)
		th_inode_put(inode);
	th_inode_put(dir);
	return err;
}

void th_acl_list_damage(struct th_scene *scene, const char *path, const char *name)
{
	struct th_fs_key key = th_fs_key_xattr(th_scene_id(scene, path), name, strlen(name));

	th_scene_put(scene, &key, "damage", 6);
}
