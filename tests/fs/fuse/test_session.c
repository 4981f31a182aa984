/* SPDX-License-Identifier: Apache-2.0 */
/* Negotiation with the kernel: the daemon asks only for capabilities that it offers, and never for one that drops
 * cached data. */
#include "fs/fuse/session.h"

#include <check.h>

#include "tests/support/suite.h"

static const char nowhere[] = "/nonexistent";

START_TEST(nothing_is_wanted_that_the_kernel_does_not_offer)
{
	struct fuse_conn_info conn = { 0 };

	th_fuse_negotiate(&conn, nowhere, 0);
	ck_assert_uint_eq(conn.want, 0);
}
END_TEST

START_TEST(what_the_daemon_relies_on_is_wanted)
{
	struct fuse_conn_info conn = { .capable = ~0u };

	th_fuse_negotiate(&conn, nowhere, 0);
	ck_assert(conn.want & FUSE_CAP_EXPLICIT_INVAL_DATA);
	ck_assert(conn.want & FUSE_CAP_POSIX_ACL);
	ck_assert(conn.want & FUSE_CAP_DONT_MASK); /* default access lists replace the umask */
	ck_assert(conn.want & FUSE_CAP_ATOMIC_O_TRUNC);
	ck_assert(conn.want & FUSE_CAP_IOCTL_DIR); /* the control interface */
}
END_TEST

/* libfuse has some of these set before it asks. */
START_TEST(what_would_cost_cached_data_is_declined)
{
	struct fuse_conn_info conn = { .capable = ~0u, .want = ~0u };

	th_fuse_negotiate(&conn, nowhere, 0);
	ck_assert(!(conn.want & FUSE_CAP_AUTO_INVAL_DATA));
	ck_assert(!(conn.want & FUSE_CAP_HANDLE_KILLPRIV));
	ck_assert(!(conn.want & FUSE_CAP_POSIX_LOCKS));
	ck_assert(!(conn.want & FUSE_CAP_FLOCK_LOCKS));
}
END_TEST

START_TEST(the_limits_are_the_mounts)
{
	struct fuse_conn_info conn = { 0 };

	th_fuse_negotiate(&conn, nowhere, 65536);
	ck_assert_uint_eq(conn.max_read, 65536);
	ck_assert_uint_eq(conn.max_write, 1 << 20);
	ck_assert_uint_le(conn.congestion_threshold, conn.max_background);
	ck_assert_uint_eq(conn.time_gran, 1); /* nanoseconds */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fuse_session");
	TCase *tc = tcase_create("negotiate");

	tcase_add_test(tc, nothing_is_wanted_that_the_kernel_does_not_offer);
	tcase_add_test(tc, what_the_daemon_relies_on_is_wanted);
	tcase_add_test(tc, what_would_cost_cached_data_is_declined);
	tcase_add_test(tc, the_limits_are_the_mounts);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
