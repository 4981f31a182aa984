/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes by request: sizes are asked for first, and an access list clears the set-gid bit as chmod(2)
 * does. */
#include "tests/fs/fuse/fuse_fixture.h"

#include "fs/attr/xattr.h"
#include "fs/format/acl.h"
#include "tests/fs/acl_list.h"

static const struct th_fake_message *get(const char *name, uint32_t size)
{
	struct {
		struct fuse_getxattr_in in;
		char name[64];
	} argument = { .in = { .size = size } };

	strcpy(argument.name, name);
	return th_fake_kernel_send(FUSE_GETXATTR, f, &argument, sizeof(argument.in) + strlen(name) + 1);
}

static const struct th_fake_message *list(uint32_t size)
{
	struct fuse_getxattr_in in = { .size = size };

	return th_fake_kernel_send(FUSE_LISTXATTR, f, &in, sizeof(in));
}

/* The kernel sends the first eight bytes of the structure unless FUSE_SETXATTR_EXT is negotiated. */
static int set(const char *name, const void *value, uint32_t size, uint32_t flags)
{
	struct {
		uint32_t size, flags;
		char bytes[256];
	} argument = { size, flags, "" };
	size_t name_size = strlen(name) + 1;

	memcpy(argument.bytes, name, name_size);
	memcpy(argument.bytes + name_size, value, size);
	return th_fake_kernel_send(FUSE_SETXATTR, f, &argument, 8 + name_size + size)->error;
}

static uint32_t size_of(const struct th_fake_message *reply)
{
	struct fuse_getxattr_out out;

	ck_assert_int_eq(reply->error, 0);
	ck_assert_uint_eq(reply->size, sizeof(out));
	memcpy(&out, reply->data, sizeof(out));
	return out.size;
}

START_TEST(a_value_needs_room_for_all_of_it)
{
	ck_assert_int_eq(set("user.a", "value", 5, 0), 0);
	ck_assert_uint_eq(size_of(get("user.a", 0)), 5);
	ck_assert_int_eq(get("user.a", 4)->error, -ERANGE);
	ck_assert_uint_eq(get("user.a", 5)->size, 5);
	ck_assert_mem_eq(get("user.a", 100)->data, "value", 5);
	ck_assert_int_eq(set("user.a", "x", 1, 1 /* XATTR_CREATE */), -EEXIST);
	ck_assert_int_eq(set("user.b", "x", 1, 2 /* XATTR_REPLACE */), -ENODATA);
	ck_assert_int_eq(th_fake_kernel_send(FUSE_REMOVEXATTR, f, "user.a", 7)->error, 0);
	ck_assert_int_eq(th_fake_kernel_send(FUSE_REMOVEXATTR, f, "user.a", 7)->error, -ENODATA);
}
END_TEST

START_TEST(a_list_needs_room_for_all_names)
{
	ck_assert_int_eq(set("user.a", "1", 1, 0), 0);
	ck_assert_int_eq(set("user.bc", "2", 1, 0), 0);
	ck_assert_uint_eq(size_of(list(0)), sizeof("user.a") + sizeof("user.bc"));
	ck_assert_int_eq(list(14)->error, -ERANGE);
	ck_assert_uint_eq(list(15)->size, 15);
}
END_TEST

START_TEST(only_root_sees_trusted_attributes)
{
	th_fake_kernel_caller(0, 0);
	ck_assert_int_eq(set("trusted.t", "1", 1, 0), 0);
	ck_assert_uint_eq(size_of(list(0)), sizeof("trusted.t"));
	th_fake_kernel_caller(STRANGER, 0);
	ck_assert_uint_eq(size_of(list(0)), 0);
}
END_TEST

/* ls(1) asks for labels of every file until it is answered that there are none here. */
START_TEST(labels_are_not_supported_without_selinux)
{
	th_fake_kernel_fuse()->selinux = false;
	ck_assert_int_eq(get("security.selinux", 0)->error, -EOPNOTSUPP);
	ck_assert_int_eq(get("user.none", 0)->error, -ENODATA);
	ck_assert_int_eq(get("security.capability", 0)->error, -ENODATA);
	th_fake_kernel_fuse()->selinux = true;
	ck_assert_int_eq(get("security.selinux", 0)->error, -ENODATA);
}
END_TEST

START_TEST(a_caller_outside_the_group_loses_the_set_gid_bit_with_an_access_list)
{
	const struct fuse_setattr_in chmod = { .valid = FATTR_MODE, .mode = S_IFREG | 02755 };
	struct th_acl_list acl = th_acl_list_minimal(); /* 0640 */

	ck_assert_int_eq(send_argument(FUSE_SETATTR, f, chmod), 0);
	th_fake_kernel_caller(0, 0); /* root counts as a member */
	ck_assert_int_eq(set(TH_ACL_ACCESS, acl.bytes, (uint32_t)acl.size, 0), 0);
	ck_assert_uint_eq(file->attr.mode & 07777, 02640);
	th_fake_kernel_caller(TH_FAKE_USER, 0);
	ck_assert_int_eq(set(TH_ACL_ACCESS, acl.bytes, (uint32_t)acl.size, 0), 0);
	ck_assert_uint_eq(file->attr.mode & 07777, 0640);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_value_needs_room_for_all_of_it, a_list_needs_room_for_all_names,
				       only_root_sees_trusted_attributes, labels_are_not_supported_without_selinux,
				       a_caller_outside_the_group_loses_the_set_gid_bit_with_an_access_list };

	return run_handler_tests("fuse_xattr", tests, sizeof(tests) / sizeof(tests[0]));
}
