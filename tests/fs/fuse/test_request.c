/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/request.h"

#include <check.h>
#include <linux/fuse.h>

#include "tests/support/suite.h"

#define STATX_OPCODE 52
#define SYNCFS_OPCODE 50

/* A request with the largest of the arguments that are looked at. */
static struct {
	struct fuse_in_header header;
	union {
		struct fuse_write_in write;
		struct fuse_setattr_in setattr;
		struct fuse_open_in open;
		struct fuse_init_in init;
	};
} request;

static void begin(uint32_t opcode)
{
	request.header = (struct fuse_in_header){ .opcode = opcode };
	th_fuse_request_begin(&request, sizeof(request));
}

START_TEST(tmpfile_statx_and_syncfs_become_requests_that_libfuse_knows)
{
	begin(SYNCFS_OPCODE);
	ck_assert(th_fuse_request_is_syncfs());
	ck_assert_uint_eq(request.header.opcode, FUSE_STATFS);
	begin(FUSE_STATFS);
	ck_assert(!th_fuse_request_is_syncfs());
	begin(FUSE_TMPFILE);
	ck_assert(th_fuse_request_is_tmpfile());
	ck_assert_uint_eq(request.header.opcode, FUSE_CREATE);
	begin(STATX_OPCODE);
	ck_assert(th_fuse_request_is_statx());
	ck_assert_uint_eq(request.header.opcode, FUSE_GETATTR);
	begin(FUSE_CREATE);
	ck_assert(!th_fuse_request_is_tmpfile());
	begin(FUSE_GETATTR);
	ck_assert(!th_fuse_request_is_statx());
	ck_assert_uint_eq(request.header.opcode, FUSE_GETATTR);
}
END_TEST

START_TEST(each_request_has_its_own_flag_to_clear_set_id_bits)
{
	request.write = (struct fuse_write_in){ .write_flags = FUSE_WRITE_KILL_SUIDGID };
	begin(FUSE_WRITE);
	ck_assert(th_fuse_request_kills());
	request.write.write_flags = 0;
	ck_assert(!th_fuse_request_kills());
	request.setattr = (struct fuse_setattr_in){ .valid = FATTR_KILL_SUIDGID };
	begin(FUSE_SETATTR);
	ck_assert(th_fuse_request_kills());
	request.open = (struct fuse_open_in){ .open_flags = FUSE_OPEN_KILL_SUIDGID };
	begin(FUSE_OPEN);
	ck_assert(th_fuse_request_kills());
	begin(FUSE_READ);
	ck_assert(!th_fuse_request_kills());
}
END_TEST

START_TEST(a_short_request_is_not_read_beyond_its_end)
{
	request.write = (struct fuse_write_in){ .write_flags = FUSE_WRITE_KILL_SUIDGID };
	request.header = (struct fuse_in_header){ .opcode = FUSE_WRITE };
	th_fuse_request_begin(&request, sizeof(request.header) + sizeof(request.write) - 1);
	ck_assert(!th_fuse_request_kills());
	th_fuse_request_begin(&request, sizeof(request.header) - 1);
	ck_assert(!th_fuse_request_kills() && !th_fuse_request_is_tmpfile());
	th_fuse_request_begin(NULL, 0);
	ck_assert(!th_fuse_request_kills());
}
END_TEST

START_TEST(the_reply_to_init_accepts_what_is_offered)
{
	struct fuse_init_out answer = { .flags = FUSE_ASYNC_READ };
	struct iovec iov[] = { { NULL, 0 }, { &answer, sizeof(answer) } };

	request.init = (struct fuse_init_in){ .flags = 0 };
	begin(FUSE_INIT);
	th_fuse_request_reply(iov, 2);
	ck_assert_uint_eq(answer.flags, FUSE_ASYNC_READ);
	request.init.flags = FUSE_HANDLE_KILLPRIV_V2;
	th_fuse_request_reply(iov, 1); /* an error has no answer */
	th_fuse_request_reply(iov, 2);
	ck_assert_uint_eq(answer.flags, FUSE_ASYNC_READ | FUSE_HANDLE_KILLPRIV_V2);
	answer.flags = 0;
	request.init.flags = FUSE_PARALLEL_DIROPS | FUSE_WRITEBACK_CACHE;
	th_fuse_request_reply(iov, 2);
	ck_assert_uint_eq(answer.flags, FUSE_PARALLEL_DIROPS);
	begin(FUSE_GETATTR);
	answer.flags = 0;
	th_fuse_request_reply(iov, 2);
	ck_assert_uint_eq(answer.flags, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("request");
	TCase *tc = tcase_create("request");

	tcase_add_test(tc, tmpfile_statx_and_syncfs_become_requests_that_libfuse_knows);
	tcase_add_test(tc, each_request_has_its_own_flag_to_clear_set_id_bits);
	tcase_add_test(tc, a_short_request_is_not_read_beyond_its_end);
	tcase_add_test(tc, the_reply_to_init_accepts_what_is_offered);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
