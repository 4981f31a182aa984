/* SPDX-License-Identifier: Apache-2.0 */
/* GETATTR, SETATTR and STATFS: each flag of the kernel changes its attribute and no other, and set-id bits are
 * cleared. */
#include "tests/fs/fuse/fuse_fixture.h"

/* Sends SETATTR for /f and returns its new mode. */
static uint32_t set_attr(struct fuse_setattr_in argument)
{
	ck_assert_int_eq(send_argument(FUSE_SETATTR, f, argument), 0);
	return file->attr.mode & 07777;
}

/* Expects all attributes that SETATTR can change, except the time of change. */
static void expect(const struct th_attr *expected)
{
	const struct th_attr *found = &file->attr;

	ck_assert_uint_eq(found->mode, expected->mode);
	ck_assert_uint_eq(found->uid, expected->uid);
	ck_assert_uint_eq(found->gid, expected->gid);
	ck_assert_uint_eq(found->size, expected->size);
	ck_assert_int_eq(found->atime.seconds, expected->atime.seconds);
	ck_assert_uint_eq(found->atime.nanoseconds, expected->atime.nanoseconds);
	ck_assert_int_eq(found->mtime.seconds, expected->mtime.seconds);
	ck_assert_uint_eq(found->mtime.nanoseconds, expected->mtime.nanoseconds);
}

/* All fields of the request are set, so a flag that is mapped to another attribute changes that. */
START_TEST(each_flag_changes_its_attribute_only)
{
	struct fuse_setattr_in argument = {
		.mode = S_IFREG | 0600,
		.uid = 77,
		.gid = 88,
		.size = 5000,
		.atime = 1000,
		.atimensec = 1,
		.mtime = 2000,
		.mtimensec = 2,
	};
	struct th_attr expected = file->attr;

	argument.valid = FATTR_ATIME;
	expected.atime = (struct th_time){ 1000, 1 };
	set_attr(argument);
	expect(&expected);
	argument.valid = FATTR_MTIME;
	expected.mtime = (struct th_time){ 2000, 2 };
	set_attr(argument);
	expect(&expected);
	argument.valid = FATTR_MODE;
	expected.mode = S_IFREG | 0600;
	set_attr(argument);
	expect(&expected);
	argument.valid = FATTR_GID;
	expected.gid = 88;
	set_attr(argument);
	expect(&expected);
	argument.valid = FATTR_UID;
	expected.uid = 77;
	set_attr(argument);
	expect(&expected);
	argument.valid = FATTR_SIZE;
	expected.size = 5000;
	set_attr(argument);
	expected.mtime = file->attr.mtime; /* a change of data */
	ck_assert_int_gt(file->attr.mtime.seconds, 2000);
	expect(&expected);
}
END_TEST

/* For a time that is to be now the kernel sets both flags, and the time that it sends means nothing. */
START_TEST(a_time_that_is_to_be_now_is_the_daemons)
{
	struct fuse_setattr_in argument = { .valid = FATTR_ATIME | FATTR_ATIME_NOW | FATTR_MTIME | FATTR_MTIME_NOW,
					    .atime = 5,
					    .mtime = 6 };
	int64_t before = th_time_now().seconds;

	set_attr(argument);
	ck_assert_int_ge(file->attr.atime.seconds, before);
	ck_assert_int_ge(file->attr.mtime.seconds, before);
}
END_TEST

START_TEST(a_change_of_nothing_clears_set_id_bits_for_the_owner_and_root_only)
{
	const struct fuse_setattr_in chmod = { .valid = FATTR_MODE, .mode = S_IFREG | 06755 }, nothing = { 0 };

	ck_assert_uint_eq(set_attr(chmod), 06755);
	th_fake_kernel_caller(STRANGER, 0);
	ck_assert_uint_eq(set_attr(nothing), 06755);
	th_fake_kernel_caller(TH_FAKE_USER, 0);
	ck_assert_uint_eq(set_attr(nothing), 0755);
	set_attr(chmod);
	th_fake_kernel_caller(0, 0);
	ck_assert_uint_eq(set_attr(nothing), 0755);
}
END_TEST

/* Without group execute permission the set-gid bit marks mandatory locks; only a caller outside the group loses it. */
START_TEST(a_caller_outside_the_group_loses_its_set_gid_bit)
{
	const struct fuse_setattr_in chmod = { .valid = FATTR_MODE, .mode = S_IFREG | 06645 };
	const struct fuse_setattr_in kill = { .valid = FATTR_KILL_SUIDGID };

	set_attr(chmod);
	th_fake_kernel_caller(0, 0); /* root counts as a member */
	ck_assert_uint_eq(set_attr(kill), 02645);
	set_attr(chmod);
	th_fake_kernel_caller(STRANGER, 0);
	ck_assert_uint_eq(set_attr(kill), 0645);
}
END_TEST

START_TEST(attributes_are_cached_until_the_daemon_drops_them)
{
	struct fuse_getattr_in argument = { 0 };
	const struct th_fake_message *reply = th_fake_kernel_send(FUSE_GETATTR, f, &argument, sizeof(argument));
	struct fuse_attr_out out;

	ck_assert_int_eq(reply->error, 0);
	memcpy(&out, reply->data, sizeof(out));
	ck_assert_uint_eq(out.attr_valid, (uint64_t)TH_FUSE_VALID_SECONDS);
	ck_assert_uint_eq(out.attr.ino, th_scene_id(&scene, "/f"));
	ck_assert_uint_eq(out.attr.mode, S_IFREG | 0644);
	ck_assert_uint_eq(out.attr.uid, TH_FAKE_USER);
}
END_TEST

/* STATX, which older headers do not name.  The structure of its reply begins with 32 bytes of its own. */
START_TEST(statx_has_the_time_of_birth)
{
	struct fuse_getattr_in argument = { 0 };
	const struct th_fake_message *reply = th_fake_kernel_send(52, f, &argument, sizeof(argument));
	struct statx statx;

	ck_assert_int_eq(reply->error, 0);
	ck_assert_uint_eq(reply->size, 32 + sizeof(statx));
	memcpy(&statx, reply->data + 32, sizeof(statx));
	ck_assert(statx.stx_mask & STATX_BTIME);
	ck_assert_int_eq(statx.stx_btime.tv_sec, file->attr.btime.seconds);
	ck_assert_uint_eq(statx.stx_uid, TH_FAKE_USER);
}
END_TEST

START_TEST(statfs_reports_free_space_and_the_longest_name)
{
	const struct th_fake_message *reply = th_fake_kernel_send(FUSE_STATFS, FUSE_ROOT_ID, NULL, 0);
	struct fuse_statfs_out out;

	ck_assert_int_eq(reply->error, 0);
	memcpy(&out, reply->data, sizeof(out));
	ck_assert_uint_eq(out.st.namelen, TH_NAME_MAX);
	ck_assert_uint_gt(out.st.bfree, out.st.blocks / 2);
	ck_assert_uint_lt(out.st.bfree, out.st.blocks);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { each_flag_changes_its_attribute_only,
				       a_time_that_is_to_be_now_is_the_daemons,
				       a_change_of_nothing_clears_set_id_bits_for_the_owner_and_root_only,
				       a_caller_outside_the_group_loses_its_set_gid_bit,
				       attributes_are_cached_until_the_daemon_drops_them,
				       statx_has_the_time_of_birth,
				       statfs_reports_free_space_and_the_longest_name };

	return run_handler_tests("fuse_attr", tests, sizeof(tests) / sizeof(tests[0]));
}
