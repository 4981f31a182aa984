/* SPDX-License-Identifier: Apache-2.0 */
/* Ioctls: the flags of chattr(1) in both interfaces of the kernel, and which requests reach the control interface. */
#include "tests/fs/fuse/fuse_fixture.h"

#include <linux/fs.h>

#include "fs/control/control.h"

/* Sends an ioctl with `in_size` bytes of input. */
static const struct th_fake_message *send_ioctl(uint64_t node, uint32_t cmd, uint32_t flags, const void *in,
						uint32_t in_size, uint32_t out_size)
{
	struct {
		struct fuse_ioctl_in in;
		uint8_t data[2048];
	} argument = { .in = { .flags = flags, .cmd = cmd, .in_size = in_size, .out_size = out_size } };

	ck_assert_uint_le(in_size, sizeof(argument.data));
	if (in_size)
		memcpy(argument.data, in, in_size);
	return th_fake_kernel_send(FUSE_IOCTL, node, &argument, sizeof(argument.in) + in_size);
}

static int set_flags(uint32_t flags)
{
	return send_ioctl(f, FS_IOC_SETFLAGS, 0, &flags, sizeof(flags), 0)->error;
}

static int set_extended(struct fsxattr extended)
{
	return send_ioctl(f, FS_IOC_FSSETXATTR, 0, &extended, sizeof(extended), 0)->error;
}

/* Copies the answer, which follows its header. */
static void answer(const struct th_fake_message *reply, void *ret, size_t size)
{
	ck_assert_int_eq(reply->error, 0);
	ck_assert_uint_eq(reply->size, sizeof(struct fuse_ioctl_out) + size);
	memcpy(ret, reply->data + sizeof(struct fuse_ioctl_out), size);
}

START_TEST(both_interfaces_show_the_same_flags)
{
	struct fsxattr extended;
	uint32_t flags;

	ck_assert_int_eq(set_flags(FS_NODUMP_FL | FS_NOATIME_FL), 0);
	answer(send_ioctl(f, FS_IOC_GETFLAGS, 0, NULL, 0, sizeof(flags)), &flags, sizeof(flags));
	ck_assert_uint_eq(flags, FS_NODUMP_FL | FS_NOATIME_FL);
	answer(send_ioctl(f, FS_IOC_FSGETXATTR, 0, NULL, 0, sizeof(extended)), &extended, sizeof(extended));
	ck_assert_uint_eq(extended.fsx_xflags, FS_XFLAG_NODUMP | FS_XFLAG_NOATIME);
	ck_assert_int_eq(set_extended((struct fsxattr){ .fsx_xflags = FS_XFLAG_SYNC }), 0);
	ck_assert_uint_eq(file->attr.flags, FS_SYNC_FL);
}
END_TEST

START_TEST(what_cannot_be_set_is_refused)
{
	ck_assert_int_eq(set_extended((struct fsxattr){ .fsx_xflags = FS_XFLAG_DAX }), -EOPNOTSUPP);
	ck_assert_int_eq(set_extended((struct fsxattr){ .fsx_xflags = FS_XFLAG_NODUMP | FS_XFLAG_REALTIME }),
			 -EOPNOTSUPP);
	ck_assert_int_eq(set_extended((struct fsxattr){ .fsx_projid = 1 }), -EOPNOTSUPP);
	ck_assert_int_eq(set_extended((struct fsxattr){ .fsx_extsize = 4096 }), -EOPNOTSUPP);
	ck_assert_int_eq(set_flags(FS_COMPR_FL), -EOPNOTSUPP);
	ck_assert_uint_eq(file->attr.flags, 0);
}
END_TEST

START_TEST(only_root_makes_a_file_immutable)
{
	ck_assert_int_eq(set_flags(FS_IMMUTABLE_FL), -EPERM);
	th_fake_kernel_caller(0, 0);
	ck_assert_int_eq(set_flags(FS_IMMUTABLE_FL), 0);
	th_fake_kernel_caller(TH_FAKE_USER, 0);
	ck_assert_int_eq(set_flags(0), -EPERM);
	ck_assert_uint_eq(file->attr.flags, FS_IMMUTABLE_FL);
}
END_TEST

/* The sizes are the caller's. */
START_TEST(short_arguments_are_refused)
{
	struct fsxattr extended = { 0 };
	uint32_t flags = 0;

	ck_assert_int_eq(send_ioctl(f, FS_IOC_GETFLAGS, 0, NULL, 0, sizeof(flags) - 1)->error, -EINVAL);
	ck_assert_int_eq(send_ioctl(f, FS_IOC_FSGETXATTR, 0, NULL, 0, sizeof(extended) - 1)->error, -EINVAL);
	ck_assert_int_eq(send_ioctl(f, FS_IOC_SETFLAGS, 0, &flags, sizeof(flags) - 1, 0)->error, -EINVAL);
	ck_assert_int_eq(send_ioctl(f, FS_IOC_FSSETXATTR, 0, &extended, sizeof(extended) - 1, 0)->error, -EINVAL);
	ck_assert_int_eq(send_ioctl(f, FITRIM, 0, NULL, 0, sizeof(struct fstrim_range))->error, -EINVAL);
}
END_TEST

START_TEST(control_requests_are_for_directories)
{
	struct th_control_info info = { .version = th_le32(TH_CONTROL_VERSION) };

	answer(send_ioctl(d, TH_CONTROL_INFO, FUSE_IOCTL_DIR, &info, sizeof(info), sizeof(info)), &info, sizeof(info));
	ck_assert_int_eq(send_ioctl(f, TH_CONTROL_INFO, 0, &info, sizeof(info), sizeof(info))->error, -ENOTTY);
	info.version = th_le32(TH_CONTROL_VERSION + 1);
	ck_assert_int_eq(send_ioctl(d, TH_CONTROL_INFO, FUSE_IOCTL_DIR, &info, sizeof(info), sizeof(info))->error,
			 -EPROTO);
}
END_TEST

START_TEST(other_ioctls_are_unknown)
{
	uint32_t zero = 0;

	ck_assert_int_eq(send_ioctl(f, _IOR('?', 1, int), 0, NULL, 0, 4)->error, -ENOTTY);
	ck_assert_int_eq(send_ioctl(f, FS_IOC_SETFLAGS, FUSE_IOCTL_UNRESTRICTED, &zero, 4, 0)->error, -ENOSYS);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { both_interfaces_show_the_same_flags,  what_cannot_be_set_is_refused,
				       only_root_makes_a_file_immutable,     short_arguments_are_refused,
				       control_requests_are_for_directories, other_ioctls_are_unknown };

	return run_handler_tests("fuse_ioctl", tests, sizeof(tests) / sizeof(tests[0]));
}
