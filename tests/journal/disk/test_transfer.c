/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/disk/transfer.h"

#include "tests/journal/suite.h"

START_TEST(get_has_one_buffer)
{
	char buf[1];
	struct th_transfer get = th_transfer_get(7, 3, buf);
	const struct iovec *iov;
	int iovcnt;

	ck_assert_int_eq(get.kind, TH_TRANSFER_GET);
	ck_assert_uint_eq(get.addr, 7);
	ck_assert_uint_eq(th_transfer_size(&get), 3 * TH_BLOCK_SIZE);
	iov = th_transfer_iov(&get, &iovcnt);
	ck_assert_int_eq(iovcnt, 1);
	ck_assert_ptr_eq(iov->iov_base, buf);
	ck_assert_uint_eq(iov->iov_len, 3 * TH_BLOCK_SIZE);
}
END_TEST

/* An operation keeps a copy when the transfer that it was made from is gone. */
START_TEST(copy_of_a_get_does_not_refer_to_the_original)
{
	char buf[1];
	struct th_transfer get = th_transfer_get(7, 3, buf), copy = get;
	int iovcnt;

	memset(&get, 0xff, sizeof(get));
	ck_assert_ptr_eq(th_transfer_iov(&copy, &iovcnt), &copy.one);
	ck_assert_ptr_eq(copy.one.iov_base, buf);
}
END_TEST

START_TEST(save_has_the_buffers_of_the_caller)
{
	struct iovec iov[] = { { .iov_len = TH_BLOCK_SIZE }, { .iov_len = 4 * TH_BLOCK_SIZE } };
	struct th_transfer save = th_transfer_save(9, iov, 2);
	int iovcnt;

	ck_assert_int_eq(save.kind, TH_TRANSFER_SAVE);
	ck_assert_uint_eq(save.addr, 9);
	ck_assert_ptr_eq(th_transfer_iov(&save, &iovcnt), iov);
	ck_assert_int_eq(iovcnt, 2);
	ck_assert_uint_eq(th_transfer_size(&save), 5 * TH_BLOCK_SIZE);
	ck_assert_int_eq(th_transfer_flush().kind, TH_TRANSFER_FLUSH);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("transfer");
	TCase *tcase = tcase_create("transfer");

	tcase_add_test(tcase, get_has_one_buffer);
	tcase_add_test(tcase, copy_of_a_get_does_not_refer_to_the_original);
	tcase_add_test(tcase, save_has_the_buffers_of_the_caller);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
