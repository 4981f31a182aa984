/* SPDX-License-Identifier: Apache-2.0 */
/* Records of changes: packing and unpacking, incomplete and damaged records. */
#include "fs/format/change_record.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/suite.h"

static struct th_fs_change_range ranges[] = { { 4096, 8192 }, { 1 << 20, 17 } };
static const struct th_fs_change change = {
	.kind = TH_CHANGE_RENAMED,
	.what = TH_CHANGED_CONTENT | TH_CHANGED_XATTR,
	.inode = 77,
	.from = { .mode = S_IFREG | 0600, .size = 5, .links = 2, .mtime_seconds = -3 },
	.to = { .mode = S_IFREG | 0644, .size = UINT64_C(1) << 40, .links = 1, .mtime_nanoseconds = 9 },
	.path = (char *)"/new",
	.old_path = (char *)"/an old one",
	.ranges = ranges,
	.nranges = 2,
};

static uint8_t *pack(size_t *ret_size)
{
	uint8_t *record;

	*ret_size = th_fs_change_packed_size(&change);
	record = malloc(*ret_size);
	th_fs_change_pack(&change, record);
	return record;
}

START_TEST(a_packed_change_is_unpacked_unchanged)
{
	struct th_fs_change back;
	size_t size, taken;
	uint8_t *record = pack(&size);

	ck_assert_int_eq(th_fs_change_unpack(record, size, &back, &taken), 0);
	ck_assert_uint_eq(taken, size);
	ck_assert_int_eq(back.kind, change.kind);
	ck_assert_uint_eq(back.what, change.what);
	ck_assert_uint_eq(back.inode, change.inode);
	ck_assert_str_eq(back.path, change.path);
	ck_assert_str_eq(back.old_path, change.old_path);
	ck_assert_int_eq(back.from.mtime_seconds, -3);
	ck_assert_uint_eq(back.to.size, change.to.size);
	ck_assert_mem_eq(back.ranges, ranges, sizeof(ranges));
	th_fs_change_release(&back);
	free(record);
}
END_TEST

START_TEST(an_incomplete_record_asks_for_more_bytes)
{
	struct th_fs_change back;
	size_t size, taken;
	uint8_t *record = pack(&size);

	for (size_t part = 0; part < size; part++)
		ck_assert_int_eq(th_fs_change_unpack(record, part, &back, &taken), 1);
	free(record);
}
END_TEST

/* For a sanitizer: each damage is accepted or refused, without a read outside the record. */
START_TEST(damaged_records_do_no_harm)
{
	struct th_fs_change back;
	size_t size, taken;
	uint8_t *record = pack(&size);

	for (size_t i = 0; i < size; i++) {
		record[i] ^= 0xff;
		if (!th_fs_change_unpack(record, size, &back, &taken))
			th_fs_change_release(&back);
		record[i] ^= 0xff;
	}
	free(record);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("change_record");
	TCase *tc = tcase_create("change_record");

	tcase_add_test(tc, a_packed_change_is_unpacked_unchanged);
	tcase_add_test(tc, an_incomplete_record_asks_for_more_bytes);
	tcase_add_test(tc, damaged_records_do_no_harm);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
