/* SPDX-License-Identifier: Apache-2.0 */
/* What all handlers share: unknown inodes, damage, and how long the kernel may keep an answer. */
#include "tests/fs/fuse/fuse_fixture.h"

#include "fs/format/key.h"

START_TEST(an_unknown_node_is_stale)
{
	struct fuse_getattr_in in = { 0 };

	ck_assert_int_eq(send_argument(FUSE_GETATTR, 123456, in), -ESTALE);
	ck_assert_int_eq(th_fake_kernel_send(FUSE_LOOKUP, 123456, "f", 2)->error, -ESTALE);
}
END_TEST

/* Programs know EIO; the daemon has reported the damage. */
START_TEST(damage_is_an_input_output_error)
{
	struct th_fs_key key;

	ck_assert_int_eq(th_scene_make(&scene, "/b", S_IFREG | 0644), 0);
	key = th_fs_key_inode(th_scene_id(&scene, "/b"));
	th_scene_put(&scene, &key, "broken", 6);
	ck_assert_int_eq(th_fake_kernel_send(FUSE_LOOKUP, FUSE_ROOT_ID, "b", 2)->error, -EIO);
}
END_TEST

/* A virtual directory may change before the kernel knows its inode, so its attributes are asked for again. */
START_TEST(attributes_of_virtual_directories_are_not_cached_with_the_name)
{
	const struct th_fake_message *reply = th_fake_kernel_send(FUSE_LOOKUP, FUSE_ROOT_ID, ".snapshots", 11);
	struct fuse_entry_out entry;

	memcpy(&entry, reply->data, sizeof(entry));
	ck_assert_uint_eq(entry.entry_valid, (uint64_t)TH_FUSE_VALID_SECONDS);
	ck_assert_uint_eq(entry.attr_valid, 0);
	reply = th_fake_kernel_send(FUSE_LOOKUP, FUSE_ROOT_ID, "d", 2);
	memcpy(&entry, reply->data, sizeof(entry));
	ck_assert_uint_eq(entry.attr_valid, (uint64_t)TH_FUSE_VALID_SECONDS);
	ck_assert_uint_eq(dir->nlookup, 2); /* the fixture's is the first */
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { an_unknown_node_is_stale, damage_is_an_input_output_error,
				       attributes_of_virtual_directories_are_not_cached_with_the_name };

	return run_handler_tests("fuse_reply", tests, sizeof(tests) / sizeof(tests[0]));
}
